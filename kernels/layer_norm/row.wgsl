// What both passes of layer normalisation share. LANES neighbouring threads hold a row, each VECTORS elements of it (a vec4,
// or a float where the width is no multiple of 4), LANES apart; a workgroup of 256 threads works on 256 / LANES rows.
alias Element = $ELEMENT;

struct Immediates {
    rows: u32,       // of this launch
    first_row: u32,  // its first row, counted over all launches
    units: u32,      // elements in a row
    eps: f32,
    share: f32,      // 1 / width
//! if MASK
    mask_stream: u32,
    mask_rate: f32,
    mask_scale: f32,
//! end
//! if BACKWARD
    chunk_rows: u32,
    first_chunk: u32,
//! end
//! if MASK
    clock: Clock,
//! end
}
var<immediate> imm: Immediates;

var<workgroup> folded: array<f32, 256>;

fn total(value: Element) -> f32 {
//! if VEC4
    return dot(value, Element(1.0));
//! else
    return value;
//! end
}

// The sum over the threads that share a row, for each of them. Everybody has to call it.
fn row_sum(value: f32, thread: u32) -> f32 {
    let lane = thread % $LANESu;
    folded[thread] = value;
    for (var stride = $LANESu / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if lane < stride {
            folded[thread] += folded[thread + stride];
        }
    }
    workgroupBarrier();
    let sum = folded[thread - lane];
    // Everybody has read before the array is used again.
    workgroupBarrier();
    return sum;
}

//! if MASK
// What element `unit` of a row is multiplied with in dropout.
fn factors(row: u32, unit: u32) -> Element {
    let mask = DropoutMask(imm.mask_stream, imm.mask_rate, imm.mask_scale);
    let line = imm.first_row + row;
//! if VEC4
    return dropout_factors(mask, imm.clock.step, imm.clock.seed, line * imm.units + unit);
//! else
    return dropout_factors(mask, imm.clock.step, imm.clock.seed, line * ((imm.units + 3u) / 4u) + unit / 4u)[unit % 4u];
//! end
}

// value * factor, but 0 for what is dropped, even if the value is not finite.
fn masked(value: Element, factor: Element) -> Element {
    return select(Element(), value * factor, factor > Element());
}
//! end

