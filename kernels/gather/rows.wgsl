
// For GPUs: a workgroup handles a row at a time. Its first thread finds the row's source: a shuffle costs a few hundred
// integer operations in a chain, so one thread does it and workgroup memory (16 bytes) hands it to the others; a launch
// of its own would cost more than it saves. Then thread t makes quads t, t + 256, ...
var<workgroup> found: vec4<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    for (var i = group.x; i < imm.batch; i += grid.x) {
        if (local == 0u) {
            found = find(i, true);
        }
        // A barrier before the load, and one after it for the next row.
        let source = workgroupUniformLoad(&found);
        if (source.x < imm.rows) {
            for (var k = local; k < QUADS; k += 256u) {
                make(i, source, k);
            }
        }
    }
}
