// uses: order, bits, philox, random
// Fills a stretch of memory with random numbers: block b of four is made of block `first` + b of stream 0. Kernel, numbers
// and settings are those of the ops `uniform` and `normal`. Elements from `count` on are 0, up to the end of their block.
const SIZE: u32 = 64u;
const BLOCKS: u32 = 4u;
const NORMAL: u32 = 1u;

struct Params {
  seedLow: u32, seedHigh: u32, positionLow: u32, positionHigh: u32,
  kind: u32, first: u32, count: u32,
  a: f32, b: f32, c: f32, d: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let key = vec4<u32>(params.seedLow, params.seedHigh, params.positionLow, params.positionHigh);
  let settings = vec4<f32>(params.a, params.b, params.c, params.d);
  let start = linearGroup(group, num_workgroups) * SIZE * BLOCKS + lane;
  for (var turn = 0u; turn < BLOCKS; turn++) {
    let block = start + turn * SIZE;
    if (4u * block >= params.count) { return; }
    let words = randomBlock(key, 0u, params.first + block);
    var drawn: vec4<f32>;
    if (params.kind == NORMAL) { drawn = normalWith4(words, settings); } else { drawn = uniformIn4(words, settings); }
    let place = vec4<u32>(4u * block) + vec4<u32>(0u, 1u, 2u, 3u);
    result[block] = select(vec4<f32>(), drawn, place < vec4<u32>(params.count));
  }
}
