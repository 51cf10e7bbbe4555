export { loadFile, saveFile } from './files.ts';
export { type HostTensor, readSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors.ts';
