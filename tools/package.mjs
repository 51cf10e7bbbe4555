/** `npm run package`: builds the package, checks what consumers' tools make of it, and says how much they carry. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { rollup } from 'rollup';
import { build } from 'vite';
import webpack from 'webpack';
import { denoEnvironment, denoFlags, ensureVulkan, findDeno, root } from './machine.mjs';

/** The set that a page of the smallest size needs. */
const least = ['init', 'tensor', 'matmul', 'parameter', 'grad', 'compile'];

/** What `core` leaves out of the main entry, with all that only these lead to. */
const apart = ['models', 'text', 'io'];

/**
 * Bytes that a page loads at its start which imports all of an entry, gzipped, as the largest of the four bundlers makes it;
 * `least` is that set of `minimal`, and `core` is the main entry without `apart`. A figure that is raised has its reason in the message of the commit.
 * @type {Readonly<Record<string, number>>}
 */
const most = {
  index: 198_500,
  core: 178_800,
  least: 64_400,
  minimal: 68_400,
  nn: 120_700,
  optim: 64_500,
  models: 139_600,
  train: 87_700,
  io: 33_600,
  text: 4_000,
  insight: 35_900,
};

const folder = mkdtempSync(join(tmpdir(), 'weft-package-'));
/** Rollup finds no packages by itself. */
const installedOnly = {
  name: 'installed',
  /** @param {string} id */
  resolveId: (id) =>
    id.startsWith('weft-gpu')
      ? join(folder, 'node_modules', 'weft-gpu', 'dist', `${id.slice('weft-gpu/'.length) || 'index'}.js`)
      : null,
};

try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

async function main() {
  await build({ root, logLevel: 'warn' });
  const tarball = pack();
  const installed = join(folder, 'node_modules', 'weft-gpu');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
  let good = check('files', missingFiles(installed));
  good = check('publint', run('publint', ['run', tarball, '--strict'])) && good;
  good = check('types', run('attw', [tarball, '--profile', 'esm-only', '--no-emoji'])) && good;
  good = check('names', await lostNames(installed)) && good;
  good = check('numbers', await differentNumbers(join(installed, 'dist', 'index.js'))) && good;
  for (const [entry, limit] of Object.entries(most)) {
    const sizes = await bundled(entry);
    const largest = Math.max(...Object.values(sizes));
    const list = Object.entries(sizes).map(([name, size]) => `${name} ${(size / 1000).toFixed(1)}`);
    console.log(`${entry.padEnd(8)} ${list.join(', ')} kB gzipped, at most ${limit / 1000} kB`);
    if (largest > limit) {
      console.error(`  ✗ ${entry} takes ${largest} bytes, which is more than ${limit}`);
      good = false;
    }
  }
  return good;
}

/** @returns {string} the path of the tarball */
function pack() {
  execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  const name = execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root, encoding: 'utf8' });
  return join(folder, name.trim());
}

/**
 * What ought to be in the package, and is not.
 * @param {string} installed
 */
function missingFiles(installed) {
  const files = new Set(readdirSync(installed, { recursive: true, encoding: 'utf8' }));
  const wanted = [
    'LICENSE',
    'CHANGELOG.md',
    'README.md',
    ...Object.keys(most).flatMap((name) => (['core', 'least'].includes(name) ? [] : `dist/${name}.js`)),
  ];
  const code = [...files].filter((file) => file.startsWith('dist/chunks/') && file.endsWith('.js'));
  const maps = code.map((file) => `${file}.map`);
  // Chunks of a few lines that only join others have no source to map to.
  const small = (/** @type {string} */ map) => readFileSync(join(installed, map.slice(0, -4))).length < 500;
  const missing = [...wanted, ...maps.filter((map) => !files.has(map) && !small(map))].filter(
    (file) => !files.has(file),
  );
  return missing.length > 0 ? `the package has no ${missing.join(', ')}` : '';
}

/**
 * Classes that the package calls by another name than it exports them by: messages tell of them by name.
 * @param {string} installed
 */
async function lostNames(installed) {
  const lost = [];
  for (const file of readdirSync(join(installed, 'dist')).filter((each) => each.endsWith('.js'))) {
    /** @type {Record<string, unknown>} */
    const exported = await import(pathToFileURL(join(installed, 'dist', file)).href);
    for (const [name, value] of Object.entries(exported)) {
      const isClass = typeof value === 'function' && /^class\b/.test(String(value));
      if (isClass && value.name !== name) lost.push(`${name} of ${file} is called ${value.name}`);
    }
  }
  return lost.join('\n');
}

/**
 * What the package computes in another way than the sources: the build changes the text of shaders.
 * @param {string} entry
 */
async function differentNumbers(entry) {
  await ensureVulkan();
  const deno = await findDeno();
  const parameters = ['run', ...denoFlags, join(root, 'tools/trial.mjs')];
  const options = /** @type {const} */ ({ encoding: 'utf8', env: denoEnvironment, stdio: 'pipe' });
  try {
    const [packed, sources] = [entry, join(root, 'src/index.ts')].map((path) =>
      execFileSync(deno, [...parameters, path], options),
    );
    return packed === sources ? '' : `the package prints\n${packed}\nand the sources\n${sources}`;
  } catch (error) {
    return String(/** @type {{ stderr?: string }} */ (error).stderr ?? error);
  }
}

