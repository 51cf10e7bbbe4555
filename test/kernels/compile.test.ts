import { describe, expect, it } from 'vitest';
import type { Dispatch } from '../../src/kernels/kernel.ts';
import { type SpecialisedShader, specialise, withLibrary } from '../../src/kernels/specialise.ts';
import { profile, runtime } from '../support/environment.ts';
import { compileModule, gpu, pipelineOf, profiles, runProfile } from '../support/kernels.ts';
import { dispatchesOf, familyNames } from './problems.ts';

/**
 * Every text that selection can choose under the run's profile compiles, without a message; under the profile `software`,
 * each that `gpu` does not have as well. All do as shader modules, which is where both compilers check a text. Software
 * adapters compile a pipeline to machine code when it is created, for up to seconds: those are made that together show each
 * setting of a shader, of numbers the least and the greatest.
 */

interface Text {
  readonly kernel: string;
  readonly source: string;
  readonly shader: SpecialisedShader;
  /** What was set in the shader, to tell texts apart. */
  readonly settings: Readonly<Record<string, number | boolean | string>>;
}

function textsOf(dispatches: readonly Dispatch[]): Text[] {
  const texts = new Map<string, Text>();
  for (const dispatch of dispatches) {
    const hooks = Object.fromEntries(Object.keys(dispatch.functions ?? {}).map((name) => [name, 'replaced']));
    const given = specialise(dispatch);
    for (const shader of given.general ? [given, given.general()] : [given]) {
      if (texts.has(shader.code)) continue;
      const settings = { kernel: dispatch.kernel, ...dispatch.constants, ...hooks, general: shader !== given };
      texts.set(shader.code, { kernel: dispatch.kernel, source: dispatch.source, shader, settings });
    }
  }
  return [...texts.values()];
}

/**
 * Texts that together show each setting of their shaders, of numbers the least and the greatest: as few as taking again and
 * again the one that shows the most of what is left finds.
 */
function covering(texts: readonly Text[]): Text[] {
  const ranges = new Map<string, [least: number, greatest: number]>();
  for (const [name, value] of texts.flatMap(settingsOf)) {
    if (typeof value !== 'number') continue;
    const [least, greatest] = ranges.get(name) ?? [value, value];
    ranges.set(name, [Math.min(least, value), Math.max(greatest, value)]);
  }
  const shown = texts.map((text) =>
    settingsOf(text).flatMap(([name, value]) =>
      typeof value !== 'number' || ranges.get(name)?.includes(value) ? [`${name} = ${value}`] : [],
    ),
  );
  const left = new Set(shown.flat());
  const chosen: Text[] = [];
  while (left.size > 0) {
    const counts = shown.map((settings) => settings.filter((each) => left.has(each)).length);
    const best = counts.indexOf(Math.max(...counts));
    for (const each of shown[best] as string[]) left.delete(each);
    chosen.push(texts[best] as Text);
  }
  return chosen;
}

const settingsOf = ({ source, settings }: Text) =>
  Object.entries(settings).map(([name, value]) => [`${source}: ${name}`, value] as const);

/** Texts that the runs under the profile `gpu` compile. */
const elsewhere = (family: string): ReadonlySet<string> =>
  profile === 'gpu'
    ? new Set()
    : new Set(textsOf(dispatchesOf(family, { ...runProfile, selection: 'gpu' })).map(({ shader }) => shader.code));

