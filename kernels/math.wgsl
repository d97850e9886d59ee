// Functions whose built-in versions WGSL leaves to the driver, or does not have: the same text as math.rs.

// The error function.
fn erf(value: vec4<f32>) -> vec4<f32> {
    let x = clamp(value, vec4<f32>(-4.0), vec4<f32>(4.0));
    let square = x * x;
    var p = vec4<f32>(-2.7261423e-10);
    p = p * square + 2.7706814e-8;
    p = p * square - 2.101024e-6;
    p = p * square - 5.6925064e-5;
    p = p * square - 7.3499063e-4;
    p = p * square - 2.9545998e-3;
    p = p * square - 1.6096033e-2;
    var q = vec4<f32>(-1.4566072e-5);
    q = q * square - 2.1337406e-4;
    q = q * square - 1.682827e-3;
    q = q * square - 7.373329e-3;
    q = q * square - 1.4264739e-2;
    return x * p / q;
}

// ln(n / 2^24) for n from 1 to 2^24.
fn log_of_share(n: u32) -> f32 {
    let bits = bitcast<u32>(f32(n)) + (0x3f800000u - 0x3f3504f3u);
    let exponent = f32(i32(bits >> 23u) - 151);
    let f = bitcast<f32>((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0;
    var p = 0.070376836;
    p = p * f - 0.1151461;
    p = p * f + 0.116769984;
    p = p * f - 0.12420141;
    p = p * f + 0.14249323;
    p = p * f - 0.16668057;
    p = p * f + 0.20000714;
    p = p * f - 0.24999994;
    p = p * f + 0.3333333;
    let square = f * f;
    let small = p * square * f - exponent * 2.1219444e-4 - 0.5 * square;
    return small + f + exponent * 0.6933594;
}

// Cosine and sine of n / 2^24 turns, for n below 2^24.
fn turn(n: u32) -> vec2<f32> {
    let quarter = (n + 0x200000u) >> 22u;
    let t = f32(i32(n) - i32(quarter << 22u)) * (1.0 / 16777216.0);
    let square = t * t;
    let sine = t * (((-75.44566 * square + 81.593765) * square - 41.34167) * square + 6.2831855);
    let cosine =
        (((59.3497 * square - 85.44714) * square + 64.93936) * square - 19.739208) * square + 1.0;
    let turned = select(vec2<f32>(cosine, sine), vec2<f32>(sine, cosine), (quarter & 1u) != 0u);
    return select(turned, -turned, (vec2<u32>(quarter + 1u, quarter) & vec2<u32>(2u)) != vec2<u32>(0u));
}

// Two normal numbers from two uniform integers below 2^24 (Box and Muller).
fn normals(radius: u32, angle: u32) -> vec2<f32> {
    return sqrt(-2.0 * log_of_share(radius + 1u)) * turn(angle);
}
