import { dtypes, type HostArray } from '../core/dtype.ts';
import { ShapeError } from '../core/errors.ts';
import { formatValues, nested } from '../core/print.ts';
import { formatShape } from '../core/shape.ts';
import type { NestedArray } from '../core/types.ts';
import type { Device } from '../device/device.ts';
import { Tensor } from '../graph/tensor.ts';
import { expectOutside, readAll } from './eager.ts';
import { dispose, knownResidence } from './residence.ts';

/** Methods that read a tensor, and that free it. */

declare module '../graph/tensor.ts' {
  interface Tensor {
    /** The elements in row-major order, in a typed array of the caller's own. */
    data(): Promise<HostArray>;
    /** The element of a tensor that has one. */
    item(): Promise<number>;
    /** The elements as nested arrays; bool as true and false. */
    array(): Promise<NestedArray>;
    /** A text that shows shape, type and values, shortened where there are many. */
    print(): Promise<string>;
    /** Frees the memory at once; the tensor can't be used afterwards. Not needed: forgotten tensors are freed. */
    dispose(): void;
    [Symbol.dispose](): void;
    /** The device that the value lies on, once it does. */
    readonly device: Device | null;
  }
}

async function dataOf(tensor: Tensor): Promise<HostArray> {
  const staged = knownResidence(tensor.version)?.staged;
  const bytes = staged && (await staged());
  if (bytes) return new dtypes[tensor.dtype].array(bytes) as HostArray;
  return (await readAll([tensor]))[0] as HostArray;
}

async function itemOf(tensor: Tensor): Promise<number> {
  if (tensor.size !== 1)
    throw new ShapeError(
      `[item] needs a tensor of one element, got ${formatShape(tensor.shape)}; use data() or array()`,
    );
  return (await tensor.data())[0] as number;
}

const methods = {
  data(this: Tensor): Promise<HostArray> {
    expectOutside();
    return dataOf(this);
  },
  item(this: Tensor): Promise<number> {
    expectOutside();
    return itemOf(this);
  },
  array(this: Tensor): Promise<NestedArray> {
    return this.data().then((data) => nested(data, this.shape, this.dtype));
  },
  print(this: Tensor): Promise<string> {
    return this.data().then((data) => `${this}\n${formatValues(data, this.shape, this.dtype)}`);
  },
  dispose(this: Tensor): void {
    dispose(this);
  },
  [Symbol.dispose](this: Tensor): void {
    dispose(this);
  },
};

Object.assign(Tensor.prototype, methods);
Object.defineProperty(Tensor.prototype, 'device', {
  get(this: Tensor) {
    return knownResidence(this)?.device ?? null;
  },
});
