/** ONNX models made in code. */

import { onnx } from 'onnx-proto';

export interface Graph {
  readonly nodes: readonly {
    readonly op: string;
    readonly domain?: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
    readonly attributes?: Readonly<Record<string, number | string>>;
  }[];
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Scalars by name. */
  readonly constants?: Readonly<Record<string, number>>;
}

type Inputs = Readonly<Record<string, readonly [data: ArrayLike<unknown>, shape: readonly number[]]>>;

const { DataType } = onnx.TensorProto;
const { AttributeType } = onnx.AttributeProto;

/** The model as a file's bytes; everything computes in float32. */
export function modelOf({ nodes, outputs, constants = {} }: Graph, inputs: Inputs): Uint8Array {
  return onnx.ModelProto.encode(
    onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [
        { domain: '', version: 20 },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: {
        name: 'bench',
        node: nodes.map(({ op, domain = '', inputs, outputs, attributes = {} }) => ({
          opType: op,
          domain,
          input: [...inputs],
          output: [...outputs],
          attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
        })),
        input: Object.entries(inputs).map(([name, [data, shape]]) => value(name, shape, elementType(data))),
        output: Object.entries(outputs).map(([name, shape]) => value(name, shape, DataType.FLOAT)),
        initializer: Object.entries(constants).map(([name, number]) => ({
          name,
          dims: [],
          dataType: DataType.FLOAT,
          floatData: [number],
        })),
      },
    }),
  ).finish();
}

function elementType(data: ArrayLike<unknown>): number {
  if (data instanceof Float32Array) return DataType.FLOAT;
  return data instanceof Int32Array ? DataType.INT32 : DataType.INT64;
}

function value(name: string, shape: readonly number[], elemType: number): onnx.IValueInfoProto {
  return { name, type: { tensorType: { elemType, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } } };
}

/** Whole numbers become integers, unless the attribute is one of those that are always floats. */
function attribute(name: string, value: number | string): onnx.IAttributeProto {
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (Number.isInteger(value)) return { name, type: AttributeType.INT, i: value };
  return { name, type: AttributeType.FLOAT, f: value };
}
