/**
 * The way to standard output and standard error for everything that demo and benchmark print. Texts, checkpoints and
 * messages of drivers may hold characters that command a terminal: to clear it, to rename its window, to type.
 */

/** Control characters but for tabs and line ends, line ends that no terminal knows, and what turns the direction of a text. */
const hidden = /(?![\t\n])\p{Cc}|[\u2028\u2029]|\p{Bidi_Control}/gu;

/** The text with what can't be seen as escapes, as they stand in JSON: ESC is `\u001b`. */
export const visible = (text: string) =>
  text.replace(hidden, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Prints a line, or several, on standard output. */
export const say = (text = '') => console.log(visible(text));

/** Prints a line, or several, on standard error. */
export const complain = (text: string) => console.error(visible(text));
