// Mean and variance that stay accurate: Welford's update per thread, Chan's formula to merge two groups.
// Values are taken relative to the channel's first one, so a large mean costs no digits.
struct Statistics {
    count: f32,
    mean: Value,
    // Sum of squared distances from the mean.
    m2: Value,
}

fn include(old: Statistics, value: Value) -> Statistics {
    let count = old.count + 1.0;
    let distance = value - old.mean;
    let mean = old.mean + distance * (1.0 / count);
    return Statistics(count, mean, old.m2 + distance * (value - mean));
}

fn merge(a: Statistics, b: Statistics) -> Statistics {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0);
    let distance = b.mean - a.mean;
    return Statistics(count, a.mean + distance * share, a.m2 + b.m2 + distance * distance * (a.count * share));
}

var<workgroup> counts: array<f32, 256>;
var<workgroup> means: array<Value, 256>;
var<workgroup> m2s: array<Value, 256>;

// Merges the threads of each column as a tree; the result lies at [thread % WIDTH] for the threads below WIDTH, and for
// all after a barrier. Every stride is a multiple of WIDTH, so threads t and t + stride hold the same column.
fn merge_threads(thread: u32, own: Statistics) {
    counts[thread] = own.count;
    means[thread] = own.mean;
    m2s[thread] = own.m2;
    for (var stride = 128u; stride >= WIDTH; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            let other = thread + stride;
            let merged = merge(
                Statistics(counts[thread], means[thread], m2s[thread]),
                Statistics(counts[other], means[other], m2s[other]),
            );
            counts[thread] = merged.count;
            means[thread] = merged.mean;
            m2s[thread] = merged.m2;
        }
    }
}
