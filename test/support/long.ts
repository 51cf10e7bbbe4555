/** What makes a message long that quotes it: values that nobody means, of each kind. */

const text = 'x'.repeat(20_000);
const nested = (levels: number): unknown[] => {
  let value: unknown[] = [];
  for (let i = 0; i < levels; i++) value = [value];
  return value;
};

export const long: readonly unknown[] = [
  ...[
    text,
    `\u0000${text}`,
    10n ** 5000n,
    Symbol(text),
    { [text]: 1 },
    new Map([[text, 1]]),
    new Map([[{ [text]: 1 }, 1]]),
  ],
  ...[new Array(20_000).fill(1), new Array(20_000).fill(text), nested(20_000)],
  new (Object.defineProperty(class {}, 'name', { value: text }))(),
];

/** A message is to be read: longer ones have something in them that nobody wrote for it. */
export const longest = 600;
