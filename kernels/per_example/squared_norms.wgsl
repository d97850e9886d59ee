// norms[first + n] = square Σ_c g[n, c]²; if OUTER, square Σ_i g[n, i]² Σ_j x[n, j]². If ADD, added to what is there.
//
// Layout: g [count, columns], x [count, others], norms [all rows]. A workgroup takes a row, then strides over the rows: a
// thread sums the squares of every 256th element, a tree adds the threads. Workgroup memory: 1 KiB, 2 KiB if OUTER.
struct Immediates {
    count: u32,
    first: u32,
    square: f32, // of the scale
    columns: u32,
//! if OUTER
    others: u32,
//! end
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> g: array<f32>;
//! if OUTER
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> norms: array<f32>;
//! else
@group(0) @binding(1) var<storage, read_write> norms: array<f32>;
//! end

var<workgroup> squares: array<f32, 256>;
//! if OUTER
var<workgroup> other_squares: array<f32, 256>;
//! end

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var n = group.x; n < imm.count; n += groups.x) {
        var sum = 0.0;
        for (var c = thread; c < imm.columns; c += 256u) {
            let value = g[n * imm.columns + c];
            sum += value * value;
        }
        squares[thread] = sum;
//! if OUTER
        var other = 0.0;
        for (var c = thread; c < imm.others; c += 256u) {
            let value = x[n * imm.others + c];
            other += value * value;
        }
        other_squares[thread] = other;
//! end
        for (var width = 128u; width > 0u; width >>= 1u) {
            workgroupBarrier();
            if thread < width {
                squares[thread] += squares[thread + width];
//! if OUTER
                other_squares[thread] += other_squares[thread + width];
//! end
            }
        }
        if thread == 0u {
            var norm = imm.square * squares[0];
//! if OUTER
            norm *= other_squares[0];
//! end
//! if ADD
            norms[imm.first + n] += norm;
//! else
            norms[imm.first + n] = norm;
//! end
        }
        workgroupBarrier();
    }
}
