// dweight = (dnormalised - c u vᵀ) / sigma, where c is the sum of `sums`, which every workgroup adds for itself.
//
// Layout: dnormalised, dweight [outputs, inputs]; sums, u [outputs]; v [inputs]; sigma [1]. A workgroup of 256 threads
// takes a row, a thread every 256th column; workgroups stride over the rows. Workgroup memory: 1,024 bytes (tree.wgsl,
// prepended).
struct Immediates {
    outputs: u32,
    inputs: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> dnormalised: array<f32>;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> sigma: array<f32>;
@group(0) @binding(5) var<storage, read_write> dweight: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    var sum = 0.0;
    for (var i = thread; i < imm.outputs; i += 256u) {
        sum += sums[i];
    }
    let c = sum_of_workgroup(thread, sum);
    for (var row = group.x; row < imm.outputs; row += groups.x) {
        let factor = c * u[row];
        for (var column = thread; column < imm.inputs; column += 256u) {
            let at = row * imm.inputs + column;
            dweight[at] = (dnormalised[at] - factor * v[column]) / sigma[0];
        }
    }
}
