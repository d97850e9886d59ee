// How a workgroup of 256 threads covers an array [rows, C] whose rows are `units` Values: WIDTH neighbouring threads
// along a row, 256 / WIDTH rows at a time. `Value` is vec4<f32> (C a multiple of 4) or f32.
alias Value = $ELEMENT;

override WIDTH: u32 = 8u;

// The column of a thread. There may be more blocks of columns than a grid is long: the others lie along z.
fn column_of(group: vec3<u32>, thread: u32) -> u32 {
    return (group.z * $GRIDu + group.x) * WIDTH + thread % WIDTH;
}

