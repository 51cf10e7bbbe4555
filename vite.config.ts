import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, minifySync, type Plugin } from 'vite';
import { configDefaults, defineConfig } from 'vitest/config';
import { isPartOf, type Run } from './test/runs.ts';
import { pureCalls } from './tools/pure.mjs';
import { minifyWgsl } from './tools/wgsl.mjs';

// `vitest` on Node drives headless Chromium; `deno run -A node_modules/vitest/vitest.mjs` runs the same files in Deno. Other
// runs have a name: WEFT_RUNTIME.
const inDeno = 'Deno' in globalThis;

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What can be imported: the whole, and parts of it by themselves. The names are those of `exports` in package.json. */
const entries = {
  index: 'src/index.ts',
  minimal: 'src/minimal.ts',
  nn: 'src/nn/index.ts',
  optim: 'src/optim/index.ts',
  models: 'src/models/index.ts',
  train: 'src/train/index.ts',
  io: 'src/files/index.ts',
  text: 'src/text/index.ts',
  insight: 'src/insight/index.ts',
};

/** What several entries share lies in chunks of its own, so that a tensor of one is a tensor of all. */
const library: BuildOptions = {
  target: 'es2022',
  sourcemap: true,
  modulePreload: false,
  rolldownOptions: {
    // For `pure`.
    experimental: { nativeMagicString: true },
    input: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, file(path)])),
    preserveEntrySignatures: 'strict',
    output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name].js', minify: false },
  },
};

/** The pages: `npm run site`. */
const site: BuildOptions = {
  target: 'es2022',
  outDir: 'site',
  rolldownOptions: { input: [file('index.html'), file('bench/index.html')] },
};

const run: Run = {
  runtime: (process.env.WEFT_RUNTIME as Run['runtime'] | undefined) ?? (inDeno ? 'deno' : 'chromium'),
  profile: process.env.WEFT_PROFILE === 'gpu' ? 'gpu' : 'software',
};

export default defineConfig(async ({ mode }) => ({
  // Relative, so that the site can lie in any folder of a server.
  base: './',
  plugins: [wgsl(), ...(mode === 'site' ? [] : [short(), pure()])],
  // Several parts of the suite run at the same time.
  cacheDir: `node_modules/.vite/${process.env.WEFT_CACHE ?? (inDeno ? 'deno' : 'node')}`,
  build: mode === 'site' ? site : library,
  // The benchmark page says itself which library it can't load.
  server: { hmr: { overlay: false } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(mode === 'test' ? testsOfOtherRuns() : [])],
    env: {
      WEFT_RUNTIME: run.runtime,
      WEFT_PROFILE: run.profile,
      WEFT_FUZZ: process.env.WEFT_FUZZ ?? '',
      WEFT_SOAK: process.env.WEFT_SOAK ?? '',
      WEFT_SEED: process.env.WEFT_SEED ?? String(Math.floor(Math.random() * 2 ** 32)),
    },
    // One page or one process for all files: starting one and creating pipelines is what costs.
    isolate: false,
    fileParallelism: false,
    // Only a hang takes this long; some tests take a minute with a software adapter on a slow machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    ...(await placeOf(run)),
  },
}));

/** See test/runs.ts. */
function testsOfOtherRuns() {
  const files = readdirSync(file('test'), { recursive: true, encoding: 'utf8' }).map(
    (name) => `test/${name.replaceAll('\\', '/')}`,
  );
  return files.filter((name) => name.endsWith('.test.ts') && !isPartOf(name, run));
}

/** Where the tests of a run are executed. */
async function placeOf({ runtime }: Run) {
  if (runtime === 'worker') return { pool: 'threads' as const, setupFiles: [file('test/support/worker.ts')] };
  const process = { pool: 'forks' as const, execArgv: ['--expose-gc'] };
  if (runtime === 'deno') return process;
  if (runtime === 'node') return { ...process, setupFiles: [file('test/support/node.ts')] };
  const { puppeteer } = await import('./test/support/puppeteer.ts');
  return {
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: puppeteer(runtime),
      instances: [{ browser: runtime }],
    },
  };
}

/**
 * Serves `.wgsl` files as their text; the build leaves out what no compiler needs. A module that a test imports with
 * `?packed` leads to modules of its own, whose shaders are as the build makes them.
 */
function wgsl(): Plugin {
  const packed = '?packed';
  let building = false;
  return {
    name: 'wgsl',
    enforce: 'pre',
    configResolved({ command }) {
      building = command === 'build';
    },
    async resolveId(specifier, importer, options) {
      if (!importer?.endsWith(packed) || !specifier.startsWith('.')) return null;
      const resolved = await this.resolve(specifier, importer.slice(0, -packed.length), options);
      return resolved && { ...resolved, id: `${resolved.id}${packed}` };
    },
    transform(source, id) {
      if (!/\.wgsl(\?packed)?$/.test(id)) return null;
      const text = JSON.stringify(building || id.endsWith(packed) ? minifyWgsl(source) : source);
      return { code: `export default ${text}`, map: { mappings: '' } };
    },
  };
}

/** Minifies chunks. The bundler would do it after all plugins, and take the marks of `pure` away. */
function short(): Plugin {
  return {
    name: 'short',
    apply: 'build',
    renderChunk(code, { fileName }) {
      // Classes keep their names, which messages tell of: `[Linear] inFeatures must be …`.
      const keepNames = { class: true, function: false };
      const compress = { target: 'es2022', keepNames };
      const options = { module: true, compress, mangle: { keepNames }, sourcemap: true };
      const { code: minified, map, errors } = minifySync(fileName, code, options);
      if (errors[0]) throw new Error(`${fileName}: ${errors[0].message}`);
      return map ? { code: minified, map } : minified;
    },
  };
}

/** Marks calls that bundlers may drop with the constants that nobody uses: see tools/pure.mjs. */
function pure(): Plugin {
  return {
    name: 'pure',
    apply: 'build',
    renderChunk(code, _, __, { magicString }) {
      if (!magicString) throw new Error('the build has no magic strings');
      for (const at of pureCalls(this.parse(code))) magicString.appendLeft(at, '/*#__PURE__*/');
      return { code: magicString.toString(), map: magicString.generateMap({ hires: 'boundary' }).toString() };
    },
  };
}
