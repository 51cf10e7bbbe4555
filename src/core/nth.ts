import { WeftError } from './errors.ts';

/** Item `index` of a list, counted from the end where negative, which the caller knows to be there; throws where it is not. */
export function nth<Item>(list: readonly Item[], index: number): Item {
  const found = list.at(index);
  if (found === undefined) throw new WeftError(`[nth] there is no item ${index} among ${list.length}`);
  return found;
}
