// What four neighbouring elements of a dropout layer are multiplied with: the scale, or 0. The same as Mask::factors in
// mask.rs, bit for bit.
struct DropoutMask {
    stream: u32,
    rate: f32,
    scale: f32,
}

fn dropout_factors(mask: DropoutMask, step: u32, seed: u32, counter: u32) -> vec4<f32> {
    let words = pcg4d(vec4<u32>(counter, step, mask.stream, seed));
    let units = vec4<f32>(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
    return select(vec4<f32>(0.0), vec4<f32>(mask.scale), units >= vec4<f32>(mask.rate));
}
