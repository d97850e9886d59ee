// The tangent of the gradient of a regression; the formula is in regression_tangent.rs.
//
// Every array holds `len` floats. A thread takes one at a time and strides over the grid. No workgroup memory.
struct Immediates {
    len: u32,
    // Of the criterion.
    parameter: f32,
    // 1 / the predictions of the whole batch
    share: f32,
}
var<immediate> imm: Immediates;

override criterion_kind: u32 = 0u;

@group(0) @binding(0) var<storage, read> predicted: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read> predicted_tangent: array<f32>;
@group(0) @binding(3) var<storage, read_write> dpredicted_tangent: array<f32>;

// The second derivative of the loss of an error; the formulas are in criterion.rs.
fn curvature(error: f32) -> f32 {
    switch (criterion_kind) {
        case 1u: {
            return select(0.0, 1.0, abs(error) <= imm.parameter);
        }
        case 2u: {
            return 2.0 * select(imm.parameter, 1.0 - imm.parameter, error < 0.0);
        }
        default: {
            return 2.0;
        }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.len; i += groups.x * 256u) {
        let error = targets[i] - predicted[i];
        dpredicted_tangent[i] = curvature(error) * imm.share * predicted_tangent[i];
    }
}
