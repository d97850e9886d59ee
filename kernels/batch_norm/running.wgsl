// saved = [mean, 1 / sqrt(var + eps)], [2, C], of the running statistics. A thread takes a channel. Workgroup memory: none.
struct Immediates {
    channels: u32,
    eps: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> running_mean: array<f32>;
@group(0) @binding(1) var<storage, read> running_var: array<f32>;
@group(0) @binding(2) var<storage, read_write> saved: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var c = id.x; c < imm.channels; c += groups.x * 64u) {
        saved[c] = running_mean[c];
        saved[imm.channels + c] = 1.0 / sqrt(running_var[c] + imm.eps);
    }
}
