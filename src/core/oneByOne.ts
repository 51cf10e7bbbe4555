/**
 * Returns a queue that runs async jobs one after another; a failed job does not stop the next. It keeps no result of a
 * job.
 */
export function oneByOne(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    const over = () => {};
    last = result.then(over, over);
    return result;
  };
}
