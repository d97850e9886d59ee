// What both passes of attention share.
//
// A workgroup computes chunks of ROWS rows of a head's result, one after the other. It walks over the columns (the tokens
// that the rows attend to, or are attended by) in blocks of COLUMNS, which it stages in workgroup memory. A thread computes
// blocks of 4x4: of a product of rows and columns (S, dP), whose block of rows it reads from the buffers, where neighbours
// read the same; then of the product of such a matrix with what is staged (O, dQ, dK, dV), which stays in registers.
//
//   VEC4  the head size is a multiple of 4: loads are 16 bytes wide

const TOKENS: u32 = $TOKENSu;
const HEADS: u32 = $HEADSu;
const HEAD_SIZE: u32 = $HEAD_SIZEu;
const WIDTH: u32 = $HEADSu * $HEAD_SIZEu;
const QUADS: u32 = $QUADSu; // vec4 of a head, the last one filled up with zeros
const ROWS: u32 = $ROWSu;
const COLUMNS: u32 = $COLUMNSu;
const COLUMN_BLOCKS: u32 = $COLUMNSu / 4u;
const CHUNKS: u32 = $CHUNKSu; // of rows of a head
const PITCH: u32 = $COLUMNSu + 1u; // odd: threads that differ in the quad meet different banks

struct Immediates {
    heads: u32,  // of this launch
    first: u32,  // its first element of the batch
    units: u32,  // chunks that a workgroup computes
    grid_x: u32,
    scale: f32,  // 1 / sqrt(d)
//! if MASK
    mask_stream: u32,
    mask_rate: f32,
    mask_scale: f32,
    clock: Clock,
//! end
}
var<immediate> imm: Immediates;

// Column c of quad q is at q PITCH + (c % 4) COLUMN_BLOCKS + c / 4: threads with neighbouring blocks of columns read
// neighbours.
var<workgroup> tile: array<vec4<f32>, $QUADS * ($COLUMNS + 1)>;
// [ROWS][COLUMN_BLOCKS], four neighbouring columns each.
var<workgroup> scores: array<vec4<f32>, $ROWS * $COLUMNS / 4>;

// The block of S or dP that a thread computes.
fn score_row(thread: u32) -> u32 {
    return thread / COLUMN_BLOCKS * 4u;
}
fn score_block(thread: u32) -> u32 {
    return thread % COLUMN_BLOCKS;
}
fn has_scores(thread: u32) -> bool {
    return thread < ROWS / 4u * COLUMN_BLOCKS;
}

// The block of the result that a thread computes.
fn result_row(thread: u32) -> u32 {
    return thread / QUADS * 4u;
}
fn result_quad(thread: u32) -> u32 {
    return thread % QUADS;
}
fn has_result(thread: u32) -> bool {
    return thread < ROWS / 4u * QUADS;
}

// Where a token's queries (part 0), keys (1) or values (2) begin, for a head of this launch.
fn projection(head: u32, part: u32, token: u32) -> u32 {
    return ((head / HEADS * TOKENS + token) * 3u + part) * WIDTH + head % HEADS * HEAD_SIZE;
}
// Where a token's part of O or dO begins.
fn output(head: u32, token: u32) -> u32 {
    return (head / HEADS * TOKENS + token) * WIDTH + head % HEADS * HEAD_SIZE;
}

// Rows beyond the last token repeat it, so that loads need no test: what is computed from them is not stored.
fn existing(token: u32) -> u32 {
    return min(token, TOKENS - 1u);
}

// Where four rows begin, in qkv and in O.
fn projections(head: u32, part: u32, token: u32) -> vec4<u32> {
    return vec4<u32>(
        projection(head, part, existing(token)),
        projection(head, part, existing(token + 1u)),
        projection(head, part, existing(token + 2u)),
        projection(head, part, existing(token + 3u)),
    );
}
fn outputs(head: u32, token: u32) -> vec4<u32> {
    return vec4<u32>(
        output(head, existing(token)),
        output(head, existing(token + 1u)),
        output(head, existing(token + 2u)),
        output(head, existing(token + 3u)),
    );
}

//! if MASK
// M for one query and four neighbouring keys.
fn factors(head: u32, query: u32, key: u32) -> vec4<f32> {
    let line = (imm.first * HEADS + head) * TOKENS + query;
    let mask = DropoutMask(imm.mask_stream, imm.mask_rate, imm.mask_scale);
    return dropout_factors(mask, imm.clock.step, imm.clock.seed, line * ((TOKENS + 3u) / 4u) + key / 4u);
}
//! end

// Rows `row` to `row + 3` of `scores` times what is staged, in one quad.
fn product(row: u32, quad: u32) -> mat4x4<f32> {
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    for (var block = 0u; block < COLUMN_BLOCKS; block++) {
//! for R in 0..4
        let a_$R = scores[(row + $Ru) * COLUMN_BLOCKS + block];
//! end
//! for K in 0..4
        let b_$K = tile[quad * PITCH + $Ku * COLUMN_BLOCKS + block];
//! end
//! for R in 0..4
//! for K in 0..4
        sum_$R = fma(vec4<f32>(a_$R[$K]), b_$K, sum_$R);
//! end
//! end
    }
    return mat4x4<f32>(sum_0, sum_1, sum_2, sum_3);
}

