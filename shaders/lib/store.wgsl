// How the kernels of a product store. An epilogue takes the place of `store`, or of `storeFour` where it takes vectors; a sum that
// rides along that of `storeSum`.
//
// vec4<f32> where the output comes in whole fours, and an epilogue, if there is one, takes them so. `storeFour` is replaced then.
alias Output = f32;
fn store(index: u32, value: f32) { output[index] = Output(value); }
fn storeFour(index: u32, value: vec4<f32>) {
  store(index, value.x);
  store(index + 1u, value.y);
  store(index + 2u, value.z);
  store(index + 3u, value.w);
}
fn storeSum(index: u32, value: f32) {}

// Whether the output comes in whole fours.
const STORE_WHOLE: bool = false;
// The first `count` of four neighbours, or all where there are more.
fn store4(index: u32, value: vec4<f32>, count: u32) {
  if (STORE_WHOLE) {
    storeFour(index, value);
  } else {
    for (var j = 0u; j < min(4u, count); j++) { store(index + j, value[j]); }
  }
}
