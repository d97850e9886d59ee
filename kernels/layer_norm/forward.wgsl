// y = layer_norm(x); with BRANCH, x = residual + mask branch is written to `sum` first.
//
// Every array is [rows, width], weight and bias are [width]. A thread keeps its elements in registers: mean, squared
// distances from it, and the result read them from there. Workgroup memory: 1 KiB. Prepended: row.wgsl.
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> weight: array<Element>;
@group(0) @binding(2) var<storage, read> bias: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;
//! if BRANCH
@group(0) @binding(4) var<storage, read> branch: array<Element>;
@group(0) @binding(5) var<storage, read_write> sum: array<Element>;
//! end

const ROWS: u32 = 256u / $LANESu;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % $LANESu;
    for (var first = group.x * ROWS; first < imm.rows; first += groups.x * ROWS) {
        let row = first + thread / $LANESu;
        let start = row * imm.units;
        var subtotal = 0.0;
//! for I in 0..VECTORS
        var value$I = Element();
        let inside$I = row < imm.rows && lane + $Iu * $LANESu < imm.units;
        if inside$I {
            let at = start + lane + $Iu * $LANESu;
//! if BRANCH
//! if MASK
            value$I = x[at] + masked(branch[at], factors(row, lane + $Iu * $LANESu));
//! else
            value$I = x[at] + branch[at];
//! end
            sum[at] = value$I;
//! else
            value$I = x[at];
//! end
            subtotal += total(value$I);
        }
//! end
        let mean = row_sum(subtotal, thread) * imm.share;
        var squares = 0.0;
//! for I in 0..VECTORS
        if inside$I {
            value$I -= Element(mean);
            squares += total(value$I * value$I);
        }
//! end
        let inverse = 1.0 / sqrt(row_sum(squares, thread) * imm.share + imm.eps);
//! for I in 0..VECTORS
        if inside$I {
            let unit = lane + $Iu * $LANESu;
            y[start + unit] = value$I * inverse * weight[unit] + bias[unit];
        }
//! end
    }
}
