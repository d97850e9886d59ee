// Counter-based randomness: the same text as random.rs, bit for bit.
fn pcg4d(counter: vec4<u32>) -> vec4<u32> {
    var v = counter * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4<u32>(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

// A float in [0, 1) from the upper 24 bits of a random word.
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) * (1.0 / 16777216.0);
}

// A number below n, which is less than 2^16, from the upper 16 bits of a random word.
fn below(word: u32, n: u32) -> u32 {
    return ((word >> 16u) * n) >> 16u;
}

// A number below n: the upper half of the product of 64 bits, of which WGSL has none, from products of halves.
fn uniform_index(word: u32, n: u32) -> u32 {
    let low = (word & 0xffffu) * (n & 0xffffu);
    let middle = (word >> 16u) * (n & 0xffffu);
    let other = (word & 0xffffu) * (n >> 16u);
    let carry = (low >> 16u) + (middle & 0xffffu) + (other & 0xffffu);
    return (word >> 16u) * (n >> 16u) + (middle >> 16u) + (other >> 16u) + (carry >> 16u);
}

// Position `index` of the shuffled order of 0..n: a Feistel network on `bits` bits that walks its cycle until it is
// inside 0..n.
fn shuffled(index: u32, n: u32, bits: u32, seed: u32, epoch: u32) -> u32 {
    var value = index;
    loop {
        var left_bits = bits / 2u;
        var right_bits = bits - left_bits;
        var left = value >> right_bits;
        var right = value & ((1u << right_bits) - 1u);
        for (var round = 0u; round < $ROUNDSu; round++) {
            let mixed = pcg4d(vec4<u32>(right, epoch, $STREAMu + (round << 8u), seed)).x >> (32u - left_bits);
            let next = left ^ mixed;
            left = right;
            right = next;
            let width = left_bits;
            left_bits = right_bits;
            right_bits = width;
        }
        value = (left << right_bits) | right;
        if (value < n) {
            break;
        }
    }
    return value;
}
