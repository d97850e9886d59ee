// O = (M ∘ softmax(Q Kᵀ / sqrt(d))) V and L, the log-sum-exp of each row.
//
// Rows are queries, columns are keys. Where the columns are several blocks, the softmax is computed online: the largest
// score so far, the sum of exponentials relative to it, and a result that is scaled down whenever a larger score appears.
// Four threads share a row of scores. Short sequences are one workgroup per head; else a workgroup takes one chunk of
// queries.
//
// Workgroup memory: 16 (QUADS (COLUMNS + 1) + ROWS COLUMNS / 4) + 4 (3 ROWS + THREADS) bytes: 28 KiB for 65 tokens and heads
// of 64. Prepended: head.wgsl, operand.wgsl.
//! if VEC4
@group(0) @binding(1) var<storage, read_write> o: array<vec4<f32>>;
//! else
@group(0) @binding(1) var<storage, read_write> o: array<f32>;
//! end
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;

// The largest score of a row so far, the sum of exponentials, and what the result is to be multiplied with.
var<workgroup> row_most: array<f32, $ROWS>;
var<workgroup> row_sum: array<f32, $ROWS>;
var<workgroup> row_factor: array<f32, $ROWS>;
var<workgroup> folded: array<f32, $THREADS>;

// A score that weighs nothing.
const NOTHING: f32 = -3.0e38;

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let begin = (workgroup.x + workgroup.y * imm.grid_x) * imm.units;
    let end = min(begin + imm.units, imm.heads * CHUNKS);
    for (var unit = begin; unit < end; unit++) {
        chunk(unit / CHUNKS, unit % CHUNKS * ROWS, thread);
    }
}

fn chunk(head: u32, first_row: u32, thread: u32) {
    workgroupBarrier();
    if thread < ROWS {
        row_most[thread] = NOTHING;
        row_sum[thread] = 0.0;
    }
    let starts = projections(head, 0u, first_row + score_row(thread));
    var result = mat4x4<f32>();
    for (var first_column = 0u; first_column < TOKENS; first_column += COLUMNS) {
        workgroupBarrier();
        stage_qkv(projection(head, 1u, first_column), 3u * WIDTH, first_column, thread);
        workgroupBarrier();
        if has_scores(thread) {
            let block = score_block(thread);
            let products = scores_qkv(starts, block);
            let columns = vec4<u32>(first_column + 4u * block) + vec4<u32>(0u, 1u, 2u, 3u);
//! for R in 0..4
            scores[(score_row(thread) + $Ru) * COLUMN_BLOCKS + block] =
                select(vec4<f32>(NOTHING), products[$R] * imm.scale, columns < vec4<u32>(TOKENS));
//! end
        }
        workgroupBarrier();
        stage_qkv(projection(head, 2u, first_column), 3u * WIDTH, first_column, thread);
        let row = thread / 4u;
        let lane = thread % 4u;
        let in_rows = row < ROWS;
        var most = NOTHING;
        if in_rows {
            for (var block = lane; block < COLUMN_BLOCKS; block += 4u) {
                let four = scores[row * COLUMN_BLOCKS + block];
                most = max(most, max(max(four.x, four.y), max(four.z, four.w)));
            }
        }
        folded[thread] = most;
        workgroupBarrier();
        var before = NOTHING;
        var sum = 0.0;
        if in_rows {
            let first = 4u * row;
            before = row_most[row];
            most = max(before, max(max(folded[first], folded[first + 1u]), max(folded[first + 2u], folded[first + 3u])));
            for (var block = lane; block < COLUMN_BLOCKS; block += 4u) {
                let at = row * COLUMN_BLOCKS + block;
                var weights = exp(scores[at] - vec4<f32>(most));
                sum += dot(weights, vec4<f32>(1.0));
//! if MASK
                weights *= factors(head, first_row + row, first_column + 4u * block);
//! end
                scores[at] = weights;
            }
        }
        workgroupBarrier();
        folded[thread] = sum;
        workgroupBarrier();
        if in_rows && lane == 0u {
            let factor = exp(before - most);
            let total = (folded[thread] + folded[thread + 1u]) + (folded[thread + 2u] + folded[thread + 3u]);
            row_most[row] = most;
            row_sum[row] = row_sum[row] * factor + total;
            row_factor[row] = factor;
        }
        workgroupBarrier();
        if has_result(thread) {
            let row = result_row(thread);
            let products = product(row, result_quad(thread));
//! for R in 0..4
            result[$R] = result[$R] * row_factor[row + $Ru] + products[$R];
//! end
        }
    }
    if has_result(thread) {
        let quad = result_quad(thread);
//! for R in 0..4
        {
            let row = result_row(thread) + $Ru;
            let token = first_row + row;
            if token < TOKENS {
                let value = result[$R] / row_sum[row];
                let at = output(head, token) + 4u * quad;
//! if VEC4
                o[at / 4u] = value;
//! else
//! for J in 0..4
                if 4u * quad + $Ju < HEAD_SIZE {
                    o[at + $Ju] = value[$J];
                }
//! end
//! end
            }
        }
//! end
    }
    if thread < ROWS && first_row + thread < TOKENS {
        lse[head * TOKENS + first_row + thread] = row_most[thread] + log(row_sum[thread]);
    }
}
