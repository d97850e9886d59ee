// dQ, dK and dV from qkv, O, dO and L. S, P and M are computed again.
//
// Two kinds of chunks, so that no sum is shared. Rows that are queries: dS = P ∘ (M ∘ (dO Vᵀ) - D) / sqrt(d), dQ = dS K.
// Rows that are keys, and columns that are queries: the same matrices transposed, dV = (M ∘ P)ᵀ dO and dK = dSᵀ Q. A
// block of S and one of dP stay in the registers of the thread that computes them. Short sequences are one workgroup per
// head; else a workgroup takes one chunk.
//
// Workgroup memory: 16 (QUADS (COLUMNS + 1) + ROWS COLUMNS / 4) + 4 (6 TOKENS_HELD) bytes, where TOKENS_HELD is the
// larger of ROWS and COLUMNS: 29 KiB for 65 tokens and heads of 64. Prepended: head.wgsl, operand.wgsl (three times).
@group(0) @binding(3) var<storage, read> lse: array<f32>;
//! if VEC4
@group(0) @binding(4) var<storage, read_write> dqkv: array<vec4<f32>>;
//! else
@group(0) @binding(4) var<storage, read_write> dqkv: array<f32>;
//! end

// L and D of the queries at hand.
var<workgroup> query_lse: array<f32, $TOKENS_HELD>;
var<workgroup> query_d: array<f32, $TOKENS_HELD>;
var<workgroup> folded: array<f32, 4 * $TOKENS_HELD>;

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let begin = (workgroup.x + workgroup.y * imm.grid_x) * imm.units;
    let end = min(begin + imm.units, imm.heads * 2u * CHUNKS);
    for (var unit = begin; unit < end; unit++) {
        let head = unit / (2u * CHUNKS);
        let place = unit % (2u * CHUNKS);
        if place < CHUNKS {
            rows_are_queries(head, place * ROWS, thread);
        } else {
            rows_are_keys(head, (place - CHUNKS) * ROWS, thread);
        }
    }
}

// L and D = Σ dO O of `count` queries; four threads share one. Everybody has to call it, and to wait before and behind it.
fn find_queries(head: u32, first: u32, count: u32, thread: u32) {
    for (var item = thread; item < 4u * count; item += $THREADSu) {
        let start = output(head, existing(first + item / 4u));
        var sum = 0.0;
        for (var quad = item % 4u; quad < QUADS; quad += 4u) {
            sum += dot(load_o(start, quad), load_dout(start, quad));
        }
        folded[item] = sum;
    }
    workgroupBarrier();
    for (var query = thread; query < count; query += $THREADSu) {
        let at = 4u * query;
        query_d[query] = (folded[at] + folded[at + 1u]) + (folded[at + 2u] + folded[at + 3u]);
        query_lse[query] = lse[head * TOKENS + existing(first + query)];
    }
}

// Writes four rows of one quad of dQ, dK or dV.
fn store(head: u32, part: u32, token: u32, quad: u32, rows: mat4x4<f32>) {
//! for R in 0..4
    if token + $Ru < TOKENS {
        let at = projection(head, part, token + $Ru) + 4u * quad;
//! if VEC4
        dqkv[at / 4u] = rows[$R];
//! else
//! for J in 0..4
        if 4u * quad + $Ju < HEAD_SIZE {
            dqkv[at + $Ju] = rows[$R][$J];
        }
//! end
//! end
    }
//! end
}

