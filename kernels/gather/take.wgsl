// Rows of a table by their indices.
//
// Layout: table [held, words], which are the rows from first_row on where the table is bound in windows; index [batch];
// taken [batch, words]. A thread copies a word; threads stride over the rest. No workgroup memory, no barriers.
struct Immediates {
    batch: u32,
    words: u32,
    rows: u32,
    first_row: u32,
    held: u32,
}
var<immediate> imm: Immediates;

// Words of floats, which are copied bit by bit.
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> taken: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var at = id.x; at < imm.batch * imm.words; at += groups.x * 64u) {
        // Rows before the first wrap around to large numbers.
        let row = min(index[at / imm.words], imm.rows - 1u) - imm.first_row;
        if (row < imm.held) {
            taken[at] = table[row * imm.words + at % imm.words];
        }
    }
}
