/** Of package.json. What depends on the kernels of a version, such as tuned choices, carries it. */
export const version = '0.1.0';
