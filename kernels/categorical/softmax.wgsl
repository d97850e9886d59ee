// The parts of a softmax over the bins of one row, by a workgroup of 64 threads that all call it. `logits` is declared by
// the shader that follows. Workgroup memory: 512 bytes.
struct Softmax {
    largest: f32,
    // Of exp(logit - largest).
    sum: f32,
    // Whether all logits are finite.
    valid: bool,
}

var<workgroup> folded: array<f32, 64>;
var<workgroup> bad: array<u32, 64>;

// By its bits: drivers may assume that floats are neither NaN nor infinite.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) < 0x7f800000u;
}

// The sum over the threads, for all of them.
fn sum_of_workgroup(thread: u32, value: f32) -> f32 {
    // All have read what the array held before.
    workgroupBarrier();
    folded[thread] = value;
    for (var stride = 32u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            folded[thread] += folded[thread + stride];
        }
    }
    workgroupBarrier();
    return folded[0];
}

// Of the `bins` logits from word `at` on.
fn softmax(thread: u32, at: u32, bins: u32) -> Softmax {
    // Threads behind the bins look at the first one.
    var most = logits[at];
    var wrong = 0u;
    for (var b = thread; b < bins; b += 64u) {
        let logit = logits[at + b];
        most = max(most, logit);
        wrong += select(1u, 0u, is_finite(logit));
    }
    workgroupBarrier();
    folded[thread] = most;
    bad[thread] = wrong;
    for (var stride = 32u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            folded[thread] = max(folded[thread], folded[thread + stride]);
            bad[thread] += bad[thread + stride];
        }
    }
    workgroupBarrier();
    let largest = folded[0];
    let valid = bad[0] == 0u;
    var sum = 0.0;
    for (var b = thread; b < bins; b += 64u) {
        sum += exp(logits[at + b] - largest);
    }
    return Softmax(largest, sum_of_workgroup(thread, sum), valid);
}