/**
 * @param {string} command
 * @param {string[]} parameters
 * @returns {string} what it says where it ends with an error
 */
function run(command, parameters) {
  try {
    execFileSync('npx', ['--no-install', command, ...parameters], { cwd: root, encoding: 'utf8', stdio: 'pipe' });
    return '';
  } catch (error) {
    const { stdout = '', stderr = '' } = /** @type {{ stdout?: string, stderr?: string }} */ (error);
    return `${stdout}${stderr}`;
  }
}

/**
 * @param {string} what
 * @param {string} problem
 */
function check(what, problem) {
  console.log(`${what.padEnd(8)} ${problem === '' ? 'clean' : ''}`);
  if (problem !== '') console.error(problem);
  return problem === '';
}

/**
 * Bytes that a page loads at its start which imports all of an entry, gzipped file by file, by bundler. What is loaded only
 * when it is needed is not among them.
 * @param {string} entry
 * @returns {Promise<Record<string, number>>}
 */
async function bundled(entry) {
  const input = join(folder, `${entry}.mjs`);
  const { path, names } = await imported(entry);
  writeFileSync(input, `export ${names} from 'weft-gpu${path}';\n`);
  const viteOut = await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      modulePreload: false,
      target: 'es2022',
      rolldownOptions: { input, preserveEntrySignatures: 'strict', output: { format: 'es' } },
    },
  });
  const [viteResult] = [viteOut].flat();
  const esbuildOut = await esbuild.build({
    entryPoints: [input],
    bundle: true,
    splitting: true,
    outdir: join(folder, 'esbuild'),
    format: 'esm',
    minify: true,
    target: 'es2022',
    write: false,
    metafile: true,
    external: ['node:*'],
  });
  const rollupOut = await rollup({ input, plugins: [installedOnly], onwarn() {} });
  const { output } = await rollupOut.generate({ format: 'es' });
  const minified = await Promise.all(
    atStart(output).map((code) => esbuild.transform(code, { minify: true, format: 'esm', target: 'es2022' })),
  );
  return {
    vite: gzipped(viteResult && 'output' in viteResult ? atStart(viteResult.output) : []),
    esbuild: gzipped(atStart(chunksOf(esbuildOut))),
    rollup: gzipped(minified.map(({ code }) => code)),
    webpack: gzipped([await webpacked(input)]),
  };
}

/**
 * The path of what a row of `most` imports, and the names.
 * @param {string} entry
 */
async function imported(entry) {
  if (entry === 'least') return { path: '/minimal', names: `{ ${least.join(', ')} }` };
  if (entry !== 'core') return { path: entry === 'index' ? '' : `/${entry}`, names: '*' };
  const whole = await import(pathToFileURL(join(folder, 'node_modules', 'weft-gpu', 'dist', 'index.js')).href);
  return {
    path: '',
    names: `{ ${Object.keys(whole)
      .filter((name) => !apart.includes(name))
      .join(', ')} }`,
  };
}

/**
 * @typedef {object} Chunk a file of a bundle
 * @property {string} fileName
 * @property {string} [code]
 * @property {boolean} [isEntry]
 * @property {string[]} [imports] names of files that are loaded with it
 */

/**
 * Code of the entry, and of all that is loaded with it.
 * @param {readonly Chunk[]} chunks
 * @returns {string[]}
 */
function atStart(chunks) {
  const wanted = new Set(chunks.filter(({ isEntry }) => isEntry));
  for (const { imports } of wanted) {
    for (const chunk of chunks) if (imports?.includes(chunk.fileName)) wanted.add(chunk);
  }
  return [...wanted].map(({ code = '' }) => code);
}

/**
 * @param {esbuild.BuildResult<{ metafile: true, write: false }>} result
 * @returns {Chunk[]}
 */
function chunksOf({ metafile, outputFiles }) {
  return Object.entries(metafile.outputs).map(([fileName, { entryPoint, imports }]) => ({
    fileName,
    code: outputFiles.find(({ path }) => path.endsWith(basename(fileName)))?.text ?? '',
    isEntry: basename(entryPoint ?? '') === basename(fileName).replace(/\.js$/, '.mjs'),
    imports: imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => path),
  }));
}

/**
 * @param {string} input
 * @returns {Promise<string>}
 */
function webpacked(input) {
  const compiler = webpack({
    mode: 'production',
    context: folder,
    entry: input,
    experiments: { outputModule: true },
    output: { path: join(folder, 'webpack'), filename: 'out.js', library: { type: 'module' } },
    optimization: { splitChunks: false },
    performance: { hints: false },
  });
  return new Promise((resolve, reject) => {
    compiler.run((error, stats) => {
      if (error || stats?.hasErrors()) reject(error ?? new Error(stats?.toString('errors-only')));
      else resolve(readFileSync(join(folder, 'webpack', 'out.js'), 'utf8'));
    });
  });
}

/** @param {readonly string[]} files */
function gzipped(files) {
  return files.reduce((sum, code) => sum + gzipSync(code, { level: 9 }).length, 0);
}
