export type { ByteSource } from './bytes.ts';
export { loadFile, saveFile } from './files.ts';
export type { Source, Target } from './places.ts';
export {
  type HostTensor,
  type ReadOptions,
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
} from './safetensors.ts';
