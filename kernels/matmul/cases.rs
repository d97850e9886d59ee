//! The shapes that tests and benches read, and the definition in f64.

use super::{Activation, Matmul};
use crate::case::{Case, Size, Values, test_values};
use crate::kernel::Clock;
use std::sync::Arc;

/// The cases of this family.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Every layout, batch and epilogue over ragged sizes; together they reach every number of rows and vectors.
    let sizes = [
        (1, 1, 1),
        (3, 5, 17),
        (17, 33, 3),
        (1, 65, 40),
        (65, 1, 5),
        (13, 16, 257),
        (25, 48, 64),
        (257, 17, 31),
        (5, 257, 65),
        (31, 100, 523),
        (14, 31, 1030),
    ];
    for (index, (m, n, k)) in sizes.into_iter().enumerate() {
        for layout in 0..4 {
            for batch in [1, 3] {
                let epilogue = index + layout + batch / 2;
                let matmul = Matmul {
                    batch,
                    m,
                    n,
                    k,
                    a_transposed: layout & 1 == 1,
                    b_transposed: layout & 2 == 2,
                    bias: epilogue & 1 == 1,
                    activation: if epilogue & 2 == 2 { Activation::Relu } else { Activation::None },
                };
                cases.push(case(matmul, Size::Tiny));
            }
        }
    }
    // Enough tiles for the largest design on a software driver, with and without vectors, and more than one tile of the
    // largest design on a GPU.
    for (m, n, k) in [(128, 124, 36), (127, 126, 20)] {
        for layout in 0..4 {
            let (a_transposed, b_transposed) = (layout & 1 == 1, layout & 2 == 2);
            let bias = layout == 2;
            cases.push(case(Matmul { a_transposed, b_transposed, bias, ..nn(m, n, k) }, Size::Tiny));
        }
    }
    // Copies of A and packed wide B with strides that are bad for caches, and a C of many tiles.
    for (a_transposed, b_transposed) in [(false, false), (true, false), (false, true), (true, true)] {
        let matmul = Matmul { a_transposed, b_transposed, ..nn(260, 1050, 530) };
        cases.push(case(matmul, Size::Real));
    }
    // Layers of an MLP at batch 256: forward, backward_data, backward_weight.
    for (inputs, outputs) in [(784, 512), (512, 256), (256, 10), (784, 100), (100, 100), (100, 10)] {
        let bias = true;
        let relu = if outputs == 10 { Activation::None } else { Activation::Relu };
        let forward = Matmul { b_transposed: true, bias, activation: relu, ..nn(256, outputs, inputs) };
        let backward_weight = Matmul { a_transposed: true, ..nn(outputs, inputs, 256) };
        for matmul in [forward, nn(256, inputs, outputs), backward_weight] {
            cases.push(case(matmul, Size::Real));
        }
    }
    // Attention scores of a small transformer, and the usual yardstick.
    cases.push(case(Matmul { batch: 12, b_transposed: true, ..nn(65, 65, 64) }, Size::Real));
    cases.push(case(nn(1024, 1024, 1024), Size::Real));
    cases
}

/// A plain product.
fn nn(m: usize, n: usize, k: usize) -> Matmul {
    Matmul {
        batch: 1,
        m,
        n,
        k,
        a_transposed: false,
        b_transposed: false,
        bias: false,
        activation: Activation::None,
    }
}

fn case(matmul: Matmul, size: Size) -> Case {
    let Matmul { batch, m, n, k, .. } = matmul;
    let mut inputs =
        vec![Values::F32(test_values(batch * m * k, 1)), Values::F32(test_values(batch * k * n, 2))];
    if matmul.bias {
        inputs.push(Values::F32(test_values(n, 3)));
    }
    inputs.push(Values::F32(vec![0.0; batch * m * n]));
    Case {
        kernel: Arc::new(matmul),
        clock: Clock::default(),
        inputs,
        expected: Box::new(move |inputs| {
            let mut expected: Vec<Option<Vec<f64>>> = inputs.iter().map(|_| None).collect();
            *expected.last_mut().expect("C is always there") = Some(define(&matmul, inputs));
            expected
        }),
        tolerance: 2e-6,
        size,
    }
}

/// `C[i, j] = activation(sum_k op(A)[i, k] op(B)[k, j] + bias[j])`.
fn define(matmul: &Matmul, inputs: &[Values]) -> Vec<f64> {
    let Matmul { batch, m, n, k, a_transposed, b_transposed, .. } = *matmul;
    let (a, mut b) = (inputs[0].f64(), inputs[1].f64());
    if b_transposed {
        b = (0..batch * k * n)
            .map(|i| {
                let (element, p, j) = (i / (k * n), i / n % k, i % n);
                b[element * k * n + j * k + p]
            })
            .collect();
    }
    let bias = if matmul.bias { inputs[2].f64() } else { vec![0.0; n] };
    let mut c = vec![0.0; batch * m * n];
    for (row, c) in c.chunks_exact_mut(n).enumerate() {
        let (element, i) = (row / m, row % m);
        // A row of C at a time, so that the rows of B stream by.
        for p in 0..k {
            let a = a[element * m * k + if a_transposed { p * m + i } else { i * k + p }];
            let b = &b[(element * k + p) * n..][..n];
            c.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
        }
        for (c, bias) in c.iter_mut().zip(&bias) {
            *c += bias;
            if matmul.activation == Activation::Relu {
                *c = c.max(0.0);
            }
        }
    }
    c
}
