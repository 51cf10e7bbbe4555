/** What a device has been asked for, and a limit to it. */
export interface Ledger {
  /** Bytes of all buffers that were created and not destroyed. */
  readonly bytes: number;
  readonly buffers: number;
  /** What the buffers were for that were asked for so far. */
  readonly asked: readonly string[];
  /** Says of a buffer, by its label and its bytes, whether the device has no memory for it; by default of none. */
  refuses: (label: string, bytes: number) => boolean;
}

/**
 * Counts the buffers of a device from now on, and lets it run out of memory, as devices do: `createBuffer` gives a buffer that
 * no call takes, and the error goes to the scope around the call, or to whoever listens.
 */
export function keepLedger(gpu: GPUDevice): Ledger {
  const asked: string[] = [];
  const ledger = { bytes: 0, buffers: 0, asked, refuses: (_label: string, _bytes: number) => false };
  const create = gpu.createBuffer.bind(gpu);
  const push = gpu.pushErrorScope.bind(gpu);
  const pop = gpu.popErrorScope.bind(gpu);
  const scopes: { filter: GPUErrorFilter; error: GPUError | null }[] = [];
  gpu.pushErrorScope = (filter) => {
    scopes.push({ filter, error: null });
    push(filter);
  };
  gpu.popErrorScope = async () => {
    const scope = scopes.pop();
    return (await pop()) ?? scope?.error ?? null;
  };
  const refuse = (descriptor: GPUBufferDescriptor) => {
    const error = new GPUOutOfMemoryError('the test has no more');
    const scope = scopes.findLast(({ filter }) => filter === 'out-of-memory');
    if (scope) scope.error ??= error;
    else gpu.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
    // Without a usage, a buffer is invalid; that is nobody else's error.
    push('validation');
    const invalid = create({ ...descriptor, usage: 0 });
    pop().catch(() => {});
    return invalid;
  };
  gpu.createBuffer = (descriptor) => {
    const label = descriptor.label ?? '';
    asked.push(label);
    const refused = ledger.refuses(label, descriptor.size);
    const buffer = refused ? refuse(descriptor) : create(descriptor);
    ledger.bytes += descriptor.size;
    ledger.buffers++;
    const destroy = buffer.destroy.bind(buffer);
    let there = true;
    buffer.destroy = () => {
      if (there) {
        ledger.bytes -= descriptor.size;
        ledger.buffers--;
      }
      there = false;
      destroy();
    };
    return buffer;
  };
  return ledger;
}
