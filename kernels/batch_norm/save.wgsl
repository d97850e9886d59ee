// Writes what a forward pass keeps of a column whose squared distances from the mean sum up to m2: mean and inverse
// deviation for the backward pass, and the running statistics.
fn save(column: u32, mean: Value, m2: Value) {
    let rows = f32(imm.rows);
    saved[column] = mean;
    saved[imm.units + column] = inverseSqrt(m2 / rows + imm.eps);
    running_mean[column] = (1.0 - imm.momentum) * running_mean[column] + imm.momentum * mean;
    running_var[column] =
        (1.0 - imm.momentum) * running_var[column] + imm.momentum * (m2 / max(rows - 1.0, 1.0));
}

