
// For software drivers, where barriers cost more than arithmetic: a row is cut into STRIPS strips of STRIP quads (the
// last may be shorter), and a thread finds the source of its row by itself and makes one strip after the other.
const STRIPS = $STRIPSu;
const STRIP = $STRIPu;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    for (var strip = id.x; strip < imm.batch * STRIPS; strip += 64u * grid.x) {
        let i = strip / STRIPS;
        let start = strip % STRIPS * STRIP;
        let source = find(i, start == 0u);
        if (source.x < imm.rows) {
            for (var k = start; k < min(start + STRIP, QUADS); k++) {
                make(i, source, k);
            }
        }
    }
}
