import { type PlanSummary, summarise } from '../compile/explain.ts';
import { rootOf, type Value } from '../compile/ir.ts';
import type { Program, ProgramOptions } from '../compile/program.ts';
import { byteSize } from '../core/types.ts';
import type { BufferRange, Storage } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import { Verdict } from '../device/status.ts';
import { computedLeaf } from '../graph/leaf.ts';
import { mapTensors } from '../graph/nested.ts';
import { takeListeners, takeSubmitListeners } from '../graph/outcome.ts';
import type { State } from '../graph/state.ts';
import { structure } from '../graph/structure.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { StepTrace } from '../graph/trace.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { BackPressure } from './backPressure.ts';
import { materialise, upload } from './eager.ts';
import { Executable } from './executable.ts';
import { Inputs } from './inputs.ts';
import { type Recording, record } from './recording.ts';
import { isAbroad, residenceOf, verdictOf } from './residence.ts';
import { type ResultRing, ringOf, slotCount, smallResult } from './results.ts';

/** What a prepared plan holds on its device. */
interface Prepared {
  readonly executable: Executable;
  readonly inputs: Inputs;
  readonly ring: ResultRing;
}

/** Memory that a step gives to its results, and to versions that it overwrites though somebody has them. */
interface StepMemory {
  readonly results: ReadonlyMap<number, Storage>;
  readonly old: ReadonlyMap<State, Storage>;
  /** New memory for small results of earlier steps whose places are needed: see `ResultRing`. */
  readonly moves: ReadonlyMap<number, Storage>;
}

/** One traced signature of a function, on a device. */
export class Plan {
  /** The device that it runs on. */
  readonly device: Device;
  /** The profile that the kernels were selected for. */
  readonly #profile: DeviceProfile;
  readonly #recording: Recording;
  readonly #trace: StepTrace;
  readonly #results: readonly Tensor[];
  #program: Program;
  #compiling: Promise<Executable> | null = null;
  #preparing: Promise<Prepared> | null = null;
  readonly #pressure: BackPressure;
  #users = 0;
  #gone = false;

  private constructor(device: Device, recording: Recording) {
    this.device = device;
    this.#profile = device.profile;
    this.#recording = recording;
    this.#trace = recording.trace;
    this.#results = recording.results;
    this.#program = recording.program;
    this.#pressure = new BackPressure(device.gpu.queue);
    for (const tensor of recording.captured) residenceOf(tensor).kept = true;
  }

  /** Runs `fn` once, at once, on placeholders and plans what it recorded. */
  static trace(
    fn: (...args: never[]) => unknown,
    args: readonly unknown[],
    device: Device,
    options: ProgramOptions = {},
  ): Plan {
    return new Plan(device, record(fn, args, device.profile, options));
  }

  /** The program, with the forms of the shaders that the device has chosen once they are compiled. */
  get program(): Program {
    return this.#program;
  }

  /** Parameters that backward reaches and nothing changes: neither the step, nor an optimizer. */
  get unheld(): State[] {
    return this.#trace.unheld;
  }

  /** The recorded graph, line by line: for debug mode. */
  get record(): string[] {
    return structure(this.program.nodes, [...this.#results, ...this.#trace.writes.values()]).lines;
  }

  /** True while everything the trace took for granted still holds. */
  get holds(): boolean {
    if (this.device.isLost || this.#profile !== this.device.profile) return false;
    return this.#trace.holds;
  }

  /** False once a step has made or dropped a gradient that this one adds to, or a state has moved. */
  get statesHold(): boolean {
    return this.#trace.statesHold;
  }

  /** Compiles pipelines and makes the bind groups, once; what the step reads is drawn and brought to the device meanwhile. */
  prepare(): Promise<unknown> {
    return this.#prepare();
  }

  async #prepare(): Promise<Prepared> {
    if (this.device.isLost) this.device.check();
    this.#preparing ??= this.#make().catch((error: unknown) => {
      // Frees everything: after a refusal the next call begins anew.
      this.#giveBack();
      throw error;
    });
    return this.#preparing;
  }

