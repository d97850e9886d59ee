// One batch from the resident data set; the formula is in mod.rs.
//
// Layout: images [images_rows, ceil(pixels / 4)] words of four bytes, x [batch, pixels] floats.
// A workgroup handles a row at a time. Its first thread finds the row's source: a shuffle costs a few hundred integer
// operations in a chain, so one thread does it and workgroup memory (4 bytes) hands it to the others; a launch of its
// own would cost more than it saves. Then thread t writes values t, t + 256, ...: neighbouring threads write
// neighbouring floats for every number of pixels, and the four that share a word of the image read it together.
struct Immediates {
    examples: u32,
    batch: u32,
    pixels: u32,
    channels: u32,
    images_rows: u32,
    shuffle: u32,
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
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

// Row of images that this workgroup copies.
var<workgroup> row: u32;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let scale = vec4<f32>(imm.scale0, imm.scale1, imm.scale2, imm.scale3);
    let shift = vec4<f32>(imm.shift0, imm.shift1, imm.shift2, imm.shift3);
    let words = (imm.pixels + 3u) / 4u;
    for (var i = group.x; i < imm.batch; i += grid.x) {
        if (local == 0u) {
            var index = min(imm.clock.cursor + i, imm.examples - 1u);
            if (imm.shuffle != 0u) {
                index = shuffled(index, imm.examples, imm.shuffle_bits, imm.clock.seed, imm.clock.epoch);
            }
            row = min(subset[index], imm.images_rows - 1u);
            y[i] = labels[index];
        }
        // A barrier before the load, and one after it for the next row.
        let start = workgroupUniformLoad(&row) * words;
        for (var p = local; p < imm.pixels; p += 256u) {
            let byte = (images[start + p / 4u] >> (8u * (p % 4u))) & 255u;
            let channel = p % imm.channels;
            x[i * imm.pixels + p] = f32(byte) * scale[channel] + shift[channel];
        }
    }
}
