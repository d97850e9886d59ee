// What the three passes share: the image that operand A is read from, the pixels that stand for the rows (forward,
// backward_data) or the terms (backward_weight) of the product, and the taps of the filter. A comes from
//
//   image[n, step * i + tap_step * u + origin_y, step * j + tap_step * v + origin_x, c]
//
// for pixel (n, i, j) and tap (u, v). Outside of the image it is zero.
//
//   VEC4           the image's channels are a multiple of 4: loads are 16 bytes wide
//   BACKWARD_DATA  the pixels are those of dx at a distance of `stride` from each other, the taps those that reach them

struct Geometry {
    height: i32, // of the image
    width: i32,
    channels: i32,
    grid_width: i32, // pixels in a row
    grid: i32,       // pixels of one image
    step: i32,
    tap_step: i32,
    origin_y: i32,
    origin_x: i32,
    taps_x: i32, // taps in a row of the filter
    // 1 / channels, 1 / taps_x, 1 / grid_width, 1 / grid
    per_channels: f32,
    per_taps_x: f32,
    per_grid_width: f32,
    per_grid: f32,
    first_plane: u32, // of scratch memory that this launch writes
//! if BACKWARD_DATA
    // Tap (u, v) is tap `tap + tap_y * u + tap_x * v` of the weight.
    tap: i32,
    tap_y: i32,
    tap_x: i32,
    // Pixel (i, j) is pixel (stride * i + out_y, stride * j + out_x) of dx.
    stride: i32,
    out_height: i32,
    out_width: i32,
    out_y: i32,
    out_x: i32,
//! end
}

//! if VEC4
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
//! else
@group(0) @binding(0) var<storage, read> a: array<f32>;
//! end

// n / divisor, for quotients below 2^21: the division of floats is off by one at most. Integer division is slow on GPUs
// and slower on software drivers, which do it lane by lane.
fn quotient(n: vec4<i32>, divisor: i32, inverse: f32) -> vec4<i32> {
    let guess = vec4<i32>(vec4<f32>(n) * inverse);
    let rest = n - guess * divisor;
    let one = vec4<i32>(1);
    return guess + select(vec4<i32>(), one, rest >= vec4<i32>(divisor)) - select(vec4<i32>(), one, rest < vec4<i32>());
}

// Four pixels: their images, rows and columns.
struct Pixels {
    image: vec4<i32>,
    row: vec4<i32>,
    column: vec4<i32>,
}

fn pixels_at(index: vec4<i32>) -> Pixels {
    let image = quotient(index, imm.geometry.grid, imm.geometry.per_grid);
    let place = index - image * imm.geometry.grid;
    let row = quotient(place, imm.geometry.grid_width, imm.geometry.per_grid_width);
    return Pixels(image, row, place - row * imm.geometry.grid_width);
}

struct Tap {
    y: i32,
    x: i32,
    channel: i32,
}

// The taps are counted row by row, with all channels of one after the other.
fn tap_at(index: i32) -> Tap {
    let tap = quotient(vec4<i32>(index), imm.geometry.channels, imm.geometry.per_channels).x;
    let y = quotient(vec4<i32>(tap), imm.geometry.taps_x, imm.geometry.per_taps_x).x;
    return Tap(y, tap - y * imm.geometry.taps_x, index - tap * imm.geometry.channels);
}

// Which of four positions lie inside of the image.
fn in_image(y: vec4<i32>, x: vec4<i32>) -> vec4<bool> {
    let height = vec4<u32>(u32(imm.geometry.height));
    let width = vec4<u32>(u32(imm.geometry.width));
    // A negative number becomes a large one.
    return (vec4<u32>(y) < height) & (vec4<u32>(x) < width);
}
