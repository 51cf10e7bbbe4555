import lstmCellText from '../../shaders/lib/lstmCell.wgsl' with { type: 'text' };
import math from '../../shaders/lib/math.wgsl' with { type: 'text' };
import cellBackward from '../../shaders/lstm/cell.backward.wgsl' with { type: 'text' };
import cell from '../../shaders/lstm/cell.forward.wgsl' with { type: 'text' };
import { family } from './family.ts';
import { type BindingSource, grid, input, output, type Variant } from './kernel.ts';
import { addLibrary } from './library.ts';

addLibrary({ lstmCell: lstmCellText, math });

/** One step of an LSTM, its gates given before their activations. */
export interface LstmCellProblem {
  readonly B: number;
  readonly H: number;
}

/** Inputs: gates before activation [B, 4H], c [B, H]. Outputs: h' [B, H], c' [B, H], activated gates [B, 4H]. */
export const lstmCell = family<LstmCellProblem>({
  name: 'lstmCell',
  variants: { plain: elementwise('lstmCell/plain', cell, [input(0), input(1), output(0), output(1), output(2)]) },
  select: () => 'plain',
});

/**
 * Gradient of `lstmCell`. Inputs: dh' [B, H], dc' [B, H], activated gates [B, 4H], c [B, H], c' [B, H].
 * Outputs: dGates [B, 4H] (before activation), dc [B, H].
 */
export const lstmCellBackward = family<LstmCellProblem>({
  name: 'lstmCellBackward',
  variants: {
    plain: elementwise('lstmCellBackward/plain', cellBackward, [
      input(0),
      input(1),
      input(2),
      input(3),
      input(4),
      output(0),
      output(1),
    ]),
  },
  select: () => 'plain',
});

function elementwise(kernel: string, source: string, bindings: readonly BindingSource[]): Variant<LstmCellProblem> {
  return {
    call: ({ B, H }) => ({
      dispatches: [
        { kernel, source, constants: { H }, bindings, uniforms: { B }, workgroups: grid(Math.ceil((B * H) / 64)) },
      ],
    }),
  };
}
