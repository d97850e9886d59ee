// sigma = uᵀ product. Iterating, u becomes the product divided by its length, so that sigma is that length.
//
// Layout: product, u [outputs]; sigma [1]. One workgroup: a thread takes every 256th element. Workgroup memory: 1,024
// bytes (tree.wgsl, prepended).
struct Immediates {
    outputs: u32,
    inputs: u32,
    epsilon: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> product: array<f32>;
//! if ITERATE
@group(0) @binding(1) var<storage, read_write> u: array<f32>;
//! else
@group(0) @binding(1) var<storage, read> u: array<f32>;
//! end
@group(0) @binding(2) var<storage, read_write> sigma: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var i = thread; i < imm.outputs; i += 256u) {
//! if ITERATE
        sum += product[i] * product[i];
//! else
        sum += product[i] * u[i];
//! end
    }
    let all = sum_of_workgroup(thread, sum);
//! if ITERATE
    let length = sqrt(all);
    // In this order a NaN stays a NaN.
    let divisor = select(length, imm.epsilon, length < imm.epsilon);
    for (var i = thread; i < imm.outputs; i += 256u) {
        u[i] = product[i] / divisor;
    }
    let result = divisor;
//! else
    let result = all;
//! end
    if (thread == 0u) {
        sigma[0] = result;
    }
}
