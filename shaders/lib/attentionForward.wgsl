// uses: attention
// What the forward attention kernels share: what they write, and where they go on from.
@group(0) @binding(4) var<storage, read_write> result: array<Element>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

// The largest score of four rows so far, and the sum of their weights relative to it. Where earlier dispatches have left a row
// with an lse and O, those are the largest score and, to weights of 1, the sum of values.
struct Running { peak: vec4<f32>, total: vec4<f32> }
fn runningOf(statistic: u32, live: u32) -> Running {
  var running = Running(vec4<f32>(FLOOR), vec4<f32>());
  if (resumes()) {
    for (var r = 0u; r < min(live, 4u); r++) {
      let saved = lse[statistic + r];
      let isEmpty = saved == -HIDDEN;
      running.peak[r] = select(saved, FLOOR, isEmpty);
      running.total[r] = select(1.0, 0.0, isEmpty);
    }
  }
  return running;
}
