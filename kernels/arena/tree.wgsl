// Sum over a workgroup of 256 threads in a fixed order: a binary tree in workgroup memory (1,024 bytes).
var<workgroup> tree: array<f32, 256>;

fn sum_of_workgroup(local: u32, value: f32) -> f32 {
    tree[local] = value;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width >>= 1u) {
        if (local < width) {
            tree[local] += tree[local + width];
        }
        workgroupBarrier();
    }
    return tree[0];
}

