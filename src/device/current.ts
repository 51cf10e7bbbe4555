import { UnsupportedError } from '../core/errors.ts';
import type { Device } from './device.ts';

let defaultDevice: Device | null = null;
/** Whether there has been an `init()`. */
export const hasDevice = (): boolean => defaultDevice !== null;

/** The device of the last `init()`. */
export function currentDevice(): Device {
  if (!defaultDevice) throw new UnsupportedError('[device] there is no device yet: call `await init()` first');
  return defaultDevice;
}

/** Makes a device the default for tensors that follow. */
export function useDevice(device: Device): void {
  defaultDevice = device;
}
