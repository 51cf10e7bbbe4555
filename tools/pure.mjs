/** Marks for bundlers: what a module makes as it is evaluated may go where nobody uses it. */

/**
 * Offsets of the calls that make the values of a module's top-level constants. None of them has another effect that somebody
 * who doesn't use the constant would miss: what a module does for others, it does in a statement of its own.
 * @param {{ readonly body: readonly unknown[] }} program an ESTree
 * @returns {number[]}
 */
export function pureCalls({ body }) {
  /** @type {number[]} */
  const found = [];
  /** @param {unknown} value */
  const visit = (value) => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isNode(value)) return;
    // What functions and classes hold runs later, if at all.
    if (/Function|Class/.test(value.type)) return;
    if (value.type === 'CallExpression' || value.type === 'NewExpression') found.push(value.start);
    Object.values(value).forEach(visit);
  };
  for (const statement of body) {
    if (!isNode(statement)) continue;
    const { declaration = statement } = statement;
    if (isNode(declaration) && declaration.type === 'VariableDeclaration') visit(declaration);
  }
  return found;
}

/**
 * @param {unknown} value
 * @returns {value is { type: string, start: number, declaration?: unknown }}
 */
function isNode(value) {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}
