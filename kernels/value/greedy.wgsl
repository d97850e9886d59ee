// By its bits: drivers may assume that no float is a NaN.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Whether a later value takes the place of the best so far: it is larger, or the best is a NaN.
fn beats(value: f32, best: f32) -> bool {
    return !is_nan(value) && (is_nan(best) || value > best);
}
