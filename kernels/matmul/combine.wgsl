// The second launch when K is split: C = activation(sum of the partial products + bias), always added in the same order.
//
// The partial products are [splits, batch, M, N]; with ACCUMULATE they are added to what C holds from launches before. A
// thread computes four neighbouring elements of C if N is a multiple of 4 (C_VEC4), else one. Workgroup memory: none.

struct Immediates {
    elements: u32, // of C: vec4 if C_VEC4, else floats
    n: u32,        // elements in a row
    splits: u32,
    grid_x: u32,
}
var<immediate> imm: Immediates;

//! if C_VEC4
alias Element = vec4<f32>;
//! else
alias Element = f32;
//! end
@group(0) @binding(0) var<storage, read> partial: array<Element>;
@group(0) @binding(1) var<storage, read_write> c: array<Element>;
//! if BIAS
@group(0) @binding(2) var<storage, read> bias: array<Element>;
//! end

@compute @workgroup_size($THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = (workgroup.x + workgroup.y * imm.grid_x) * $THREADSu + thread;
    if index >= imm.elements {
        return;
    }
//! if ACCUMULATE
    var sum = c[index] + partial[index];
//! else
    var sum = partial[index];
//! end
    for (var split = 1u; split < imm.splits; split++) {
        sum += partial[index + split * imm.elements];
    }
//! if BIAS
    sum += bias[index % imm.n];
//! end
//! if RELU
    // Not max: a NaN has to stay one.
    sum = select(sum, Element(), sum < Element());
//! end
    c[index] = sum;
}
