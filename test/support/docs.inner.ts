/** A name in a namespace. */
export const inner = 1;
export const bareInner = 1;
