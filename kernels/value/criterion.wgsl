// Loss and slope of an error; the formulas are in criterion.rs.
override criterion_kind: u32 = 0u;

fn criterion(error: f32, parameter: f32) -> vec2<f32> {
    switch (criterion_kind) {
        case 1u: {
            let size = abs(error);
            if (size <= parameter) {
                return vec2<f32>(0.5 * error * error, error);
            }
            return vec2<f32>(parameter * (size - 0.5 * parameter), sign(error) * parameter);
        }
        case 2u: {
            let weight = select(parameter, 1.0 - parameter, error < 0.0);
            return vec2<f32>(weight * error * error, 2.0 * weight * error);
        }
        default: {
            return vec2<f32>(error * error, 2.0 * error);
        }
    }
}

// By its bits: drivers may assume that floats are neither NaN nor infinite.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) < 0x7f800000u;
}
