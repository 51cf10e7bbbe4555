// The status of a submit: word 0 is its own, word 1 keeps what no one has been told of yet (see src/device/status.ts). A
// shader that may meet bad data binds it as `status: array<atomic<u32>>`. The code of the first dispatch stays, all of whose
// invocations have the same: what follows from the bad data is no news.
fn reportBadData(code: u32) {
  if (atomicLoad(&status[0]) == 0u) { atomicMax(&status[0], code); }
  if (atomicLoad(&status[1]) == 0u) { atomicMax(&status[1], code); }
}
