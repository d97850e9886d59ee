// Scalars as distributions over bins; the formula is in two_hot.rs.
//
// Layout: target [rows], distribution [rows, bins]. A thread takes a row; threads stride over the rows. No workgroup
// memory, no barriers.
struct Immediates {
    rows: u32,
    bins: u32,
    smallest: f32,
    // 1 / Δ
    per_spacing: f32,
    // The bits of a NaN, which WGSL cannot write as a constant.
    nan: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> targets: array<f32>;
@group(0) @binding(1) var<storage, read_write> distribution: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < imm.rows; row += groups.x * 64u) {
        let value = targets[row];
        // By its bits: drivers may assume that floats are neither NaN nor infinite.
        let valid = (bitcast<u32>(value) & 0x7fffffffu) < 0x7f800000u;
        let place = clamp((value - imm.smallest) * imm.per_spacing, 0.0, f32(imm.bins - 1u));
        let lower = min(u32(place), imm.bins - 2u);
        let share = place - f32(lower);
        for (var b = 0u; b < imm.bins; b++) {
            let here = select(select(0.0, share, b == lower + 1u), 1.0 - share, b == lower);
            distribution[row * imm.bins + b] = select(bitcast<f32>(imm.nan), here, valid);
        }
    }
}
