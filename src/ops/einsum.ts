import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { expectKind, listOf, shown, tensorLike, text } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectDType } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { mul } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { sum } from './reduce.ts';
import { slice } from './slice.ts';
import { expand, permute, reshape } from './view.ts';

/**
 * Sums of products in Einstein's notation, as in NumPy and PyTorch: `einsum('bhld,bhsd->bhls', q, k)`. A letter names a
 * dimension; one that the result does not have is summed over; one that stands twice in an operand takes its diagonal; `...`
 * stands for dimensions that broadcast. Without `->`, the result has the letters that stand once, in the alphabet's order.
 * Operands are joined from left to right, each pair by one product of matrices. Throws a ValueError on an equation that
 * makes no sense, and a ShapeError where a letter has several extents.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  expectKind('einsum', 'the equation', equation, text);
  expectKind('einsum', 'operands', operands, listOf(tensorLike));
  const { inputs, output } = parse(equation, operands);
  const terms = operands.map((x, i) => takeDiagonals(x, nth(inputs, i)));
  checkExtents(equation, terms);
  const last = terms.reduce((left, right, i) => {
    const wanted = new Set([...output, ...terms.slice(i + 1).flatMap(({ labels }) => labels)]);
    return join(left, right, wanted);
  });
  const kept = sumOver(last, (label) => output.includes(label));
  return permute(
    kept.x,
    output.map((label) => kept.labels.indexOf(label)),
  );
}

/** A letter, or the position from the back of a dimension that `...` stands for. */
type Label = string;

/** A tensor whose dimensions have names, each another one. */
interface Term {
  readonly x: Tensor;
  readonly labels: readonly Label[];
}

function parse(equation: string, operands: readonly Tensor[]): { inputs: Label[][]; output: Label[] } {
  const fail = (why: string): never => {
    throw new ValueError(`[einsum] ${shown(equation)} ${why}`);
  };
  const [left = '', right, ...more] = equation.replaceAll(' ', '').split('->');
  const parts = left.split(',');
  for (const part of [...parts, right ?? '']) {
    if (!/^[a-zA-Z]*(\.\.\.)?[a-zA-Z]*$/.test(part))
      fail(`has ${shown(part)}, where only letters and one ... may stand, as in 'bij,bjk->bik'`);
  }
  if (more.length > 0) fail('has more than one ->');
  if (parts.length !== operands.length) fail(`names ${parts.length} operands, ${operands.length} are given`);
  const inputs = parts.map((part, i) => {
    const { rank, shape } = nth(operands, i);
    const letters = part.replace('...', '').length;
    if (part.includes('...') ? letters > rank : letters !== rank)
      fail(`names ${letters} dimensions of operand ${i}, which is ${formatShape(shape)}`);
    return labelsOf(part, rank - letters);
  });
  const broadcast = inputs.flat().filter((label) => label.startsWith('.'));
  const rank = Math.max(0, ...broadcast.map((label) => Number(label.slice(1))));
  const once = [...new Set(inputs.flat())].filter(
    (label) => !label.startsWith('.') && inputs.flat().filter((each) => each === label).length === 1,
  );
  const output = labelsOf(right ?? `...${once.sort().join('')}`, rank);
  const unknown = output.find((label) => !label.startsWith('.') && !inputs.flat().includes(label));
  if (unknown) fail(`has '${unknown}' in the result and in no operand`);
  if (new Set(output).size < output.length) fail(`names a dimension of the result twice`);
  return { inputs, output };
}

/** `b...i` with two dimensions to broadcast: b, .2, .1, i. */
function labelsOf(part: string, broadcast: number): Label[] {
  const [before = '', after] = part.split('...');
  if (after === undefined) return [...before];
  return [...before, ...Array.from({ length: broadcast }, (_, i) => `.${broadcast - i}`), ...after];
}

