// One buffer, whose rows are read as quads, staged, and multiplied with what is staged.
//! if VEC4
@group(0) @binding($BINDING) var<storage, read> $X: array<vec4<f32>>;
//! else
@group(0) @binding($BINDING) var<storage, read> $X: array<f32>;
//! end

// Four values of the row that begins at `start`, zeros behind its end.
fn load_$X(start: u32, quad: u32) -> vec4<f32> {
//! if VEC4
    return $X[start / 4u + quad];
//! else
    var value = vec4<f32>();
//! for J in 0..4
    if 4u * quad + $Ju < HEAD_SIZE {
        value[$J] = $X[start + 4u * quad + $Ju];
    }
//! end
    return value;
//! end
}

// Stages the tokens from `token` on, whose rows begin at `start` and are `stride` apart; zeros behind the last one.
fn stage_$X(start: u32, stride: u32, token: u32, thread: u32) {
    for (var item = thread; item < COLUMNS * QUADS; item += $THREADSu) {
        let column = item / QUADS;
        let quad = item % QUADS;
        var value = vec4<f32>();
        if token + column < TOKENS {
            value = load_$X(start + column * stride, quad);
        }
        tile[quad * PITCH + column % 4u * COLUMN_BLOCKS + column / 4u] = value;
    }
}

// Four rows, which begin at `start`, times four staged columns: row r of the result is column r of the matrix.
fn scores_$X(start: vec4<u32>, block: u32) -> mat4x4<f32> {
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    for (var quad = 0u; quad < QUADS; quad++) {
//! for K in 0..4
        let b_$K = tile[quad * PITCH + $Ku * COLUMN_BLOCKS + block];
//! end
//! for R in 0..4
        let a_$R = load_$X(start[$R], quad);
        sum_$R += vec4<f32>(dot(a_$R, b_0), dot(a_$R, b_1), dot(a_$R, b_2), dot(a_$R, b_3));
//! end
    }
    return mat4x4<f32>(sum_0, sum_1, sum_2, sum_3);
}

