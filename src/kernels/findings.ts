/**
 * Findings of optimizers' kernels about a step. The host reads them along with whatever it reads of the submit: a word for
 * each step of the submit, behind the two words of the status (see shaders/lib/findings.wgsl). A word of 0 says nothing.
 */

/** Words of a status: two of the submit itself, the findings, and two about them. */
export const statusWords = 32;
/** The word that says whether anything has been found since somebody last read of it, and that for earlier submits alone. */
export const foundWord = 2;
export const foundEarlierWord = statusWords - 1;
/** The word at which the findings begin. */
export const firstFinding = 3;
/** Steps of a submit that are told of; what more of them find goes to the word behind these, which nobody reads. */
export const mostFindings = foundEarlierWord - firstFinding - 1;

/** The finding that a step was left out. */
export const leftOut = 1;

/** The block of 64 elements, of all parameters of an optimizer, where a step met what is not finite: the first. */
export const blockFound = (finding: number): number => 0x7fffffff - (finding & 0x7fffffff);
