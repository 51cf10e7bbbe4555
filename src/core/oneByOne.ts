/** What comes back starts each work when those before it are over, however they have ended. Holds no result of theirs. */
export function oneByOne(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    const over = () => {};
    last = result.then(over, over);
    return result;
  };
}
