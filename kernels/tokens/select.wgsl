// y[n] = x[n, 0].
//
// A thread moves one element, a vec4 where the width is a multiple of 4, and strides over the grid. Workgroup memory: none.
alias Element = $ELEMENT;

struct Immediates {
    elements: u32,
    tokens: u32,
    units: u32, // elements in a token
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var to = id.x; to < imm.elements; to += groups.x * 256u) {
        y[to] = x[to / imm.units * imm.tokens * imm.units + to % imm.units];
    }
}