fn rows_are_queries(head: u32, first_row: u32, thread: u32) {
    workgroupBarrier();
    find_queries(head, first_row, ROWS, thread);
    let local_row = score_row(thread);
    let block = score_block(thread);
    var dq = mat4x4<f32>();
    for (var first_column = 0u; first_column < TOKENS; first_column += COLUMNS) {
        let keys = projection(head, 1u, first_column);
        workgroupBarrier();
        stage_qkv(keys, 3u * WIDTH, first_column, thread);
        workgroupBarrier();
        var s = mat4x4<f32>();
        if has_scores(thread) {
            s = scores_qkv(projections(head, 0u, first_row + local_row), block);
        }
        workgroupBarrier();
        stage_qkv(keys + WIDTH, 3u * WIDTH, first_column, thread);
        workgroupBarrier();
        if has_scores(thread) {
            let dp = scores_dout(outputs(head, first_row + local_row), block);
            let inside = vec4<u32>(first_column + 4u * block) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(TOKENS);
//! for R in 0..4
            {
                let row = local_row + $Ru;
                // What lies behind the last key has no weight.
                let p = select(vec4<f32>(), exp(s[$R] * imm.scale - vec4<f32>(query_lse[row])), inside);
//! if MASK
                let masked = dp[$R] * factors(head, first_row + row, first_column + 4u * block);
//! else
                let masked = dp[$R];
//! end
                scores[row * COLUMN_BLOCKS + block] = p * (masked - vec4<f32>(query_d[row])) * imm.scale;
            }
//! end
        }
        workgroupBarrier();
        stage_qkv(keys, 3u * WIDTH, first_column, thread);
        workgroupBarrier();
        if has_result(thread) {
            dq += product(result_row(thread), result_quad(thread));
        }
    }
    if has_result(thread) {
        store(head, 0u, first_row + result_row(thread), result_quad(thread), dq);
    }
}

fn rows_are_keys(head: u32, first_row: u32, thread: u32) {
    let local_row = score_row(thread);
    let block = score_block(thread);
    var dk = mat4x4<f32>();
    var dv = mat4x4<f32>();
    for (var first_column = 0u; first_column < TOKENS; first_column += COLUMNS) {
        let queries = projection(head, 0u, first_column);
        workgroupBarrier();
        stage_qkv(queries, 3u * WIDTH, first_column, thread);
        find_queries(head, first_column, COLUMNS, thread);
        workgroupBarrier();
        var s = mat4x4<f32>();
        if has_scores(thread) {
            s = scores_qkv(projections(head, 1u, first_row + local_row), block);
        }
        workgroupBarrier();
        stage_dout(output(head, first_column), WIDTH, first_column, thread);
        workgroupBarrier();
        var ds = mat4x4<f32>();
        if has_scores(thread) {
            let dp = scores_qkv(projections(head, 2u, first_row + local_row), block);
            let query = 4u * block;
            let inside = vec4<u32>(first_column + query) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(TOKENS);
            let log_sum = vec4<f32>(
                query_lse[query], query_lse[query + 1u], query_lse[query + 2u], query_lse[query + 3u]);
            let d = vec4<f32>(query_d[query], query_d[query + 1u], query_d[query + 2u], query_d[query + 3u]);
//! if MASK
            // Four keys each for four queries; here columns are queries.
            let key = first_row + local_row;
            let mask = transpose(mat4x4<f32>(
                factors(head, first_column + query, key),
                factors(head, first_column + query + 1u, key),
                factors(head, first_column + query + 2u, key),
                factors(head, first_column + query + 3u, key),
            ));
//! end
//! for R in 0..4
            {
                // What lies behind the last query has no weight.
                let p = select(vec4<f32>(), exp(s[$R] * imm.scale - log_sum), inside);
//! if MASK
                let kept = p * mask[$R];
                let masked = dp[$R] * mask[$R];
//! else
                let kept = p;
                let masked = dp[$R];
//! end
                scores[(local_row + $Ru) * COLUMN_BLOCKS + block] = kept;
                ds[$R] = p * (masked - d) * imm.scale;
            }
//! end
        }
        workgroupBarrier();
        if has_result(thread) {
            dv += product(result_row(thread), result_quad(thread));
        }
        workgroupBarrier();
        stage_qkv(queries, 3u * WIDTH, first_column, thread);
        if has_scores(thread) {
//! for R in 0..4
            scores[(local_row + $Ru) * COLUMN_BLOCKS + block] = ds[$R];
//! end
        }
        workgroupBarrier();
        if has_result(thread) {
            dk += product(result_row(thread), result_quad(thread));
        }
    }
    if has_result(thread) {
        let token = first_row + result_row(thread);
        store(head, 1u, token, result_quad(thread), dk);
        store(head, 2u, token, result_quad(thread), dv);
    }
}
