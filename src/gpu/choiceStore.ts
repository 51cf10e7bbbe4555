import { FormatError, UnsupportedError } from '../errors.ts';
import { loadFile, makeFolder, saveFile } from '../io/files.ts';
import { checkChoices } from '../kernels/families.ts';
import type { Choices } from '../kernels/kernel.ts';
import type { Kind } from '../options.ts';
import { version } from '../version.ts';
import type { Device } from './device.ts';
import { oneByOne } from './oneByOne.ts';

/** Keeps texts from one run to the next: where tuned choices go. */
export interface ChoiceStore {
  /** Where it is, for messages. */
  readonly name: string;
  read(key: string): Promise<string | null>;
  write(key: string, text: string): Promise<void>;
}

export const storeKind: Kind<ChoiceStore> = {
  wanted: 'a store { name, read, write }',
  accepts: (value): value is ChoiceStore => {
    const { read, write } = Object(value) as Partial<ChoiceStore>;
    return typeof read === 'function' && typeof write === 'function';
  },
};

/** The part of Node's `process` that is used; Deno has it too, and what bundlers put in its place has no modules. */
interface Process {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  readonly getBuiltinModule?: unknown;
}
const { process } = globalThis as { process?: Process };

/**
 * `localStorage` in a page; in Deno and Node a file in the user's folder of caches. Throws UnsupportedError elsewhere, and
 * in Deno without the permissions for it.
 */
export function defaultStore(): ChoiceStore {
  if (process?.getBuiltinModule) {
    try {
      return inFile(`${cacheFolder(process)}/weft/choices.json`);
    } catch (error) {
      throw unlessPermitted(error);
    }
  }
  const storage = pageStorage();
  if (!storage)
    throw new UnsupportedError(
      '[choices] nothing is kept here from one run to the next: this runtime has no localStorage, or it is blocked; pass a store of your own, { name, read, write }, or null',
    );
  return {
    name: 'localStorage',
    read: async (key) => storage.getItem(key),
    write: async (key, text) => storage.setItem(key, text),
  };
}

/** Where cookies are blocked, even to look for the storage is an error. */
function pageStorage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}

/** Deno tells which permission is missing. */
function unlessPermitted(error: unknown): unknown {
  if ((error as Error).name !== 'NotCapable') return error;
  return new UnsupportedError(
    `[choices] nothing is kept here from one run to the next: ${messageOf(error)}, or pass a store of your own, { name, read, write }`,
    { cause: error },
  );
}

function cacheFolder({ env, platform }: Process): string {
  const home = env.HOME ?? env.USERPROFILE ?? '.';
  if (platform === 'win32') return env.LOCALAPPDATA ?? `${home}/AppData/Local`;
  return platform === 'darwin' ? `${home}/Library/Caches` : env.XDG_CACHE_HOME || `${home}/.cache`;
}

/** Who adds to a file reads it first, and would lose what another adds meanwhile. */
const writing = oneByOne();

/** A JSON object with an entry for each key. A file that is none is left alone: FormatError. */
export function inFile(path: string): ChoiceStore {
  const entries = async (): Promise<Record<string, string>> => {
    let bytes: Uint8Array;
    try {
      bytes = await loadFile(path);
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return {};
      throw unlessPermitted(error);
    }
    try {
      return asEntries(JSON.parse(new TextDecoder().decode(bytes)));
    } catch (error) {
      throw new FormatError(
        `[choices] ${path} is no file of tuned choices: ${messageOf(error)}; delete it, or pass another store`,
      );
    }
  };
  return {
    name: path,
    read: async (key) => (await entries())[key] ?? null,
    write: (key, text) =>
      writing(async () => {
        const json = JSON.stringify({ ...(await entries()), [key]: text }, null, 1);
        await makeFolder(path.replace(/[^/]*$/, '') || '.');
        await saveFile(path, new TextEncoder().encode(`${json}\n`));
      }),
  };
}

/** Choices hold for a version of weft, since that brings its kernels, and for an adapter. */
function keyOf({ adapter, profile }: TunedDevice): string {
  return `weft ${version}, ${adapter}, ${profile.selection}`;
}

type TunedDevice = Pick<Device, 'adapter'> & { readonly profile: Pick<Device['profile'], 'selection'> };

/**
 * What `tune` has stored for this adapter and this version of weft; null where it has not. Throws FormatError where the
 * store holds something else, UnsupportedError where there is no store.
 */
export async function storedChoices(device: TunedDevice, store: ChoiceStore = defaultStore()): Promise<Choices | null> {
  const key = keyOf(device);
  const text = await store.read(key);
  if (text === null) return null;
  try {
    return checkChoices(asEntries(JSON.parse(text)));
  } catch (error) {
    throw new FormatError(
      `[choices] what ${store.name} holds under ${JSON.stringify(key)} can't be used: ${messageOf(error)}; tune again to replace it`,
    );
  }
}

/** The same for the choices of one adapter. */
const storing = oneByOne();

/** Adds to what is stored for this adapter and this version of weft, or replaces it where it can't be used. */
export function storeChoices(device: TunedDevice, choices: Choices, store: ChoiceStore): Promise<void> {
  return storing(async () => {
    const before = await storedChoices(device, store).catch((error) => {
      // A whole file that is broken may be somebody else's: writing to it fails.
      if (error instanceof FormatError) return null;
      throw error;
    });
    await store.write(keyOf(device), JSON.stringify({ ...before, ...choices }));
  });
}

function asEntries(value: unknown): Record<string, string> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || Object.values(value).some((each) => typeof each !== 'string'))
    throw new Error('it is no object of strings');
  return value as Record<string, string>;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
