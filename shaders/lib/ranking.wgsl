// uses: bits
// Unsigned integers in the order of numbers, the best greatest: the bits of a positive float are in order as they are, those of
// a negative one backwards. -0 counts as 0; NaN, of either sign, as more than infinity.
// LARGEST: the greatest number is the best, else the least.
const LARGEST: bool = true;

fn orderOf(value: f32) -> u32 {
  let raw = bitcast<u32>(value);
  let bits = select(select(raw, 0u, raw == 0x80000000u), 0x7fffffffu, isNaN(value));
  let ascending = select(bits ^ 0x80000000u, ~bits, bits >= 0x80000000u);
  return select(~ascending, ascending, LARGEST);
}

// Whether an entry, (order of a number, its index), stands before another one: equal numbers keep the order of their indices.
fn before(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x > b.x || (a.x == b.x && a.y < b.y); }
