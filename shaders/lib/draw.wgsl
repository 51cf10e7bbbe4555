// Draws by the Gumbel-max trick: of scores + noise the greatest wins, that is score - log(e) with e drawn from the
// exponential distribution, which needs no sum of exponentials.
const NONE: u32 = 0xffffffffu;
// Logits at or below this one are never drawn.
const MASKED: f32 = -1e30;

struct Best { score: f32, index: u32 }

fn better(a: Best, b: Best) -> Best {
  if (b.index == NONE || (a.index != NONE && (a.score > b.score || (a.score == b.score && a.index < b.index)))) { return a; }
  return b;
}

// Winners have small e, so small ones keep their precision: e = -log(1 - u), by its series near 0.
fn gumbel(word: u32) -> f32 {
  let u = (f32(word) + 0.5) * 2.3283064365386963e-10;
  return -naturalLog(select(-naturalLog(max(1.0 - u, 2.98e-8)), u + 0.5 * u * u, u < 1e-3));
}

// NaN and +infinity: no distribution has them.
fn isBadLogit(logit: f32) -> bool {
  return isNaN(logit) || bitcast<u32>(logit) == 0x7f800000u;
}
