// RMSProp over a flat arena; the formula is in rmsprop.rs.
//
// Layout: three arenas of `len` floats read as vec4, one more if centred, clip = [norm, factor].
// A thread updates four parameters, then strides by the whole grid: 20 bytes of memory traffic per parameter, 28 if
// centred.
struct Immediates {
    len: u32,
    alpha: f32,
    one_minus_alpha: f32,
    eps: f32,
    weight_decay: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> square_avg: array<vec4<f32>>;
//! if CENTERED
@group(0) @binding(3) var<storage, read_write> grad_avg: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> clip: array<f32>;
//! else
@group(0) @binding(3) var<storage, read> clip: array<f32>;
//! end

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let factor = clip[1];
    let vectors = (imm.len + 3u) / 4u;
    for (var i = id.x; i < vectors; i += grid.x * 256u) {
        let p_old = params[i];
        let v_old = square_avg[i];
        let g = gradients[i] * factor + p_old * imm.weight_decay;
        let v = v_old * imm.alpha + imm.one_minus_alpha * g * g;
        // The padding behind the last parameter keeps what it holds.
        let inside = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
//! if CENTERED
        let a_old = grad_avg[i];
        let a = a_old + (g - a_old) * imm.one_minus_alpha;
        let a_kept = select(a, vec4<f32>(), abs(a) < vec4<f32>($FADED));
        grad_avg[i] = select(a_old, a_kept, inside);
        let variance = max(v - a * a, vec4<f32>());
//! else
        let variance = v;
//! end
        let p = p_old - imm.clock.learning_rate * g / (sqrt(variance) + imm.eps);
        params[i] = select(p_old, p, inside);
        let v_kept = select(v, vec4<f32>(), v < vec4<f32>($FADED_SQUARE));
        square_avg[i] = select(v_old, v_kept, inside);
    }
}
