import { UnsupportedError } from '../errors.ts';
import type { DeviceProfile, Family, KernelCall } from './kernel.ts';

/** A family with a problem of its own type, closed over so that the compiler need not know the type. */
export interface FamilyCall {
  readonly family: string;
  readonly variants: readonly string[];
  /** The name under which a variant is chosen for problems like this one: see `Choices`. */
  readonly choice: string;
  /** Takes the named variant, or selects one for the device. */
  call(profile: DeviceProfile, variant?: string): KernelCall & { readonly variant: string };
}

/** Binds a family to a problem. */
export function familyCall<Problem>(family: Family<Problem>, problem: Problem): FamilyCall {
  return {
    family: family.name,
    variants: Object.keys(family.variants),
    choice: choiceOf(family, problem),
    call(profile, pinned) {
      const variant = pinned ?? selectVariant(family, problem, profile);
      const chosen = family.variants[variant];
      const reason = chosen?.unsupported?.(problem, profile);
      if (!chosen || reason)
        throw new UnsupportedError(`[${family.name}] variant ${variant}: ${reason ?? 'there is no such variant'}`);
      return { ...chosen.call(problem, profile), variant };
    },
  };
}

/** The variant for a problem: a choice where there is one that can do it, else what the family's rule says. */
export function selectVariant<Problem>(family: Family<Problem>, problem: Problem, profile: DeviceProfile): string {
  const { choices = {} } = profile;
  const chosen = choices[choiceOf(family, problem)] ?? choices[family.name];
  const variant = chosen === undefined ? undefined : family.variants[chosen];
  if (chosen && variant && !variant.unsupported?.(problem, profile)) return chosen;
  return family.select(problem, profile);
}

function choiceOf<Problem>(family: Family<Problem>, problem: Problem): string {
  return family.shapeClass ? `${family.name} ${family.shapeClass(problem)}` : family.name;
}
