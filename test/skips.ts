import type { Run } from './runs.ts';

/** A test that may be skipped, and why. `npm test` fails on a skip that is not listed and on an entry that nothing matches. */
export interface Skip {
  /** Full name of the test (`describe` names and its own, joined by spaces), or a pattern for several. */
  readonly test: string | RegExp;
  /** The runs that the entry is about; all of them where left out. Which tests a run has stands in runs.ts. */
  readonly runtime?: Run['runtime'];
  readonly profile?: Run['profile'];
  /** The skip depends on what the adapter or the machine can do: on another the test runs, and the entry need not match a skip. */
  readonly adapterDependent?: boolean;
  readonly reason: string;
}

export const skips: readonly Skip[] = [
  {
    test: /^barriers of /,
    profile: 'software',
    adapterDependent: true,
    reason: 'what a missing barrier does is a matter of luck where lanes run side by side: only software adapters try',
  },
  {
    test: /^((matmul|attention(Forward|Backward)( of ranges)?|conv) (quads|quads16|quadBlock) takes a case|ranges (quads|quadBlock): what they hide may be anything|each shader as it stands compiles: shaders\/matmul\/quads.wgsl)/,
    adapterDependent: true,
    reason: 'such a variant is for devices with subgroups, which no device needs to have; Deno has none yet',
  },
  {
    test: /^(stored choices (leave a file alone that is not theirs|need permissions in Deno)|choices that several processes store)/,
    runtime: 'chromium',
    profile: 'software',
    reason: 'a page has no files; the Deno runs do',
  },
  {
    test: /^second derivatives .* on the GPU, too$/,
    runtime: 'chromium',
    reason:
      'all of them in one read are hundreds of pipelines, minutes for Chromium; their kernels have tests of their own there, random graphs take second derivatives there, and a Deno run reads all of these',
  },
  {
    test: /^second derivatives .* on the GPU, too$/,
    runtime: 'deno',
    profile: 'software',
    reason:
      'hundreds of pipelines, as above: once, with the kernels that most users get; those of the other profile have tests of their own, and random graphs take second derivatives with them',
  },
  {
    test: 'memory of a device memory() tells by how much the process grows, where the device is a processor',
    profile: 'software',
    adapterDependent: true,
    reason: 'the memory of a GPU, and that of Chromium’s device, is not in the process that could be asked',
  },
  {
    test: 'memory of a device growth of results keeps a process within 640 MiB, where one can be limited',
    profile: 'software',
    adapterDependent: true,
    reason: 'a process of its own takes Deno, and a limit to it the right to make control groups of Linux',
  },
  {
    test: /^files of Deno and Node /,
    runtime: 'firefox',
    reason: 'a page has no paths; the Deno runs do',
  },
  {
    test: /^files of a page /,
    runtime: 'worker',
    reason: 'Deno has paths; the browser runs have the files of a page',
  },
  {
    test: /^files of a page /,
    runtime: 'node',
    reason: 'Node has paths; the browser runs have the files of a page',
  },
  {
    test: /^files of Deno and Node /,
    runtime: 'chromium',
    profile: 'software',
    reason: 'a page has no paths; the Deno runs do',
  },
  {
    test: 'a checkpoint that is saved to a full disk is refused, and the one that is there stays',
    runtime: 'deno',
    profile: 'software',
    adapterDependent: true,
    reason: 'a small disk of its own takes Linux, and the right to mount one or user namespaces',
  },
  {
    test: /^files of a page /,
    runtime: 'deno',
    profile: 'software',
    reason: 'Deno has none of the handles that pages have',
  },
  {
    test: /^npm start --browser /,
    runtime: 'deno',
    profile: 'software',
    adapterDependent: true,
    reason: 'it starts a browser of its own: where Deno tests run beside those in Chromium',
  },
];
