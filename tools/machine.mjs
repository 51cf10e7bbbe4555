/**
 * What tests, demo and benchmark need from the machine: Deno, a Chrome or Chromium, (on Linux) a Vulkan driver, and packages.
 * Everything is looked for first; what is missing is installed where that is possible and allowed (install.mjs), else the
 * error says what to do.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decideHere, permit } from './install.mjs';

/** The folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Flags for a headless Chrome that has WebGPU with or without a GPU, does not wait on a closed network,
 * and lets tests collect garbage. `WEFT_CHROME_FLAGS` adds what one machine's driver needs.
 */
export const chromeFlags = [
  '--enable-unsafe-webgpu',
  // Chrome's sandbox refuses to run as root.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--js-flags=--expose-gc',
  // A page may ask for another device when the GPU process is gone, and as often as it takes.
  '--disable-domain-blocking-for-3d-apis',
  '--disable-gpu-process-crash-limit',
  ...(process.env.WEFT_CHROME_FLAGS ?? '').split(' ').filter(Boolean),
];

/** Preferences for a headless Firefox that has WebGPU, in workers too, with or without a GPU. */
export const firefoxPreferences = {
  'dom.webgpu.enabled': true,
  'dom.webgpu.workers.enabled': true,
  'gfx.webgpu.ignore-blocklist': true,
  'gfx.webgpu.force-enabled': true,
};

/** Flags for `deno run`. Importing `.wgsl` files `with { type: 'text' }` needs none since Deno 2.9. */
export const denoFlags = ['-A', '--v8-flags=--expose-gc'];

/** Environment for `deno run`: Mesa's driver complains on each start where no session set XDG_RUNTIME_DIR. */
export const denoEnvironment =
  process.platform === 'linux' ? { XDG_RUNTIME_DIR: tmpdir(), ...process.env } : process.env;

/**
 * Environment for the package `webgpu` in Node. Dawn wants a newer Vulkan driver than some systems have; Chrome brings one
 * that computes on the CPU.
 */
export async function nodeEnvironment() {
  const folders = [dirname(await ensureBrowser()), '/usr/lib/chromium'];
  const driver = folders.map((folder) => join(folder, 'vk_swiftshader_icd.json')).find(existsSync);
  return { ...denoEnvironment, ...(driver && !process.env.VK_DRIVER_FILES ? { VK_ICD_FILENAMES: driver } : {}) };
}

/**
 * Path of the Deno binary: the one that npm installed, else the one on the PATH.
 * The platform package is asked directly, because npm does not run the install script of `deno`.
 * @returns {Promise<string>}
 */
export async function findDeno() {
  const libc = process.platform === 'linux' ? '-glibc' : '';
  const name = `@deno/${process.platform}-${process.arch}${libc}`;
  const file = process.platform === 'win32' ? 'deno.exe' : 'deno';
  const find = () => {
    try {
      // A fresh `require` each time: it remembers the folders that it did not find.
      return join(createRequire(import.meta.url).resolve(`${name}/package.json`), '..', file);
    } catch {
      return undefined;
    }
  };
  const found = find() ?? findOnPath([file]);
  if (found) return found;

  // The lock file may lack this platform's package.
  const { version } = readJson(join(root, 'node_modules/deno/package.json'));
  const instead = 'run `npm ci`, or install Deno 2.9 or newer (https://deno.com) and put it on the PATH.';
  await permit({ what: 'Deno', how: `${name}@${version} with npm`, instead }, decideHere(false));
  try {
    runNpm('npm', ['install', '--no-save', ...quietly, `${name}@${version}`], root);
  } catch {}
  const fetched = find();
  if (fetched) return fetched;
  throw new Error(`weft needs Deno, and npm could not install it: ${instead}`);
}

/**
 * How to find and fetch a browser.
 * @typedef {object} BrowserSource
 * @property {'chrome' | 'firefox'} browser as puppeteer calls it
 * @property {string} what is needed
 * @property {string} variable of the environment, which may name a binary
 * @property {string[]} names on the PATH
 * @property {string} title its name
 * @property {string} fetched what puppeteer fetches
 * @property {string} debian its package
 * @property {string} install what to install by hand
 */

/** @type {BrowserSource} */
const chrome = {
  browser: 'chrome',
  what: 'a browser',
  variable: 'CHROME_PATH',
  names: ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser', 'microsoft-edge'],
  title: 'Chrome',
  fetched: 'Chrome for Testing',
  debian: 'chromium',
  install: 'Chrome or Chromium',
};
/** @type {BrowserSource} */
const firefox = {
  browser: 'firefox',
  what: 'Firefox',
  variable: 'FIREFOX_PATH',
  names: ['firefox', 'firefox-esr'],
  title: 'Firefox',
  fetched: 'Firefox',
  debian: 'firefox-esr',
  install: 'Firefox',
};

/**
 * Path of a Chrome or Chromium: `CHROME_PATH`, an installed one, puppeteer's own, which is fetched where it is missing, or,
 * as root on Debian and Ubuntu, one installed with apt.
 * @returns {Promise<string>}
 */
export const ensureBrowser = () => ensure(chrome);

/**
 * The same for a Firefox: `FIREFOX_PATH` may name it.
 * @returns {Promise<string>}
 */
export const ensureFirefox = () => ensure(firefox);

