import { FormatError, UnsupportedError } from '../core/errors.ts';
import { oneByOne } from '../core/oneByOne.ts';
import { brief, briefly, type Kind } from '../core/options.ts';
import { version } from '../core/version.ts';
import type { Device } from '../device/device.ts';
import { loadFile, makeFolder, saveFile } from '../io/files.ts';
import { exclusively } from '../io/lock.ts';
import { checkChoices } from '../kernels/choices.ts';
import type { Choices } from '../kernels/kernel.ts';

/** Keeps texts from one run to the next: where tuned choices go. */
export interface ChoiceStore {
  /** Where it is, for messages. */
  readonly name: string;
  /** Gives the text under a key; null where there is none. */
  read(key: string): Promise<string | null>;
  /** Puts a text under a key, over the one that is there. */
  write(key: string, text: string): Promise<void>;
  /**
   * Writes what `change` makes of the text that is there, null where there is none; nobody else writes meanwhile, in another
   * process neither. A store that has it loses nothing where several programs tune at once.
   */
  update?(key: string, change: (text: string | null) => string): Promise<void>;
}

export const storeKind: Kind<ChoiceStore> = {
  wanted: 'a store { name, read, write }',
  accepts: (value): value is ChoiceStore => {
    const { read, write, update } = Object(value) as Partial<ChoiceStore>;
    return [read, write, update ?? write].every((each) => typeof each === 'function');
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
    update: async (key, change) => storage.setItem(key, change(storage.getItem(key))),
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
        `[choices] ${brief(path, 200)} is no file of tuned choices: ${messageOf(error)}; delete it, or pass another store`,
      );
    }
  };
  // Who adds to a file reads it first, and would lose what another adds meanwhile.
  const update = async (key: string, change: (text: string | null) => string) => {
    await makeFolder(path.replace(/[^/]*$/, '') || '.');
    await exclusively('choices', path, async () => {
      const before = await entries();
      const json = JSON.stringify({ ...before, [key]: change(before[key] ?? null) }, null, 1);
      await saveFile(path, new TextEncoder().encode(`${json}\n`));
    });
  };
  return {
    name: path,
    read: async (key) => (await entries())[key] ?? null,
    write: (key, text) => update(key, () => text),
    update,
  };
}

/** Choices hold for a version of weft, since that brings its kernels, and for an adapter. */
function keyOf({ adapter, profile }: TunedDevice): string {
  return `weft ${version}, ${adapter}, ${profile.selection}`;
}

type TunedDevice = Pick<Device, 'adapter'> & {
  /** The part of the profile that choices depend on. */
  readonly profile: Pick<Device['profile'], 'selection'>;
};

/**
 * What `tune` has stored for this adapter and this version of weft; null where it has not. Throws FormatError where the
 * store holds something else, UnsupportedError where there is no store.
 */
export async function storedChoices(device: TunedDevice, store: ChoiceStore = defaultStore()): Promise<Choices | null> {
  const key = keyOf(device);
  const text = await store.read(key);
  return text === null ? null : choicesIn(text, key, store);
}

function choicesIn(text: string, key: string, { name }: ChoiceStore): Choices {
  try {
    return checkChoices(asEntries(JSON.parse(text)));
  } catch (error) {
    throw new FormatError(
      `[choices] what ${brief(name, 200)} holds under ${briefly(key)} can't be used: ${messageOf(error)}; tune again to replace it`,
    );
  }
}

/** Stores without `update` are read, then written. */
const storing = oneByOne();

/** Adds to what is stored for this adapter and this version of weft, or replaces it where it can't be used. */
export async function storeChoices(device: TunedDevice, choices: Choices, store: ChoiceStore): Promise<void> {
  const key = keyOf(device);
  const added = (text: string | null) => {
    let before: Choices | null = null;
    try {
      before = text === null ? null : choicesIn(text, key, store);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
    return JSON.stringify({ ...before, ...choices });
  };
  if (store.update) await store.update(key, added);
  else await storing(async () => store.write(key, added(await store.read(key))));
}

function asEntries(value: unknown): Record<string, string> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || Object.values(value).some((each) => typeof each !== 'string'))
    throw new Error('it is no object of strings');
  return value as Record<string, string>;
}

const messageOf = (error: unknown) => brief(error instanceof Error ? error.message : String(error), 300);
