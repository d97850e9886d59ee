// New values for the dormant units of target [outer, units, inner]: a constant, drawn from
// [-value, value), or normal with the deviation `value`.
//
// dormant [units], 1 or 0. A thread takes four neighbours of target at a time, whose four random words are one call of
// pcg4d, and strides over the grid. Where `inner` is a multiple of 4 they belong to one unit (SAME); where it is 1 and
// `units` a multiple of 4 they belong to four in a row (NEIGHBOURS). Target is read only where some of the four change and
// others do not. No workgroup memory. Prepended: clock.wgsl, random.wgsl, where it
// draws normal values math.wgsl.
struct Immediates {
    len: u32,
    // The first vec4 of the window.
    first: u32,
    units: u32,
    inner: u32,
    value: f32,
    stream: u32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> dormant: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_arena: array<vec4<f32>>;

fn sleeps(element: u32) -> bool {
    return dormant[element / imm.inner % imm.units] != 0u;
}

// Which of the four neighbours from `element` on are dormant.
fn marks(element: u32) -> vec4<bool> {
//! if SAME
    return vec4<bool>(sleeps(element));
//! else
//! if NEIGHBOURS
    let u = element % imm.units;
    return vec4<u32>(dormant[u], dormant[u + 1u], dormant[u + 2u], dormant[u + 3u]) != vec4<u32>(0u);
//! else
    return vec4<bool>(sleeps(element), sleeps(element + 1u), sleeps(element + 2u), sleeps(element + 3u));
//! end
//! end
}

fn renewed(vector: u32) -> vec4<f32> {
//! if DRAWN
    let words = pcg4d(vec4<u32>(vector, imm.clock.step, imm.stream, imm.clock.seed));
//! if NORMAL
    let integers = words >> vec4<u32>(8u);
    return imm.value * vec4<f32>(normals(integers.x, integers.y), normals(integers.z, integers.w));
//! else
    let units = vec4<f32>(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
    return (2.0 * units - 1.0) * imm.value;
//! end
//! else
    return vec4<f32>(imm.value);
//! end
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let whole = imm.len / 4u;
    for (var i = id.x; i < whole; i += groups.x * 256u) {
        let changes = marks(4u * (imm.first + i));
        if (all(changes)) {
            target_arena[i] = renewed(imm.first + i);
        } else if (any(changes)) {
            target_arena[i] = select(target_arena[i], renewed(imm.first + i), changes);
        }
    }
    // The last, partial vector; the padding behind it keeps what it holds.
    if (id.x == 0u && imm.len % 4u != 0u) {
        let inside = vec4<u32>(4u * whole) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        let changes = marks(4u * (imm.first + whole)) & inside;
        target_arena[whole] = select(target_arena[whole], renewed(imm.first + whole), changes);
    }
}
