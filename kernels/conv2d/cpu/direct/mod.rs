//! Direct convolution: plain loops, to be replaced.

use super::Conv2d;
use crate::Cpu;

pub(super) fn forward_scratch(_conv: &Conv2d, _cpu: &Cpu) -> usize {
    0
}
pub(super) fn backward_data_scratch(_conv: &Conv2d, _cpu: &Cpu) -> usize {
    0
}
pub(super) fn backward_weight_scratch(_conv: &Conv2d, _cpu: &Cpu) -> usize {
    0
}

/// Calls `visit` with the first element of x, of the weight and of y of every product.
fn taps(conv: &Conv2d, mut visit: impl FnMut(usize, usize, usize)) {
    let Conv2d { batch, height, width, in_channels, out_channels, kernel, stride, padding } = *conv;
    let (oh, ow) = (conv.out_height(), conv.out_width());
    for n in 0..batch {
        for i in 0..oh {
            for j in 0..ow {
                for u in 0..kernel {
                    for v in 0..kernel {
                        let (a, b) = (stride * i + u, stride * j + v);
                        if a < padding || b < padding || a - padding >= height || b - padding >= width {
                            continue;
                        }
                        visit(
                            ((n * height + a - padding) * width + b - padding) * in_channels,
                            (u * kernel + v) * in_channels * out_channels,
                            ((n * oh + i) * ow + j) * out_channels,
                        );
                    }
                }
            }
        }
    }
}

pub(super) fn forward(
    conv: &Conv2d,
    _cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    _scratch: &mut [f32],
) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = bias.map_or(0.0, |bias| bias[i % conv.out_channels]);
    }
    taps(conv, |x_at, w_at, y_at| {
        for c in 0..conv.in_channels {
            for o in 0..conv.out_channels {
                y[y_at + o] += x[x_at + c] * weight[w_at + c * conv.out_channels + o];
            }
        }
    });
}

pub(super) fn backward_data(
    conv: &Conv2d,
    _cpu: &Cpu,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    _scratch: &mut [f32],
) {
    dx.fill(0.0);
    taps(conv, |x_at, w_at, y_at| {
        for c in 0..conv.in_channels {
            for o in 0..conv.out_channels {
                dx[x_at + c] += dy[y_at + o] * weight[w_at + c * conv.out_channels + o];
            }
        }
    });
}

pub(super) fn backward_weight(
    conv: &Conv2d,
    _cpu: &Cpu,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    _scratch: &mut [f32],
) {
    dweight.fill(0.0);
    taps(conv, |x_at, w_at, y_at| {
        for c in 0..conv.in_channels {
            for o in 0..conv.out_channels {
                dweight[w_at + c * conv.out_channels + o] += x[x_at + c] * dy[y_at + o];
            }
        }
    });
}
