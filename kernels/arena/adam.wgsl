// Adam over a flat arena; the formula is in adam.rs.
//
// Layout: four arenas of `len` floats read as vec4, clip = [norm, factor].
// A thread updates four parameters, then strides by the whole grid: 28 bytes of memory traffic per parameter, each
// word touched once, neighbouring threads on neighbouring 16 bytes. No workgroup memory.
struct Immediates {
    len: u32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
    weight_decay: f32,
    eps_root: f32,
    clock: Clock,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> exp_avg: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> exp_avg_sq: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> clip: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let factor = clip[1];
//! if !COUPLED
    let decay = 1.0 - imm.clock.learning_rate * imm.weight_decay;
//! end
    let step_size = imm.clock.learning_rate / imm.clock.bias_correction1;
    let correction = imm.clock.bias_correction2_sqrt;
    let vectors = (imm.len + 3u) / 4u;
    for (var i = id.x; i < vectors; i += grid.x * 256u) {
        let p_old = params[i];
//! if COUPLED
        let g = gradients[i] * factor + p_old * imm.weight_decay;
//! else
        let g = gradients[i] * factor;
//! end
        let m_old = exp_avg[i];
        let v_old = exp_avg_sq[i];
        let m = m_old + (g - m_old) * imm.one_minus_beta1;
        let v = v_old * imm.beta2 + imm.one_minus_beta2 * g * g;
//! if EPS_ROOT
        let denominator = sqrt(v / (correction * correction) + imm.eps_root) + imm.eps;
//! else
        let denominator = sqrt(v) / correction + imm.eps;
//! end
//! if COUPLED
        let p = p_old - step_size * m / denominator;
//! else
        let p = p_old * decay - step_size * m / denominator;
//! end
        // The padding behind the last parameter keeps what it holds.
        let inside = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(imm.len);
        params[i] = select(p_old, p, inside);
        let m_kept = select(m, vec4<f32>(), abs(m) < vec4<f32>($FADED));
        let v_kept = select(v, vec4<f32>(), v < vec4<f32>($FADED_SQUARE));
        exp_avg[i] = select(m_old, m_kept, inside);
        exp_avg_sq[i] = select(v_old, v_kept, inside);
    }
}