/** Every `n + 1`-th element of two equal dimensions seen as one is their diagonal. */
function takeDiagonals(x: Tensor, labels: readonly Label[]): Term {
  const second = labels.findIndex((label, i) => labels.indexOf(label) < i);
  if (second < 0) return { x, labels };
  const label = nth(labels, second);
  const first = labels.indexOf(label);
  const [n, m] = [nth(x.shape, first), nth(x.shape, second)];
  if (n !== m)
    throw new ShapeError(`[einsum] '${label}' names dimensions of ${formatShape(x.shape)} with extents ${n} and ${m}`);
  const rest = x.shape.map((_, i) => i).filter((i) => i !== first && i !== second);
  const line = reshape(permute(x, [first, second, ...rest]), [n * n, ...rest.map((i) => nth(x.shape, i))]);
  const others = rest.map((i) => nth(labels, i));
  return takeDiagonals(slice(line, [[0, n * n, n + 1]]), [label, ...others]);
}

function checkExtents(equation: string, terms: readonly Term[]): void {
  const extents = new Map<Label, number>();
  for (const { x, labels } of terms) {
    for (const [i, label] of labels.entries()) {
      const [known, extent] = [extents.get(label) ?? 1, nth(x.shape, i)];
      const differs = extents.has(label) && known !== extent;
      if (differs && !(label.startsWith('.') && (known === 1 || extent === 1))) {
        const what = label.startsWith('.') ? 'a dimension that ... stands for' : `'${label}'`;
        throw new ShapeError(`[einsum] in '${equation}' ${what} has extents ${known} and ${extent}`);
      }
      extents.set(label, Math.max(known, extent));
    }
  }
}

function sumOver({ x, labels }: Term, isKept: (label: Label) => boolean): Term {
  const gone = labels.flatMap((label, i) => (isKept(label) ? [] : [i]));
  return gone.length === 0 ? { x, labels } : { x: sum(x, gone), labels: labels.filter(isKept) };
}

/** The product of two terms, without the dimensions that nobody wants any more. */
function join(left: Term, right: Term, wanted: ReadonlySet<Label>): Term {
  const a = sumOver(left, (label) => wanted.has(label) || right.labels.includes(label));
  const b = sumOver(right, (label) => wanted.has(label) || left.labels.includes(label));
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => wanted.has(label));
  const contracted = shared.filter((label) => !wanted.has(label));
  const onlyA = a.labels.filter((label) => !shared.includes(label));
  const onlyB = b.labels.filter((label) => !shared.includes(label));
  const labels = [...batch, ...onlyA, ...onlyB];
  const extentOf = (label: Label) => Math.max(...[a, b].map(({ x, labels: own }) => x.shape[own.indexOf(label)] ?? 1));
  if (contracted.length === 0) {
    const align = ({ x, labels: own }: Term) => spread(ordered({ x, labels: own }, labels), labels, own);
    return { x: mul(align(a), align(b)), labels };
  }
  for (const [name, { x }] of Object.entries({ a, b })) expectDType('einsum', `operand ${name}`, x, ['f32']);
  // Dimensions to broadcast that are summed over must have their whole extent on both sides.
  const whole = ({ x, labels: own }: Term): Term => ({
    x: expand(
      x,
      own.map((label, i) => (contracted.includes(label) ? extentOf(label) : nth(x.shape, i))),
    ),
    labels: own,
  });
  const matrix = (term: Term, rows: readonly Label[], columns: readonly Label[]) => {
    const x = ordered(whole(term), [...batch, ...rows, ...columns]);
    const size = (group: readonly Label[], from: number) =>
      group.reduce((product, _, i) => product * nth(x.shape, from + i), 1);
    const leading = x.shape.slice(0, batch.length);
    return reshape(x, [...leading, size(rows, batch.length), size(columns, batch.length + rows.length)]);
  };
  const product = matmul(matrix(a, onlyA, contracted), matrix(b, contracted, onlyB));
  return { x: reshape(product, labels.map(extentOf)), labels };
}

/** The dimensions in the order of `labels`, as far as the term has them. */
function ordered({ x, labels: own }: Term, labels: readonly Label[]): Tensor {
  return permute(
    x,
    labels.flatMap((label) => (own.includes(label) ? [own.indexOf(label)] : [])),
  );
}

/** A dimension of extent 1 for each label that the tensor lacks. */
function spread(x: Tensor, labels: readonly Label[], own: readonly Label[]): Tensor {
  let at = 0;
  return reshape(
    x,
    labels.map((label) => (own.includes(label) ? nth(x.shape, at++) : 1)),
  );
}
