// What changes from step to step: the mirror of `Clock` in kernel.rs, carried in the immediates.
struct Clock {
    seed: u32,
    step: u32,
    epoch: u32,
    cursor: u32,
    learning_rate: f32,
    bias_correction1: f32,
    bias_correction2_sqrt: f32,
    slot: u32,
    appended: u32,
}
