// Which transitions make a batch.
//
// Layout: index [batch]. A thread draws one; threads stride over the rest. No workgroup memory, no barriers. Prepended:
// clock.wgsl and random.wgsl.
struct Immediates {
    batch: u32,
    capacity: u32,
    // The stream of these draws.
    stream: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> index: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let len = min(imm.clock.appended, imm.capacity);
    for (var i = id.x; i < imm.batch; i += groups.x * 64u) {
        let word = pcg4d(vec4<u32>(i, imm.clock.step, imm.stream, imm.clock.seed)).x;
        index[i] = uniform_index(word, len);
    }
}
