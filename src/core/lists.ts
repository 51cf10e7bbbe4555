import { WeftError } from './errors.ts';

/** Item `index` of a list, counted from the end where negative, which the caller knows to be there; throws where it is not. */
export function nth<Item>(list: readonly Item[], index: number): Item {
  const found = list.at(index);
  if (found === undefined) throw new WeftError(`[nth] there is no item ${index} in a list of ${list.length}`);
  return found;
}

interface Tuples<Item> {
  2: readonly [Item, Item];
  3: readonly [Item, Item, Item];
  4: readonly [Item, Item, Item, Item];
}
/** A list whose length the caller knows, to be taken apart; throws where it has another. */
export function exactly<Length extends keyof Tuples<Item>, Item>(
  length: Length,
  list: readonly Item[],
): Tuples<Item>[Length] {
  if (list.length !== length) throw new WeftError(`[exactly] the list has ${list.length} items, and not ${length}`);
  return list as readonly unknown[] as Tuples<Item>[Length];
}
