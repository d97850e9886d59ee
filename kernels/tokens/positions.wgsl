// y[n, t] = x[n, t] + positions[t].
//
// A thread takes one element of y, a vec4 where a sequence is whole vectors, and strides over the grid. Workgroup memory:
// none.
alias Element = $ELEMENT;

struct Immediates {
    elements: u32,
    sequence: u32, // elements in a sequence
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> positions: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var to = id.x; to < imm.elements; to += groups.x * 256u) {
        y[to] = x[to] + positions[to % imm.sequence];
    }
}
