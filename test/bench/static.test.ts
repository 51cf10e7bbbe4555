import { describe, expect, it } from 'vitest';
import { asTable, fromTable, type Row, worse } from '../../bench/static/compare.ts';

const row = (more: Partial<Row> = {}): Row => ({
  work: 'matmul NT 1024x1024x1024',
  kernel: 'matmul/tiled64',
  layout: 'NT',
  registers: 64,
  spills: 0,
  waves: 8,
  of: 'fma',
  bound: 86,
  ...more,
});
const other = row({ kernel: 'softmax/rows', layout: '', work: 'softmax 4096x1024', of: 'memory', bound: 100 });

describe('a table of npm run static', () => {
  it('comes back from the file as it was', () => {
    const rows = [row(), other];
    expect(fromTable(asTable(rows, '\t'))).toEqual(rows);
  });

  it('stands in columns on a terminal', () => {
    const [heading = '', first = '', second = ''] = asTable([row(), other]).split('\n');
    expect(heading.indexOf('kernel')).toBe(first.indexOf('matmul/tiled64'));
    expect(second.indexOf('softmax/rows')).toBe(first.indexOf('matmul/tiled64'));
  });

  it('tells of a lower bound, of spills, and of what is gone', () => {
    const before = [row(), other];
    expect(worse(before, before, true)).toEqual([]);
    expect(worse(before, [row({ bound: 84 }), other], true)).toEqual([]);
    expect(worse(before, [row({ bound: 83, spills: 4 }), other], true)).toEqual([
      'matmul NT 1024x1024x1024 · matmul/tiled64 · NT: spills 0 → 4, bound 86 → 83 %',
    ]);
    expect(worse(before, [row()], true)).toEqual(['softmax 4096x1024 · softmax/rows: no longer compiled']);
    expect(worse(before, [row()], false)).toEqual([]);
  });
});
