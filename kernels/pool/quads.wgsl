// What the four passes of pooling share: a thread makes four neighbouring channels, a quad, of one written pixel.
//
// Layout: images [images, height, width, channels] and [images, out_height, out_width, channels]. Neighbouring threads
// have neighbouring quads, so they read and write whole lines. With a multiple of four channels a quad is one vec4;
// otherwise its floats are read and written one by one, and lanes behind the last channel hold what nobody stores.
// No workgroup memory.
struct Immediates {
    images: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    channels: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> input: array<$ELEMENT>;
@group(0) @binding(1) var<storage, read_write> output: array<$ELEMENT>;

const KERNEL = $KERNELu;
const STRIDE = $STRIDEu;
const PADDING = $PADDINGu;

// Where a thread writes: row and column of the pixel in its image, the number of the image, and the quad.
struct Place {
    image: u32,
    row: u32,
    column: u32,
    quad: u32,
}

fn quads() -> u32 {
    return (imm.channels + 3u) / 4u;
}

fn place(id: u32, height: u32, width: u32) -> Place {
    let pixel = id / quads();
    let row = pixel / width;
    return Place(row / height, row % height, pixel % width, id % quads());
}

fn load(pixel: u32, quad: u32) -> vec4<f32> {
//! if VECTORS
    return input[pixel * quads() + quad];
//! else
    let at = pixel * imm.channels + 4u * quad;
    let last = (pixel + 1u) * imm.channels - 1u;
    return vec4<f32>(
        input[at],
        input[min(at + 1u, last)],
        input[min(at + 2u, last)],
        input[min(at + 3u, last)],
    );
//! end
}

fn store(pixel: u32, quad: u32, value: vec4<f32>) {
//! if VECTORS
    output[pixel * quads() + quad] = value;
//! else
    let at = pixel * imm.channels + 4u * quad;
    let left = imm.channels - 4u * quad;
    output[at] = value.x;
    if (left > 1u) {
        output[at + 1u] = value.y;
    }
    if (left > 2u) {
        output[at + 2u] = value.z;
    }
    if (left > 3u) {
        output[at + 3u] = value.w;
    }
//! end
}

// The first output whose window contains input `at`, and the one behind the last.
fn outputs(at: u32, length: u32) -> vec2<u32> {
    let shifted = at + PADDING;
    let first = (max(shifted + 1u, KERNEL) - KERNEL + STRIDE - 1u) / STRIDE;
    return vec2<u32>(first, min(shifted / STRIDE + 1u, length));
}
