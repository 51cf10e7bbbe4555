import { describe, expect, it } from 'vitest';
import { beginnings, isBalanced, latex } from '../../demo/examples/char-rnn.ts';
import { Draw } from '../../demo/frame/draw.ts';

describe('a piece of LaTeX', () => {
  it.each([
    '',
    'words alone',
    'Let $x_{n}$ be \\emph{a $y$ in braces}.',
    '\\begin{proof}\n\\begin{equation*}\n\\frac{x}{y}\n\\end{equation*}\n\\end{proof}',
    'a price of \\$5, a brace \\{, a break \\\\',
  ])('is balanced: %j', (piece) => {
    expect(isBalanced(piece)).toBe(true);
  });

  it.each([
    ['a brace stays open', '\\emph{x'],
    ['a brace is closed that was not open', 'x}'],
    ['a dollar stays open', '$x'],
    ['a dollar is closed outside of the braces in which it was opened', '{$x}$'],
    ['a brace is closed outside of the dollars in which it was opened', '$x_{n$}'],
    ['dollars lie within one another', '$x_{$y$}$'],
    ['an environment stays open', '\\begin{proof}x'],
    ['an environment is closed that was not open', 'x\\end{proof}'],
    ['another environment is closed', '\\begin{proof}x\\end{lemma}'],
    ['environments overlap', '\\begin{proof}\\begin{lemma}\\end{proof}\\end{lemma}'],
    ['an environment is closed within a formula', '\\begin{proof}$x\\end{proof}$'],
    ['an environment has no name', '\\begin x\\end'],
    ['the name of an environment is cut off', '\\begin{proo'],
    ['a backslash is no sign before a brace', '\\\\{'],
  ])('is not where %s', (_, piece) => {
    expect(isBalanced(piece)).toBe(false);
  });

  it('is balanced as it is made, whatever the seed, and the text has what a piece begins with', () => {
    for (const seed of [1, 2, 3]) {
      const pieces = latex(new Draw(seed), 20_000).split('\n\n');
      expect(pieces.pop()).toBe('');
      expect(pieces.filter((piece) => piece === '' || !isBalanced(piece))).toEqual([]);
      for (const begun of beginnings)
        expect(pieces.filter((piece) => piece.startsWith(begun)).length).toBeGreaterThan(0);
    }
  });
});
