//! Matrix multiplication as a [`Product`] of matrices.

use super::Matmul;
use super::product::{Product, ROW_BY_ROW, matrix};

pub(super) fn product(matmul: &Matmul) -> Product {
    let &Matmul { batch, m, n, k, a_transposed, b_transposed, bias, activation } = matmul;
    let operands = move |guard| {
        let a = matrix('a', !a_transposed, if a_transposed { m } else { k }, guard);
        let b = matrix('b', b_transposed, if b_transposed { k } else { n }, guard);
        a + &b
    };
    Product {
        name: "matmul",
        batch,
        m,
        n,
        k,
        bias,
        activation,
        operands: Box::new(operands),
        geometry: Vec::new(),
        row: ROW_BY_ROW,
        may_split: true,
    }
}
