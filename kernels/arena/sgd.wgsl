// Gradient descent with momentum over a flat arena; the formula is in sgd.rs.
//
// Layout: three arenas of `len` floats read as vec4, clip = [norm, factor].
// A thread updates four parameters, then strides by the whole grid: 20 bytes of memory traffic per parameter.
struct Immediates {
    len: u32,
    momentum: f32,
    weight_decay: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> momentum_buffer: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> clip: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let factor = clip[1];
    let vectors = (imm.len + 3u) / 4u;
    for (var i = id.x; i < vectors; i += grid.x * 256u) {
        let p_old = params[i];
        let b_old = momentum_buffer[i];
        let b = b_old * imm.momentum + (gradients[i] * factor + p_old * imm.weight_decay);
        let p = p_old - imm.clock.learning_rate * b;
        // The padding behind the last parameter keeps what it holds.
        let inside = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        params[i] = select(p_old, p, inside);
        let b_kept = select(b, vec4<f32>(), abs(b) < vec4<f32>($FADED));
        momentum_buffer[i] = select(b_old, b_kept, inside);
    }
}
