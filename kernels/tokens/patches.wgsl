// y[n, i w + j, (u P + v) C + c] = x[n, i P + u, j P + v, c].
//
// A thread moves one element of y, a vec4 where P C is a multiple of 4, and strides over the grid. Rows of a patch are
// runs of P C neighbours in the image. Workgroup memory: none.
alias Element = $ELEMENT;

struct Immediates {
    elements: u32,
    run: u32,     // elements in a row of a patch
    patch_: u32,  // rows of a patch
    columns: u32, // patches in a row of the image
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var to = id.x; to < imm.elements; to += groups.x * 256u) {
        let row = to / imm.run;
        let place = row / imm.patch_;
        // Rows of all images, one below the other: whole rows of patches, then rows within the patch.
        let line = place / imm.columns * imm.patch_ + row % imm.patch_;
        y[to] = x[(line * imm.columns + place % imm.columns) * imm.run + to % imm.run];
    }
}
