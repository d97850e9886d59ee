// First stage of regen: gradients += strength (params - initial), and partial sums of the squared distance.
//
// Layout: three ranges of `len` floats read as vec4, one partial sum per workgroup. A thread takes every
// (256 x workgroups)-th vector; the workgroup adds its threads in a tree (1,024 bytes, tree.wgsl).
struct Immediates {
    len: u32,
    strength: f32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> params: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> initial: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    var sum = vec4<f32>(0.0);
    let vectors = (imm.len + 3u) / 4u;
    for (var i = group.x * 256u + local; i < vectors; i += grid.x * 256u) {
        // The padding behind the last float may hold anything, NaN included, and keeps it.
        let inside = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        let d = select(vec4<f32>(0.0), params[i] - initial[i], inside);
        let old = gradients[i];
        gradients[i] = select(old, old + imm.strength * d, inside);
        sum += d * d;
    }
    let total = sum_of_workgroup(local, (sum.x + sum.y) + (sum.z + sum.w));
    if (local == 0u) {
        partials[group.x] = total;
    }
}
