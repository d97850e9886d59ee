// y[n, 0] = cls + positions[0], y[n, t] = x[n, t - 1] + positions[t].
//
// A thread takes one element of y, a vec4 where the width is a multiple of 4, and strides over the grid. Workgroup
// memory: none.
alias Element = $ELEMENT;

struct Immediates {
    elements: u32,
    tokens: u32, // of y, the class token included
    units: u32,  // elements in a token
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> cls: array<Element>;
@group(0) @binding(2) var<storage, read> positions: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let sequence = imm.tokens * imm.units;
    for (var to = id.x; to < imm.elements; to += groups.x * 256u) {
        let place = to % sequence;
        var value = positions[place];
        if place < imm.units {
            value += cls[place];
        } else {
            // Every sequence of x is one token shorter.
            value += x[to - (to / sequence + 1u) * imm.units];
        }
        y[to] = value;
    }
}