/** @param {BrowserSource} source */
async function ensure({ browser, what, variable, names, title, fetched, debian, install }) {
  const { default: puppeteer } = await import('puppeteer');
  const named = process.env[variable];
  if (named && !existsSync(named)) throw new Error(`${variable} names a file that does not exist: ${named}`);
  /** @param {() => string} path what throws where there is nothing */
  const existing = (path) => {
    try {
      return [path()].find(existsSync);
    } catch {
      return undefined;
    }
  };
  const find = () =>
    named ||
    (findOnPath(names) ??
      // Where the system keeps Chrome.
      existing(() => (browser === 'chrome' ? puppeteer.executablePath('chrome') : '')) ??
      existing(() => puppeteer.executablePath({ browser })));
  const installed = find();
  if (installed) return installed;

  const instead =
    `install ${install} (Debian: \`apt-get install ${debian}\`; anywhere: ` +
    `\`npx puppeteer browsers install ${browser}\`), or set ${variable} to its binary.`;
  await permit({ what, how: `${fetched} into ~/.cache/puppeteer`, instead }, decideHere(false));
  try {
    runNpm('npx', ['puppeteer', 'browsers', 'install', browser], root, 'pipe');
  } catch (error) {
    const [reason] = /Error: .*(\n *- .*)*/.exec(String(error).replace(/^.*\n/, '')) ?? [error];
    console.error(`Fetching ${title} failed: ${reason}`);
    if (canUseApt()) await aptInstall({ what, packages: [debian], instead });
  }
  const found = find();
  if (found) return found;
  throw new Error(`weft needs ${what}, and none could be fetched: ${instead}`);
}

/**
 * Sees to it that Deno finds a Vulkan driver. Linux only: Metal and Direct3D come with their systems.
 * @returns {Promise<void>}
 */
export async function ensureVulkan() {
  if (process.platform !== 'linux' || hasVulkanDriver()) return;
  const [what, packages] = ['a Vulkan driver', ['mesa-vulkan-drivers', 'libvulkan1']];
  const instead =
    'install the one of your GPU, or the one that runs on the CPU ' +
    `(Debian, Ubuntu: \`sudo apt-get install ${packages.join(' ')}\`; Fedora: \`sudo dnf install mesa-vulkan-drivers\`).`;
  if (canUseApt()) {
    await aptInstall({ what, packages, instead });
    if (hasVulkanDriver()) return;
  }
  throw new Error(`weft needs a Vulkan driver, and there is none: ${instead}`);
}

/** What the folders with a package.json of their own are for. */
const packages = {
  bench: 'the libraries that it is compared with',
  'bench/static': "Dawn, Chrome's WebGPU, as a package of 130 MB",
};

/**
 * Runs `npm ci` in a folder where what is installed isn't what its lock file says.
 * @param {keyof typeof packages} name
 */
export async function ensurePackages(name) {
  const folder = join(root, name);
  if (versions(join(folder, 'package-lock.json')) === versions(join(folder, 'node_modules/.package-lock.json'))) return;
  const what = packages[name];
  const wish = {
    what,
    how: `what ${name}/package.json lists, with npm`,
    instead: `run \`npm ci\` in the folder ${name}.`,
  };
  await permit(wish, decideHere(false));
  runNpm('npm', ['ci', ...quietly], folder);
}

/**
 * Packages and versions in a lock file, as text; undefined where there is no such file.
 * @param {string} file
 * @returns {string | undefined}
 */
function versions(file) {
  if (!existsSync(file)) return undefined;
  /** @type {Record<string, { version: string }>} */
  const packages = readJson(file).packages;
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, { version }]) => `${path} ${version}`)
    .sort()
    .join('\n');
}

/**
 * @param {'npm' | 'npx'} program
 * @param {string[]} args
 * @param {string} cwd
 * @param {import('node:child_process').StdioOptions} [stdio]
 */
function runNpm(program, args, cwd, stdio = ['ignore', 2, 2]) {
  execFileSync(program, args, { cwd, stdio, shell: process.platform === 'win32' });
}

/** Nothing that a package brings is run, and nothing else is said. */
const quietly = ['--ignore-scripts', '--no-audit', '--no-fund'];

/** Sees to it that Node has WebGPU: a package, and the browser whose driver `nodeEnvironment` names. */
export async function ensureNodeGpu() {
  await ensurePackages('bench/static');
  await ensureBrowser();
}

/** @returns {boolean} */
function hasVulkanDriver() {
  if (process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES) return true;
  const data = process.env.XDG_DATA_DIRS?.split(delimiter) ?? ['/usr/local/share', '/usr/share'];
  return ['/etc', ...data].some((folder) => {
    const drivers = join(folder, 'vulkan', 'icd.d');
    return existsSync(drivers) && readdirSync(drivers).some((file) => file.endsWith('.json'));
  });
}

/** @returns {boolean} */
function canUseApt() {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && findOnPath(['apt-get']) !== undefined;
}

/**
 * @param {{ what: string, packages: string[], instead: string }} wish
 */
async function aptInstall({ what, packages, instead }) {
  await permit({ what, how: `${packages.join(', ')} with apt-get`, instead }, decideHere(true));
  const options = {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    encoding: /** @type {const} */ ('utf8'),
  };
  try {
    execFileSync('apt-get', ['update', '-qq'], { ...options, stdio: 'pipe' });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
      ...options,
      stdio: 'pipe',
    });
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
  }
}

/**
 * @param {string[]} names
 * @returns {string | undefined}
 */
function findOnPath(names) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
