// dx[n, 0] = dy[n], dx[n, t] = 0 for all other t.
//
// A thread writes one element, a vec4 where the width is a multiple of 4, and strides over the grid. Workgroup memory: none.
alias Element = $ELEMENT;

struct Immediates {
    elements: u32, // of dx
    tokens: u32,
    units: u32,    // elements in a token
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> dy: array<Element>;
@group(0) @binding(1) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var to = id.x; to < imm.elements; to += groups.x * 256u) {
        let row = to / imm.units;
        var value = Element();
        if row % imm.tokens == 0u {
            value = dy[row / imm.tokens * imm.units + to % imm.units];
        }
        dx[to] = value;
    }
}
