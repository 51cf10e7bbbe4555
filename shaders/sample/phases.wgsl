// uses: order, status, bits, philox, random, draw
// Draws a class for each row from softmax(logits / temperature) over the nucleus of the k best: a workgroup to a row, in
// phases that a dispatch runs from `first` to before `last`. 0: the best logit. Then the digits, 4 bits each, of where the k
// best end, in the order of their values and of their indices; the sum of their weights; the digits of where the nucleus
// ends; last the draw. A search stops early where all of what its digits hold belongs in.
// Lane 0 keeps the state; the others read it behind the load of `skips`, with which each phase but the first begins.
// 1: logits [rows, n], 2: temperature, k and p, 3: key, 4: state of each row between dispatches, 5: result [rows], 6: status.
// Element (row, j) takes word row·n + j of the stream. Temperature 0 takes the best, of equals the first. A row with a logit
// that is NaN or infinite, or with nothing that may be drawn, gives 0 and sets the status.
const SIZE: u32 = 128u;
// Scores this far below the best weigh nothing.
const REACH: f32 = 87.0;

// digits: of an index. The k best take 8 + digits phases from 1 on.
struct Params { rows: u32, n: u32, stream: u32, digits: u32, first: u32, last: u32, statusCode: u32 }

// A place in the order of elements: by the value, then by the index, the first of equals above the others.
struct Place { value: u32, index: u32 }
// floor: the least place that takes part. cut: the digits found, with `above` measured over what lies above them.
struct State { floor: Place, cut: Place, best: f32, above: f32, wanted: f32, done: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> settings: vec4<f32>;
@group(0) @binding(3) var<storage, read> key: vec4<u32>;
@group(0) @binding(4) var<storage, read_write> states: array<State>;
@group(0) @binding(5) var<storage, read_write> result: array<i32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

var<workgroup> state: State;
var<workgroup> skips: u32;
// Weights by lane and digit; numbers of a reduction. Places by digit.
var<workgroup> sums: array<f32, SIZE * 16>;
var<workgroup> counts: array<atomic<u32>, 16>;
var<workgroup> totals: array<f32, 16>;
var<workgroup> winners: array<Best, SIZE>;

fn placeOf(logit: f32, j: u32) -> Place {
  let raw = bitcast<u32>(logit);
  let bits = select(raw, 0u, raw == 0x80000000u);
  return Place(select(bits ^ 0x80000000u, ~bits, bits >= 0x80000000u), ~j);
}
fn reaches(a: Place, b: Place) -> bool { return a.value > b.value || (a.value == b.value && a.index >= b.index); }

// The logarithm of the weight, where the best has 0; -REACH and less is nothing. Nothing overflows on the way.
fn scoreOf(logit: f32) -> f32 {
  let temperature = select(settings.x, 0.0, settings.x < 1e-36);
  let below = logit - state.best;
  if (!(logit > MASKED) || below < -REACH * temperature) { return -REACH; }
  return select(0.0, below / temperature, temperature > 0.0);
}
fn takesPart(logit: f32, j: u32) -> bool { return logit > MASKED && reaches(placeOf(logit, j), state.floor); }

// The digit of an element at a level of the search, 16 where it is not among those that share the digits found so far.
fn digitOf(place: Place, level: u32) -> u32 {
  if (level < 8u) {
    let shift = 28u - 4u * level;
    let same = level == 0u || ((place.value ^ state.cut.value) >> (shift + 4u)) == 0u;
    return select(16u, (place.value >> shift) & 15u, same);
  }
  let shift = 4u * (params.digits - 1u - (level - 8u));
  // Digits of an index above those that are counted are the same in all.
  let same = place.value == state.cut.value && (level == 8u || ((place.index ^ state.cut.index) >> (shift + 4u)) == 0u);
  return select(16u, (place.index >> shift) & 15u, same);
}

// Goes down the digits until what lies above them is as much as is wanted.
fn decide(level: u32, byWeight: bool) {
  var above = state.above;
  var digit = 0u;
  var found = state.above;
  var any = false;
  for (var turn = 0u; turn < 16u; turn++) {
    let d = 15u - turn;
    // Something always belongs in, however little is wanted.
    if (atomicLoad(&counts[d]) == 0u || (any && above >= state.wanted)) { continue; }
    any = true;
    digit = d;
    found = above;
    above += totals[d];
  }
  state.above = found;
  if (level < 8u) { state.cut.value |= digit << (28u - 4u * level); }
  else {
    let shift = 4u * (params.digits - 1u - (level - 8u));
    // What lies above the counted digits is ones, as in every index that is turned around.
    let upper = select(0u, ~((16u << shift) - 1u), level == 8u && shift < 28u);
    state.cut.index |= upper | (digit << shift);
  }
  let whole = !byWeight && above == state.wanted;
  if (atomicLoad(&counts[digit]) == 1u || whole || level == 7u + params.digits) {
    state.done = 1u;
    if (reaches(state.cut, state.floor)) { state.floor = state.cut; }
  }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups);
  let end = select(0u, params.n, row < params.rows);
  let base = row * params.n;
  let levels = 8u + params.digits;
  let k = settings.y;
  let p = settings.z;
  if (lane == 0u && params.first > 0u && row < params.rows) { state = states[row]; }

