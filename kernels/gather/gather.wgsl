// One batch of images and labels; the formula is in mod.rs. The entry point follows in rows.wgsl or strips.wgsl.
//
// Layout: images [rows, QUADS] words of four bytes, x [batch, VALUES] floats. A thread makes a quad, four neighbouring
// values of x; where images have a multiple of four values it is one vec4. The channels of quads repeat after CHANNELS of
// them.
struct Immediates {
    examples: u32,
    batch: u32,
    // The rows of the data set that `images` holds: `rows` of them, from `first_row` on.
    first_row: u32,
    rows: u32,
    // Rows beyond this one mean this one.
    last_row: u32,
    shuffle_bits: u32,
    scale0: f32,
    scale1: f32,
    scale2: f32,
    scale3: f32,
    shift0: f32,
    shift1: f32,
    shift2: f32,
    shift3: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> images: array<u32>;
@group(0) @binding(1) var<storage, read> subset: array<u32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<$ELEMENT>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

const HEIGHT = $HEIGHTu;
const WIDTH = $WIDTHu;
const CHANNELS = $CHANNELSu;
const PADDING = $PADDINGu;
const VALUES = HEIGHT * WIDTH * CHANNELS;
const QUADS = (VALUES + 3u) / 4u;

// Where row i of the batch comes from: its row of `images`, which is no less than `rows` if it is not there; the
// offsets of the crop; whether it is mirrored. Writes the label.
fn find(i: u32, write_label: bool) -> vec4<u32> {
    let position = min(imm.clock.cursor + i, imm.examples - 1u);
    var index = position;
//! if SHUFFLE
    index = shuffled(position, imm.examples, imm.shuffle_bits, imm.clock.seed, imm.clock.epoch);
//! end
    if (write_label) {
        y[i] = labels[index];
    }
//! if STREAMED
    let row = i;
//! else
    // Rows before the first wrap around to large numbers.
    let row = min(subset[index], imm.last_row) - imm.first_row;
//! end
//! if CROP
    let words = pcg4d(vec4<u32>(position, imm.clock.epoch, 2u, imm.clock.seed));
    let s = below(words.x, 2u * PADDING + 1u);
    let t = below(words.y, 2u * PADDING + 1u);
//! if FLIP
    return vec4<u32>(row, s, t, below(words.z, 2u));
//! else
    return vec4<u32>(row, s, t, 0u);
//! end
//! else
    return vec4<u32>(row, 0u, 0u, 0u);
//! end
}

// A value per channel, spread over quad k.
fn spread(values: vec4<f32>, k: u32) -> vec4<f32> {
    switch (CHANNELS) {
        case 1u: {
            return values.xxxx;
        }
        case 2u: {
            return values.xyxy;
        }
        case 3u: {
            let phase = k % 3u;
            return select(select(values.zxyz, values.yzxy, phase == 1u), values.xyzx, phase == 0u);
        }
        default: {
            return values;
        }
    }
}

fn byte(image: u32, value: u32) -> u32 {
    return (images[image * QUADS + value / 4u] >> (8u * (value % 4u))) & 255u;
}

// The bytes of quad k of a row that comes from `source`.
fn bytes(source: vec4<u32>, k: u32) -> vec4<u32> {
//! if CROP
    let value = vec4<u32>(4u * k) + vec4<u32>(0u, 1u, 2u, 3u);
    let pixel = value / CHANNELS;
    var column = pixel % WIDTH;
    column = select(column, WIDTH - 1u - column, source.w == 1u) + source.z - PADDING;
    let row = pixel / WIDTH + source.y - PADDING;
    // Left of and above the image both wrap around to large numbers.
    let inside = (row < vec4<u32>(HEIGHT)) & (column < vec4<u32>(WIDTH));
    let at = select(vec4<u32>(0u), (row * WIDTH + column) * CHANNELS + value % CHANNELS, inside);
    let found = vec4<u32>(
        byte(source.x, at.x),
        byte(source.x, at.y),
        byte(source.x, at.z),
        byte(source.x, at.w),
    );
    return select(vec4<u32>(0u), found, inside);
//! else
    return (vec4<u32>(images[source.x * QUADS + k]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
//! end
}

// Makes quad k of row i.
fn make(i: u32, source: vec4<u32>, k: u32) {
    let scale = spread(vec4<f32>(imm.scale0, imm.scale1, imm.scale2, imm.scale3), k);
    let shift = spread(vec4<f32>(imm.shift0, imm.shift1, imm.shift2, imm.shift3), k);
    let value = vec4<f32>(bytes(source, k)) * scale + shift;
//! if VECTORS
    x[i * QUADS + k] = value;
//! else
    let at = i * VALUES + 4u * k;
    let left = VALUES - 4u * k;
    x[at] = value.x;
    if (left > 1u) {
        x[at + 1u] = value.y;
    }
    if (left > 2u) {
        x[at + 2u] = value.z;
    }
    if (left > 3u) {
        x[at + 3u] = value.w;
    }
//! end
}
