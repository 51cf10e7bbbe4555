/** The libraries that weft is compared with: dependencies of bench/package.json, installed when they are first wanted. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decideHere, permit } from './install.mjs';
import { root } from './machine.mjs';

/** Runs `npm ci` in bench/ where what is installed isn't what the lock file says. */
export async function installPeers() {
  const folder = join(root, 'bench');
  if (versions(join(folder, 'package-lock.json')) === versions(join(folder, 'node_modules/.package-lock.json'))) return;
  const what = 'the libraries that it is compared with';
  const wish = { what, how: 'what bench/package.json lists, with npm', instead: 'run `npm ci` in the folder bench.' };
  await permit(wish, decideHere(false));
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
}

/**
 * Packages and versions in a lock file, as text; undefined where there is no such file.
 * @param {string} file
 * @returns {string | undefined}
 */
function versions(file) {
  if (!existsSync(file)) return undefined;
  const { packages } = JSON.parse(readFileSync(file, 'utf8'));
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, { version }]) => `${path} ${version}`)
    .sort()
    .join('\n');
}
