/**
 * Firefox looks whether the GPU is done about ten times a second, and at each submit. While somebody waits there, an empty
 * submit in each turn of the event loop has it look: a read takes 1 to 7 ms then, not 100.
 */
const isFirefox = /\bFirefox\//.test((globalThis.navigator as Navigator | undefined)?.userAgent ?? '');

/** Queues that somebody waits for, and how many do. */
const waiting = new WeakMap<Submitting, number>();

type Submitting = Pick<GPUQueue, 'submit'>;

/** Waits for an answer of the GPU, a mapping or the end of what was submitted, and has the browser look for it. */
export function answered<T>(queue: Submitting, answer: Promise<T>, asks = isFirefox): Promise<T> {
  return asks ? asked(queue, answer) : answer;
}

async function asked<T>(queue: Submitting, answer: Promise<T>): Promise<T> {
  const others = waiting.get(queue) ?? 0;
  waiting.set(queue, others + 1);
  if (others === 0) ask(queue);
  try {
    return await answer;
  } finally {
    waiting.set(queue, (waiting.get(queue) ?? 1) - 1);
  }
}

/** One chain of timers for each queue, which ends when nobody waits any more. */
function ask(queue: Submitting): void {
  setTimeout(() => {
    if (!waiting.get(queue)) return;
    queue.submit([]);
    ask(queue);
  });
}
