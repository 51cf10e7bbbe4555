import { describe, expect, it } from 'vitest';
import { newsFrom, standing } from '../../tools/progress.mjs';

describe('the progress of runs', () => {
  it('is told among what else they write, in whatever pieces it comes', () => {
    const written = [
      'first',
      '\x1e{"files":3}',
      'half a line\x1e{"failed":"a.test.ts > one","why":"no\\nmore"}',
      '',
      '\x1e{"done":"a.test.ts"}',
      'last, without an end',
    ].join('\n');
    for (const size of [1, 2, 7, written.length]) {
      const news: unknown[] = [];
      const others = newsFrom((each) => news.push(each));
      let rest = '';
      for (let i = 0; i < written.length; i += size) rest += others(written.slice(i, i + size));
      rest += others('');
      expect(rest).toBe('first\nhalf a line\n\nlast, without an end');
      expect(news).toEqual([{ files: 3 }, { failed: 'a.test.ts > one', why: 'no\nmore' }, { done: 'a.test.ts' }]);
    }
  });

  it('is shown in one line', () => {
    const runs = [
      { title: 'chromium gpu', files: 72, done: 5, failed: 1 },
      { title: 'deno gpu', files: 0, done: 0, failed: 0 },
    ];
    expect(standing(605.7, runs)).toBe(
      '10:05  chromium gpu: 5 of 72 files, 1 failed  deno gpu: 0 of ? files, 0 failed',
    );
  });
});
