// dx = inverse (g - mean(g) - xhat mean(g xhat)) [+ dsum], with g = dy weight; with MASK also dbranch = mask dx.
//
// Every array is [rows, width], weight is [width]. A workgroup takes a chunk of rows, 256 / LANES of them at a time; a
// thread keeps its elements of x and dy in registers, and the sums of dy xhat and dy over its rows too. At the end the
// threads of different rows add theirs up, and partial[chunk] = [dweight, dbias] of the chunk, [2, width].
// Workgroup memory: 5 KiB (2 KiB where the width is no multiple of 4). Prepended: row.wgsl.
@group(0) @binding(0) var<storage, read> dy: array<Element>;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> weight: array<Element>;
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;
@group(0) @binding(4) var<storage, read_write> partial: array<Element>;
//! if DSUM
@group(0) @binding(5) var<storage, read> dsum: array<Element>;
//! end
//! if MASK
@group(0) @binding($DBRANCH) var<storage, read_write> dbranch: array<Element>;
//! end

var<workgroup> columns: array<Element, 256>;

const ROWS: u32 = 256u / $LANESu;

// The sum over the rows that a workgroup holds, for the threads of its first row. Everybody has to call it.
fn column_sum(value: Element, thread: u32) -> Element {
    columns[thread] = value;
    for (var stride = 128u; stride >= $LANESu; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            columns[thread] += columns[thread + stride];
        }
    }
    let sum = columns[thread];
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % $LANESu;
//! for I in 0..VECTORS
    let unit$I = lane + $Iu * $LANESu;
    var scale$I = Element();
    if unit$I < imm.units {
        scale$I = weight[unit$I];
    }
    var dweight$I = Element();
    var dbias$I = Element();
//! end
    let end = min((group.x + 1u) * imm.chunk_rows, imm.rows);
    for (var first = group.x * imm.chunk_rows; first < end; first += ROWS) {
        let row = first + thread / $LANESu;
        let start = row * imm.units;
        var subtotal = 0.0;
//! for I in 0..VECTORS
        var value$I = Element();
        var slope$I = Element();
        let inside$I = row < end && unit$I < imm.units;
        if inside$I {
            value$I = x[start + unit$I];
            slope$I = dy[start + unit$I];
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
        var sum_g = 0.0;
        var sum_gx = 0.0;
//! for I in 0..VECTORS
        // From here on xhat and g; both are zero behind the end of the row.
        value$I *= inverse;
        dweight$I += slope$I * value$I;
        dbias$I += slope$I;
        slope$I *= scale$I;
        sum_g += total(slope$I);
        sum_gx += total(slope$I * value$I);
//! end
        let mean_g = row_sum(sum_g, thread) * imm.share;
        let mean_gx = row_sum(sum_gx, thread) * imm.share;
//! for I in 0..VECTORS
        if inside$I {
            var gradient = inverse * (slope$I - Element(mean_g) - value$I * mean_gx);
//! if DSUM
            gradient += dsum[start + unit$I];
//! end
            dx[start + unit$I] = gradient;
//! if MASK
            dbranch[start + unit$I] = masked(gradient, factors(row, unit$I));
//! end
        }
//! end
    }
    let to = 2u * (imm.first_chunk + group.x) * imm.units;
//! for I in 0..VECTORS
    let weight_sum$I = column_sum(dweight$I, thread);
    let bias_sum$I = column_sum(dbias$I, thread);
    if thread < $LANESu && unit$I < imm.units {
        partial[to + unit$I] = weight_sum$I;
        partial[to + imm.units + unit$I] = bias_sum$I;
    }
//! end
}
