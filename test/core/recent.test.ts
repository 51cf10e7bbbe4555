import { expect, it } from 'vitest';
import { Recent } from '../../src/core/recent.ts';

it('Recent drops what has not been asked for the longest, and tells of it', () => {
  const dropped: number[] = [];
  const recent = new Recent<number>(2, (value) => dropped.push(value));
  recent.set('a', 1).set('b', 2);
  expect(recent.get('a')).toBe(1);
  recent.set('c', 3);
  expect([...recent]).toEqual([
    ['a', 1],
    ['c', 3],
  ]);
  recent.set('a', 4).set('d', 5);
  expect([...recent.keys()]).toEqual(['a', 'd']);
  expect(dropped).toEqual([2, 3]);
  expect(recent.get('b')).toBeUndefined();
  expect(recent.size).toBe(2);
  expect(recent.ensure('a', () => 9)).toBe(4);
  expect(recent.ensure('e', () => 9)).toBe(9);
  expect([...recent.keys()]).toEqual(['a', 'e']);
});
