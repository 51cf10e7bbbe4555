// How kernels walk along rows. LANES lanes share a row, SIZE / LANES rows a workgroup; with LANES = 1 a lane owns its row
// and nothing is shared. A lane takes a piece of its row at a time: four Elements, a step apart, so that neighbouring lanes
// read neighbouring Elements and four loads are under way at once. What lies past the end of a row is its last Element.
//
// Rows that are contiguous have neighbouring lanes, and Elements of vec4<f32> where their length is a multiple of four (one
// Row of four numbers). Columns, in which a row's Elements lie `stride` apart, have neighbouring columns in neighbouring
// lanes, and where their number is a multiple of four an Element holds the same place of four rows, so Row is a vec4, too.
//
// Loops count down to 0, which Chromium's compiler knows to end: to others it adds a counter of 64 bits.
alias Element = f32;
alias Row = f32;
alias Piece = array<Element, 4>;
const SIZE: u32 = 256u;
const LANES: u32 = 64u;
const COLUMNS: bool = false;
const WHOLE: bool = false; // no piece reaches past the end of its row
const ONE: bool = false; // a lane has one piece of its row, which stays in registers
const FAN: u32 = 8u; // lanes that gather the results of the lanes of a row

fn maxOf(v: Element) -> Row { return v; }
fn sumOf(v: Element) -> Row { return v; }

// Which row of the workgroup a lane has, and which of the row's lanes it is.
fn rowOf(lane: u32) -> u32 { return select(lane / LANES, lane % (SIZE / LANES), COLUMNS); }
fn partOf(lane: u32) -> u32 { return select(lane % LANES, lane / (SIZE / LANES), COLUMNS); }

// Index of the Element at `j` of a row that starts at `start`; `last` is the place of the last one.
fn place(start: u32, j: u32, last: u32) -> u32 {
  if (WHOLE) { return start + j; }
  return start + min(j, last);
}
fn inside(j: u32, last: u32) -> bool { return WHOLE || j <= last; }
// 0 in place of what lies past the end.
fn zeroed(x: Element, j: u32, last: u32) -> Element {
  if (WHOLE) { return x; }
  return select(Element(0.0), x, j <= last);
}

// Exponentials of arguments ≤ 0; below -104 they are 0 in f32, and differences of masks may overflow. A comparison keeps NaN,
// and costs SwiftShader less than max(). There exp(NaN) is ∞, so a sum of exponentials that is not finite tells of a NaN, and
// one of 0 of a row with nothing but −∞, where −∞ − (−∞) is one: `totalOf` makes NaN of both.
fn totalOf(sum: Row) -> Row {
  return select(Row(notANumber()), sum, (sum > Row(0.0)) & (sum <= Row(3.4028234e38)));
}
fn logOf(total: Row) -> Row { return select(total, log(total), total <= Row(3.4028234e38)); }
fn decay(x: Element) -> Element { return exp(select(x, Element(-104.0), x < Element(-104.0))); }
fn decayRow(x: Row) -> Row { return exp(select(x, Row(-104.0), x < Row(-104.0))); }