  for (var phase = params.first; phase < params.last; phase++) {
    if (phase == 0u) {
      var own = Best(0.0, NONE);
      for (var j = lane; j < end; j += SIZE) {
        let logit = logits[base + j];
        if (isBadLogit(logit)) { reportBadData(params.statusCode); }
        else if (logit > MASKED) { own = better(own, Best(logit, j)); }
      }
      winners[lane] = own;
      for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { winners[lane] = better(winners[lane], winners[lane + half]); }
      }
      if (lane == 0u) {
        state = State(Place(0u, 0u), Place(0u, 0u), winners[0].score, 0.0, 0.0, 0u);
        if (row < params.rows && winners[0].index == NONE) { reportBadData(params.statusCode); }
      }
    } else if (phase == 1u + levels) {
      if (lane == 0u) { skips = select(0u, 1u, p >= 1.0); }
      if (workgroupUniformLoad(&skips) != 0u) { continue; }
      var sum = 0.0;
      for (var j = lane; j < end; j += SIZE) {
        let logit = logits[base + j];
        let score = scoreOf(logit);
        if (score > -REACH && takesPart(logit, j)) { sum += exp(score); }
      }
      sums[lane] = sum;
      for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { sums[lane] += sums[lane + half]; }
      }
      if (lane == 0u) { state.wanted = p * sums[0]; }
    } else if (phase <= 1u + 2u * levels) {
      let byWeight = phase > levels;
      let level = select(phase - 1u, phase - 2u - levels, byWeight);
      if (lane == 0u) {
        if (level == 0u) {
          state.cut = Place(0u, 0u);
          state.above = 0.0;
          if (!byWeight) { state.wanted = k; }
          state.done = select(0u, 1u, (byWeight && p >= 1.0) || (!byWeight && k >= f32(params.n)));
        }
        skips = state.done;
      }
      if (workgroupUniformLoad(&skips) != 0u) { continue; }
      if (lane < 16u) { atomicStore(&counts[lane], 0u); }
      for (var d = 0u; d < 16u; d++) { sums[lane * 16u + d] = 0.0; }
      workgroupBarrier();
      for (var j = lane; j < end; j += SIZE) {
        let logit = logits[base + j];
        let digit = digitOf(placeOf(logit, j), level);
        if (digit > 15u || !takesPart(logit, j)) { continue; }
        let score = scoreOf(logit);
        if (byWeight && score <= -REACH) { continue; }
        atomicAdd(&counts[digit], 1u);
        if (byWeight) { sums[lane * 16u + digit] += exp(score); }
      }
      workgroupBarrier();
      if (lane < 16u) {
        var total = 0.0;
        if (byWeight) { for (var i = 0u; i < SIZE; i++) { total += sums[i * 16u + lane]; } }
        else { total = f32(atomicLoad(&counts[lane])); }
        totals[lane] = total;
      }
      workgroupBarrier();
      if (lane == 0u) { decide(level, byWeight); }
    } else {
      if (lane == 0u) { skips = 0u; }
      if (workgroupUniformLoad(&skips) != 0u) { continue; }
      var own = Best(0.0, NONE);
      for (var j = lane; j < end; j += SIZE) {
        let logit = logits[base + j];
        let score = scoreOf(logit);
        if (score <= -REACH || !takesPart(logit, j)) { continue; }
        let noise = select(0.0, gumbel(randomWord(key, params.stream, base + j)), settings.x >= 1e-36);
        own = better(own, Best(score + noise, j));
      }
      winners[lane] = own;
      for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { winners[lane] = better(winners[lane], winners[lane + half]); }
      }
      if (lane == 0u && row < params.rows) { result[row] = i32(select(winners[0].index, 0u, winners[0].index == NONE)); }
    }
  }
  if (lane == 0u && row < params.rows) { states[row] = state; }
}
