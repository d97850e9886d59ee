// The two sums of a column over all chunks: `partials`, `[chunks, 2, C]`, and `imm` with `units` and `chunks` are the
// shader's that this is prepended to. They end where sum_threads leaves them.
fn sum_chunks(column: u32, thread: u32) {
    var sum = Value(0.0);
    var product = Value(0.0);
    if (column < imm.units) {
        for (var chunk = thread / WIDTH; chunk < imm.chunks; chunk += 256u / WIDTH) {
            let at = 2u * chunk * imm.units + column;
            sum += partials[at];
            product += partials[at + imm.units];
        }
    }
    sum_threads(thread, sum, product);
}
