// dx' = gelu'(x) dy' + gelu''(x) x' dy; a prime behind x, dx and dy is a tangent.
//
// Every array holds `len` floats. A thread takes one at a time and strides over the grid. No workgroup memory.
// Prepended: math.wgsl.
struct Immediates {
    len: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> x_tangent: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> dy_tangent: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx_tangent: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.len; i += groups.x * 256u) {
        let value = x[i];
        let below = 0.5 * erf(vec4<f32>(value * 0.70710678)).x + 0.5;
        let density = 0.3989423 * exp(-0.5 * value * value);
        let bend = density * (2.0 - value * value);
        dx_tangent[i] = (below + value * density) * dy_tangent[i] + bend * x_tangent[i] * dy[i];
    }
}
