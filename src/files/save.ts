import { declareOptions, object } from '../core/options.ts';
import { fromHost } from '../graph/leaf.ts';
import { Tensor } from '../graph/tensor.ts';
import { kindOf } from '../io/bytes.ts';
import { namedTensors } from '../io/named.ts';
import { readFrom, type Source, type Target, writeTo } from '../io/places.ts';
import {
  type HostTensor,
  isHostTensor,
  type ReadOptions,
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
} from '../io/safetensors.ts';
import { readAll } from '../runtime/eager.ts';

/** What can be saved: a model or an optimizer, or tensors by name, on the device or not, in a Map or an object. */
export type Saveable =
  | {
      /** The tensors to save, by name. */
      stateDict(): ReadonlyMap<string, Tensor>;
    }
  | ReadonlyMap<string, Tensor | HostTensor>
  | Readonly<Record<string, Tensor | HostTensor>>;

/** What `save` writes besides tensors. */
export interface SaveOptions {
  /** Texts that go into the file with the tensors. */
  metadata?: Readonly<Record<string, string>>;
}

const saveOptions = declareOptions<SaveOptions>({ metadata: object });

/** The tensors of a file by name, as `loadStateDict` takes them, and what else there is to know of the file. */
export class LoadedFile extends Map<string, Tensor> {
  /** See `SafetensorsFile`. */
  readonly metadata: SafetensorsFile['metadata'];
  /** See `SafetensorsFile`. */
  readonly notes: SafetensorsFile['notes'];
  /** See `SafetensorsFile`. */
  readonly refused: SafetensorsFile['refused'];

  constructor({ tensors, metadata, notes, refused }: SafetensorsFile) {
    super(Object.entries(tensors).map(([name, tensor]) => [name, fromHost(tensor, tensor.data)]));
    this.metadata = metadata;
    this.notes = notes;
    this.refused = refused;
  }
}

/**
 * Saves a model, an optimizer or tensors by name as a safetensors file, which PyTorch reads, too: to a path or `file:` URL
 * (Deno and Node) or to the handle of a file, and gives the bytes, all that is done without a target. A path has its old
 * file until the new one is whole. Throws ValueError where there are no tensors, or something else, and what
 * `writeSafetensors` throws; UnsupportedError for a path in a browser.
 */
export async function save(what: Saveable, to?: Target, options?: SaveOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { metadata } = saveOptions('io.save', options);
  const entries = namedTensors('io.save', stateOf(what), isTensor, (value) => `${kindOf(value)}, no tensor`);
  const tensors = entries.flatMap(([, value]) => (value instanceof Tensor ? [value] : []));
  const values = new Map((await readAll(tensors)).map((data, i) => [tensors[i], data]));
  const host = entries.map(([name, value]): [string, HostTensor] => {
    if (!(value instanceof Tensor)) return [name, value];
    const { dtype, shape } = value;
    return [name, { dtype, shape, data: values.get(value) as HostTensor['data'] }];
  });
  const bytes = writeSafetensors(new Map(host), metadata);
  if (to !== undefined) await writeTo('io.save', to, bytes);
  return bytes;
}

/**
 * Loads a safetensors file, from a path or `file:` URL (Deno and Node), the handle of a file, bytes, a Blob or File, or the
 * Response of `fetch`: `model.loadStateDict(await io.load(path))`. Errors and what is converted: as in `readSafetensors`.
 */
export async function load(from: Source, options?: ReadOptions): Promise<LoadedFile> {
  return new LoadedFile(readSafetensors(await readFrom('io.load', from), options));
}

const isTensor = (value: unknown): value is Tensor | HostTensor => value instanceof Tensor || isHostTensor(value);

function stateOf(what: unknown): unknown {
  const { stateDict } = Object(what) as { stateDict?: unknown };
  return typeof stateDict === 'function' ? stateDict.call(what) : what;
}