  /** Compiles pipelines, once; plans may do so side by side. */
  compile(): Promise<Executable> {
    this.#compiling ??= Executable.create(this.device, this.program).then(
      (executable) => {
        this.#program = { ...this.#program, commands: executable.program.commands };
        return executable;
      },
      (error: unknown) => {
        this.#compiling = null;
        throw error;
      },
    );
    return this.#compiling;
  }

  async #make(): Promise<Prepared> {
    const { device } = this;
    const compiling = this.compile();
    // Handles the rejection here: where something below rejects first, nobody waits for this one.
    compiling.catch(() => {});
    await materialise([...this.#recording.captured, ...[...this.#trace.reads.keys()].map((state) => state.committed)]);
    await upload(
      device,
      this.program.leaves.map(({ tensor }) => this.#ownerOf(tensor)),
    );
    const executable = await compiling;
    const { dynamics, randoms } = this.#trace;
    const numbers = [
      ...dynamics,
      ...randoms.keys().map(({ source, key, streams }) => ({ leaf: key, values: () => source.take(streams) })),
    ];
    const { inputs, ring } = await device.buffers.secured(() => ({
      inputs: new Inputs(device, this.#recording.placeholders, numbers),
      ring: ringOf(device, Math.min(slotCount, this.#results.filter(smallResult).length)),
    }));
    return { executable, inputs, ring };
  }

  /** Runs one step on the tensors among its arguments; resolves when it is queued. */
  async replay(args: readonly Tensor[]): Promise<unknown> {
    const prepared = await this.#prepare();
    await this.#pressure.room();
    const drawn = args.map(({ version }) => version).filter(({ host }) => !host);
    if (drawn.some(isAbroad)) await upload(this.device, drawn);
    const own = await this.device.buffers.secured(() => {
      prepared.executable.reserve();
      return this.#allocate(prepared.ring);
    });
    return this.#submit(args, prepared, own);
  }

  /**
   * Submits one step. It costs the host one write, one pass, a few copies and one submit. What may fail comes first, so
   * that a step that can't run changes nothing.
   */
  #submit(args: readonly Tensor[], { executable, inputs, ring }: Prepared, own: StepMemory): unknown {
    const device = this.device;
    const encoder = device.gpu.createCommandEncoder({ label: 'weft step' });
    try {
      device.check();
      executable.bind(this.#leafRanges(inputs));
      inputs.write(args, encoder);
    } catch (error) {
      for (const listener of takeListeners()) listener.failed();
      takeSubmitListeners();
      for (const storage of [...own.old.values(), ...own.results.values(), ...own.moves.values()]) storage.release();
      throw error;
    }
    this.#protectObserved(own.old, encoder);
    const verdict = this.#begin(args, executable, encoder);
    executable.encode(encoder);
    if (verdict && executable.usesStatus) device.status.end(encoder, verdict);
    const results = this.#takeResults(executable, ring, own, verdict, encoder);
    this.#commit(executable, encoder);
    device.gpu.queue.submit([encoder.finish()]);
    this.#pressure.submitted();
    this.#settleGradients(verdict);
    for (const listener of takeSubmitListeners()) listener();
    device.check();
    let next = 0;
    return mapTensors('compile', 'result', this.#recording.outputs, () => results[next++]);
  }

  /** Notes which parameters have gradients now; restores that where it turns out that the step has changed nothing. */
  #settleGradients(verdict: Verdict | null): void {
    const before: [State, boolean][] = [];
    for (const [state, present] of this.#recording.gradients) {
      if (state.hasGradient !== present) before.push([state, state.hasGradient]);
      state.settleGradient(present, verdict);
    }
    if (before.length === 0) return;
    verdict?.whenBad(() => {
      for (const [state, present] of before) state.settleGradient(present, null, verdict);
    });
  }

  /** Allocates memory for results, except for small ones, which lie in the ring. */
  #allocate(ring: ResultRing): StepMemory {
    const results = new Map<number, Storage>();
    let small = 0;
    for (const [i, traced] of this.#results.entries())
      if (!smallResult(traced) || small++ >= slotCount) results.set(i, residenceOf(traced).allocateOn(this.device));
    const old = new Map<State, Storage>();
    for (const state of this.#trace.writes.keys())
      if (state.committed.observed) old.set(state, residenceOf(state.committed).allocateOn(this.device));
    return { results, old, moves: ring.allocateMoves(this.#results.length - results.size) };
  }

  /** The verdict on this step, where kernels set or read a status; else that on its arguments. */
  #begin(args: readonly Tensor[], { usesStatus }: Executable, encoder: GPUCommandEncoder): Verdict | null {
    const given = Verdict.open(args.map(({ version }) => verdictOf(version)));
    const listeners = takeListeners();
    return usesStatus ? this.device.status.begin(encoder, this.#recording.line, given, listeners) : Verdict.over(given);
  }

  /** Keeps the plan's memory while `work` runs: calls that run at once may make more plans than are kept. */
  async use<T>(work: (plan: Plan) => Promise<T>): Promise<T> {
    this.#users++;
    try {
      return await work(this);
    } finally {
      this.#users--;
      if (this.#gone) this.destroy();
    }
  }

  /** Gives back its memory on the device, once nobody is using it. */
  destroy(): void {
    this.#gone = true;
    if (this.#users > 0) return;
    this.#giveBack();
  }

  /** Gives back what lies on the device, or will. */
  #giveBack(): void {
    const nothing = () => {};
    this.#compiling?.then((executable) => executable.destroy(), nothing);
    this.#preparing?.then(({ inputs, ring }) => {
      ring.destroy();
      inputs.destroy();
    }, nothing);
    this.#compiling = null;
    this.#preparing = null;
  }

  /** Copies a version that an eager value still depends on and that this step overwrites. */
  #protectObserved(copies: ReadonlyMap<State, Storage>, encoder: GPUCommandEncoder): void {
    for (const state of this.#trace.writes.keys()) {
      const version = state.committed;
      const given = copies.get(state);
      if (!version.observed) {
        given?.release();
        continue;
      }
      // Somebody may have asked for it since memory was given.
      const copy = given ?? residenceOf(version).allocateOn(this.device);
      const own = residenceOf(version).storageOn(this.device);
      encoder.copyBufferToBuffer(own.buffer, own.offset, copy.buffer, 0, byteSize(version));
      const next = computedLeaf(version);
      residenceOf(next).settle(this.device, residenceOf(version).exchangeStorage(copy));
      state.commit(next);
    }
  }

  #leafRanges(inputs: Inputs): BufferRange[] {
    return this.program.leaves.map(
      ({ tensor }) => inputs.range(tensor) ?? residenceOf(this.#ownerOf(tensor)).storageOn(this.device),
    );
  }

  /** The tensor that holds the value of a leaf: a state's present version, or the leaf itself. */
  #ownerOf(leaf: Tensor): Tensor {
    return this.#recording.states.get(leaf)?.committed ?? leaf;
  }

  /** Copies results into memory that the caller owns, in this submit; small ones also to a staging buffer. */
  #takeResults(
    executable: Executable,
    ring: ResultRing,
    { results: own, moves }: StepMemory,
    verdict: Verdict | null,
    encoder: GPUCommandEncoder,
  ): Tensor[] {
    ring.nextStep(encoder, verdict);
    return this.#results.map((traced, i) => {
      const tensor = computedLeaf(traced);
      const { buffer, offset } = executable.range(this.program.results[i] as Value);
      const bytes = byteSize(traced);
      const storage = own.get(i);
      if (storage) {
        encoder.copyBufferToBuffer(buffer, offset, storage.buffer, 0, bytes);
        residenceOf(tensor).settle(this.device, storage);
        residenceOf(tensor).verdict = verdict;
      } else ring.take(tensor, { buffer, offset, bytes }, moves, encoder);
      return tensor;
    });
  }

  /** Copies new versions that were not written over the old ones, after everything that still read the old. */
  #commit(executable: Executable, encoder: GPUCommandEncoder): void {
    for (const { leaf: target, value, inPlace } of this.program.updates) {
      if (inPlace || rootOf(value) === target) continue;
      const from = executable.range(value);
      const to = executable.range(target);
      encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, byteSize(target.type));
    }
  }

  /** Dispatches by kernel, buffers, peak bytes. */
  summary(): PlanSummary {
    return summarise(this.program);
  }
}
