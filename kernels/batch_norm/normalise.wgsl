// The last step of a forward pass, for element `at`, with scale = weight / sqrt(var + eps):
// y = (x - mean) * scale + shift, plus the residual if RESIDUAL, then ReLU if RELU.
fn normalise(at: u32, mean: Value, scale: Value, shift: Value) {
    var value = (x[at] - mean) * scale + shift;
//! if RESIDUAL
    value += residual[at];
//! end
//! if RELU
    // Not max(): a NaN must stay one.
    value = select(value, Value(0.0), value < Value(0.0));
//! end
    y[at] = value;
}

