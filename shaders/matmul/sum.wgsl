// uses: order, store
// The second pass of split K: output[i] = Σₛ partial[s, i] in the order of s, with the product's epilogue.
// partial: [splits, count], output: [count]; a thread sums four neighbours. `sums` more threads do the same with what rode
// along, one each, where `partialSum` reads it.
struct Params { count: u32, splits: u32, sums: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<Element>;
@group(0) @binding(2) var<storage, read_write> output: array<Output>;

// vec4<f32> where count is divisible by 4.
alias Element = f32;
const VEC4: bool = false;
const SIZE: u32 = 64u;

fn partialSum(index: u32) -> f32 { return 0.0; }

// Four neighbours. The constructors make one text valid for both element types; only the branch that fits is compiled.
fn read4(index: u32) -> vec4<f32> {
  if (VEC4) { return vec4<f32>(partial[index / 4u]); }
  return vec4<f32>(
    vec4<f32>(partial[index]).x, vec4<f32>(partial[index + 1u]).x, vec4<f32>(partial[index + 2u]).x, vec4<f32>(partial[index + 3u]).x);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let thread = linearGroup(group, num_workgroups) * SIZE + lane;
  let index = 4u * thread;
  if (index >= params.count) {
    let line = thread - (params.count + 3u) / 4u;
    if (line >= params.sums) { return; }
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) { sum += partialSum(split * params.sums + line); }
    storeSum(line, sum);
    return;
  }
  var sum = vec4<f32>();
  for (var split = 0u; split < params.splits; split++) { sum += read4(split * params.count + index); }
  store4(index, sum, params.count - index);
}
