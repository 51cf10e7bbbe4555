import { UnsupportedError } from '../core/errors.ts';
import type { DeviceProfile, Family, KernelCall, Variant } from './kernel.ts';
import { tooManyTurns } from './loopLimit.ts';

/** The families that are loaded, by name. */
export const families = new Map<string, Pick<Family<never>, 'name' | 'variants'>>();

/** Declares a family. Bundlers drop one that nobody uses, and then it is not among those that are loaded. */
export function family<Problem>(declared: Family<Problem>): Family<Problem> {
  families.set(declared.name, declared);
  return declared;
}

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
      const reason = chosen ? obstacle(chosen, problem, profile) : 'there is no such variant';
      if (!chosen || reason) throw new UnsupportedError(`[${family.name}] variant ${variant}: ${reason}`);
      return { ...chosen.call(problem, profile), variant };
    },
  };
}

/**
 * The variant for a problem: a choice where there is one that can do it, else what the family's rule says, else the first
 * that can. Where none can, that of the rule, whose obstacle tells why.
 */
export function selectVariant<Problem>(family: Family<Problem>, problem: Problem, profile: DeviceProfile): string {
  const { choices = {} } = profile;
  const ruled = family.select(problem, profile);
  const chosen = choices[choiceOf(family, problem)] ?? choices[family.name];
  const order = [...(chosen === undefined ? [] : [chosen]), ruled, ...Object.keys(family.variants)];
  const fits = (name: string) => {
    const variant = family.variants[name];
    return variant !== undefined && obstacle(variant, problem, profile) === null;
  };
  return order.find(fits) ?? ruled;
}

/** Why a variant can't do a problem on a device, by its own word or by the turns of its loops; null where it can. */
export function obstacle<Problem>(variant: Variant<Problem>, problem: Problem, profile: DeviceProfile): string | null {
  const own = variant.unsupported?.(problem, profile) ?? null;
  if (own !== null || profile.loopLimit === Number.POSITIVE_INFINITY) return own;
  return tooManyTurns(variant.call(problem, profile), profile);
}

function choiceOf<Problem>(family: Family<Problem>, problem: Problem): string {
  return family.shapeClass ? `${family.name} ${family.shapeClass(problem)}` : family.name;
}
