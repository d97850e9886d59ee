// Two sums per column over the threads of a workgroup.
var<workgroup> sums: array<Value, 256>;
var<workgroup> products: array<Value, 256>;

// Adds the threads of each column as a tree; the results lie at [thread % WIDTH] for the threads below WIDTH, and for all
// after a barrier. Every stride is a multiple of WIDTH, so threads t and t + stride hold the same column.
fn sum_threads(thread: u32, sum: Value, product: Value) {
    sums[thread] = sum;
    products[thread] = product;
    for (var stride = 128u; stride >= WIDTH; stride /= 2u) {
        workgroupBarrier();
        if (thread < stride) {
            sums[thread] += sums[thread + stride];
            products[thread] += products[thread + stride];
        }
    }
}
