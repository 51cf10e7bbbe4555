// The status of a submit: word 0 is its own, word 1 keeps what no one has been told of yet (see gpu/status.ts). A shader that
// may meet bad data binds it as `status: array<atomic<u32>>`; of two codes the larger one stays, whatever the order.
fn reportBadData(code: u32) {
  atomicMax(&status[0], code);
  atomicMax(&status[1], code);
}