describe(`what selection can choose for ${profile}`, () => {
  for (const family of familyNames) {
    it(`compiles: ${family}`, async () => {
      const all = textsOf(dispatchesOf(family, runProfile));
      expect(all.length).toBeGreaterThan(0);
      const others = elsewhere(family);
      const texts = all.filter(({ shader }) => !others.has(shader.code));
      await Promise.all(texts.map(({ kernel, shader }) => compileModule(kernel, shader.code)));
      const chosen = covering(texts);
      for (const { kernel, shader } of chosen) await pipelineOf(kernel, shader, 1);
      console.log(`${family}: ${texts.length} texts, ${chosen.length} pipelines`);
    });
  }

  /**
   * wgpu keeps the binding sizes that the first pipeline of a pass expects where pipelines share a layout (gfx-rs/wgpu 7359),
   * so none may expect more than a vector, which every binding has.
   */
  it('binds storage without a size of its own', () => {
    const least = /^(array<.*>|(atomic<)?[fiu]32>?|vec[234]<[fiu]32>)$/;
    // Up to three words, and an array behind them.
    const struct = /^(\w+: (atomic<)?[fiu]32>?, ){0,3}\w+: (array<.*>)$/;
    for (const family of familyNames) {
      for (const { kernel, shader } of textsOf(dispatchesOf(family, runProfile))) {
        const declared = [...shader.code.matchAll(/var<storage[^>]*>\s*\w+\s*:\s*([^;]+);/g)].map(([, type]) => type);
        const types = declared.map((type) => {
          const [, fields] = new RegExp(`struct ${type} \\{ ([^}]*) \\}`).exec(shader.code) ?? [];
          return fields === undefined ? type : (struct.exec(fields)?.[3] ?? fields);
        });
        expect(types.length, kernel).toBeGreaterThan(0);
        for (const type of types) {
          expect(type, kernel).toMatch(least);
          // An array with a length ends in a number or a name after a comma.
          expect(/,[^<>]*>$/.test(type as string), `${kernel}: ${type}`).toBe(false);
        }
      }
    }
  });

  it('fits the default limits', () => {
    for (const family of familyNames) {
      for (const { kernel, bindings, workgroups } of dispatchesOf(family, runProfile)) {
        expect(bindings.length, kernel).toBeLessThanOrEqual(runProfile.storageBuffers);
        expect(Math.max(...workgroups), kernel).toBeLessThanOrEqual(65535);
      }
    }
  });
});

const files: Record<string, string> = import.meta.glob('../../shaders/**/*.wgsl', {
  query: '?raw',
  import: 'default',
  eager: true,
});

describe('each shader as it stands', () => {
  const all = Object.entries(files).map(([path, source]) => ({ path: path.replace('../../', ''), source }));
  // Some library files need declarations of the kernels that use them, so they are compiled with these.
  const shaders = all.filter(({ path }) => !path.startsWith('shaders/lib/'));

  it('uses every file of the library', () => {
    const named = (text: string) => /^\/\/ uses: (.*)/m.exec(text)?.[1]?.match(/\w+(?=[(,]|$)/g) ?? [];
    const used = new Set(all.flatMap(({ source }) => named(source)));
    const names = all.flatMap(({ path }) =>
      path.startsWith('shaders/lib/') ? [path.slice('shaders/lib/'.length, -'.wgsl'.length)] : [],
    );
    // Taken in place of rnnForward and rnnBackward; and what generated kernels, which are no files, use.
    const cells = ['gruBackward', 'gruForward', 'lstmBackward', 'lstmForward'];
    expect([...used, ...cells, 'elementwise', 'quotient'].sort()).toEqual(names.sort());
  });

  it('is there to be compiled', () => {
    expect(shaders.length).toBeGreaterThan(30);
    expect(profiles).toHaveLength(2);
  });

  // The same under both profiles.
  if (profile === 'software') return;
  for (const { path, source } of shaders) {
    it(`compiles: ${path}`, async ({ skip }) => {
      if (source.includes('enable subgroups;') && !runProfile.subgroups) skip();
      expect(withLibrary(source)).toContain('fn laneOrder(');
      const module = await compileModule(path, withLibrary(source));
      // Nobody runs what stands there. SwiftShader takes seconds for it, and has pipelines of each file from tests of its family.
      if (runtime === 'chromium') return;
      await (await gpu()).device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    });
  }
});
