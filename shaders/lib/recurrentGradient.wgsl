// What a step of a cell gives backwards: the gradients of h's shares of the gates, of h before where it goes past them, and of c.
struct Gradient { gate0: T, gate1: T, gate2: T, gate3: T, h: T, c: T }
// Whether some of the gradient of h goes past the gates.
const PASSES: bool = false;
