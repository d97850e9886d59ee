// Writes four neighbouring elements of C, with bias and activation.
//
//   C_VEC4      N is a multiple of 4: stores are 16 bytes wide
//   BIAS, RELU  the epilogue; off while K is split, where C is a plane of partial sums
//   ROW         where the row lies in C, counted in rows
//! if C_VEC4
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;
//! else
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
//! end
//! if BIAS
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
//! end

fn store(plane: u32, row: u32, column: u32, sum: vec4<f32>) {
    if row >= imm.m || column >= imm.n {
        return;
    }
    var value = sum;
//! if BIAS
    value += bias[column / 4u];
//! end
//! if RELU
    // Not max: a NaN has to stay one.
    value = select(value, vec4<f32>(), value < vec4<f32>());
//! end
    let at = ($ROW) * imm.n + column;
//! if C_VEC4
    c[at / 4u] = value;
//! else
//! for J in 0..4
    if column + $Ju < imm.n {
        c[at + $Ju] = value[$J];
    }
//! end
//! end
}
