// What both tangents of layer normalisation begin with: u and u' of the elements of a row; the formulas are in tangent.rs.
// `first_number` is eps, `second_number` 1 / width. Prepended: rows.wgsl.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> x_tangent: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> weight_tangent: array<f32>;

struct Normal {
    mean: f32,
    inverse: f32,
    mean_tangent: f32,
    mean_product: f32,
}

// Of the row at word `at`, of which this thread sees `columns`. Everybody has to call it.
fn normal(thread: u32, at: u32, columns: u32) -> Normal {
    var sum = 0.0;
    var moved = 0.0;
    for (var k = thread % lanes; k < columns; k += lanes) {
        sum += x[at + k];
        moved += x_tangent[at + k];
    }
    let mean = sum_of_lanes(thread, sum) * imm.second_number;
    let mean_tangent = sum_of_lanes(thread, moved) * imm.second_number;
    var squares = 0.0;
    var products = 0.0;
    for (var k = thread % lanes; k < columns; k += lanes) {
        let centred = x[at + k] - mean;
        squares += centred * centred;
        products += centred * (x_tangent[at + k] - mean_tangent);
    }
    let inverse = 1.0 / sqrt(sum_of_lanes(thread, squares) * imm.second_number + imm.first_number);
    let mean_product = inverse * sum_of_lanes(thread, products) * imm.second_number;
    return Normal(mean, inverse, mean_tangent, mean_product);
}

// u and u' of an element.
fn normal_at(fit: Normal, at: u32) -> vec2<f32> {
    let u = (x[at] - fit.mean) * fit.inverse;
    return vec2<f32>(u, fit.inverse * (x_tangent[at] - fit.mean_tangent - u * fit.mean_product));
}

