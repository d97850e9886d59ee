// One operand of C = A B in blocks of 4x4; put into a shader once as A and once as B.
//
//   X, BINDING    its name, a or b, and its binding
//   OUTER         its other dimension: m for A, n for B
//   K_CONTIGUOUS  stored [batch, OUTER, K], else [batch, K, OUTER]
//   VEC4          the contiguous dimension is a multiple of 4: loads are 16 bytes wide
//   GUARD         k may run beyond k_end: zeros are taken from there
//! if VEC4
@group(0) @binding($BINDING) var<storage, read> $X: array<vec4<f32>>;
//! else
@group(0) @binding($BINDING) var<storage, read> $X: array<f32>;
//! end

alias Lines_$X = vec4<u32>;

// Where the four rows of A or columns of B from `outer` on begin. Those beyond the edge repeat the last one, so that
// loads need no test: what is computed from them is not stored.
fn start_$X(batch: u32, outer: u32) -> Lines_$X {
    let matrix = batch * imm.$OUTER * imm.k;
    let lines = min(vec4<u32>(outer) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(imm.$OUTER - 1u));
//! if K_CONTIGUOUS
    let start = vec4<u32>(matrix) + lines * imm.k;
//! else
    let start = vec4<u32>(matrix) + lines;
//! end
//! if VEC4
    return start >> vec4<u32>(2u);
//! else
    return start;
//! end
}

// Column j of the result holds the four rows of A (columns of B) at k + j.
fn load_$X(start: Lines_$X, k: u32, k_end: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//! if VEC4
//! if K_CONTIGUOUS
//! if GUARD
    if k < k_end {
//! else
    {
//! end
        let at = start + vec4<u32>(k / 4u);
        block = transpose(mat4x4<f32>($X[at.x], $X[at.y], $X[at.z], $X[at.w]));
    }
//! else
//! for J in 0..4
//! if GUARD
    if k + $Ju < k_end {
//! else
    {
//! end
        block[$J] = $X[start.x + (k + $Ju) * (imm.$OUTER / 4u)];
    }
//! end
//! end
//! else
//! for J in 0..4
//! if GUARD
    if k + $Ju < k_end {
//! else
    {
//! end
//! if K_CONTIGUOUS
        let at = start + vec4<u32>(k + $Ju);
//! else
        let at = start + vec4<u32>((k + $Ju) * imm.$OUTER);
//! end
        block[$J] = vec4<f32>($X[at.x], $X[at.y], $X[at.z], $X[at.w]);
    }
//! end
//! end
    return block;
}
