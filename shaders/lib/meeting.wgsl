// How the lanes of a row bring what they have together, in workgroup memory and in two levels: two barriers, whatever LANES is.
// A kernel declares Accumulator, what a lane has, `combine`, what two of them come to, and the constants SIZE, LANES and FAN.
var<workgroup> partial: array<Accumulator, SIZE>;

// `own` is what lane `part` has of a row whose lanes begin at place `first`. Lane k of the first FAN takes in k + FAN,
// k + 2 FAN, …: no other lane touches those.
fn gather(own: Accumulator, first: u32, part: u32) {
  partial[first + part] = own;
  workgroupBarrier();
  if (part < FAN) {
    var sum = own;
    for (var k = part + FAN; k < LANES; k += FAN) { sum = combine(sum, partial[first + k]); }
    partial[first + part] = sum;
  }
  workgroupBarrier();
}
// What the lanes of the row come to, once they have gathered.
fn gathered(first: u32) -> Accumulator {
  var sum = partial[first];
  for (var k = 1u; k < min(FAN, LANES); k++) { sum = combine(sum, partial[first + k]); }
  return sum;
}
