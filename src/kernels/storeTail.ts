import type { Dispatch, StoreHook } from './kernel.ts';

/** A dispatch of a kernel that declares `fn store(index: u32, value: f32)`, with a tail in its place. */
export function withStore(dispatch: Dispatch, store: StoreHook | undefined): Dispatch {
  if (!store) return dispatch;
  const { functions, library, bindings } = store;
  return {
    ...dispatch,
    functions: { ...dispatch.functions, ...functions },
    library: [...(dispatch.library ?? []), ...library],
    declarations: [dispatch.declarations, store.declarations(dispatch.bindings.length + 1)].filter(Boolean).join('\n'),
    bindings: [...dispatch.bindings, ...bindings],
  };
}
