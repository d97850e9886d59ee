//! Every pass against the direct method, also for shapes that Winograd's method does not suit.

use super::super::direct;
use super::*;
use crate::Cpu;
use crate::case::{POISON, test_values};
use crate::simd::Isa;
use crate::threads::Threads;

/// Images, height, width, channels in and out, padding: partial tiles, partial vectors, several blocks of tiles and of
/// channels.
const SHAPES: [[usize; 6]; 14] = [
    [1, 1, 1, 1, 1, 1],
    [1, 3, 3, 1, 1, 0],
    [1, 1, 2, 5, 3, 2],
    [2, 5, 4, 3, 5, 1],
    [2, 7, 9, 4, 8, 1],
    [1, 4, 4, 16, 16, 1],
    [2, 6, 6, 32, 32, 1],
    [3, 5, 7, 33, 17, 1],
    [2, 13, 6, 8, 20, 0],
    [1, 9, 9, 12, 36, 2],
    [33, 8, 8, 16, 16, 1],
    [2, 8, 11, 130, 65, 1],
    [70, 4, 4, 7, 96, 1],
    [25, 16, 16, 3, 5, 1],
];

/// Fills an output, with scratch memory.
type Pass<'a> = &'a dyn Fn(&Cpu, &mut [f32], &mut [f32]);
/// Fills an output.
type Direct<'a> = &'a dyn Fn(&Cpu, &mut [f32]);

/// Runs a pass with Winograd's method on every instruction set and with one and three threads.
fn compare(
    conv: &Conv2d,
    name: &str,
    len: usize,
    scratch: &dyn Fn(&Cpu) -> usize,
    run: Pass,
    direct: Direct,
) {
    let poison = f32::from_bits(POISON);
    let alone = Cpu::new(1).unwrap();
    let mut expected = vec![poison; len];
    direct(&alone, &mut expected);
    for isa in Isa::supported() {
        let outputs = [1, 3].map(|threads| {
            let cpu = Cpu { isa, threads: Threads::new(threads).unwrap() };
            let (mut output, mut memory) = (vec![poison; len], vec![poison; scratch(&cpu)]);
            run(&cpu, &mut output, &mut memory);
            output
        });
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        let difference = norm(&mut outputs[0].iter().zip(&expected).map(|(a, b)| a - b));
        let error = difference / norm(&mut expected.iter().copied());
        assert!(error < 1e-5, "{isa:?} {name} {conv:?}: off by {error:.1e}");
        assert_eq!(outputs[0], outputs[1], "{isa:?} {name} {conv:?} depends on the number of threads");
    }
}

#[test]
fn all_passes_equal_the_direct_method() {
    for [batch, height, width, in_channels, out_channels, padding] in SHAPES {
        let conv = &Conv2d { batch, height, width, in_channels, out_channels, kernel: 3, stride: 1, padding };
        let (x, dy) = (&test_values(conv.x_len(), 1), &test_values(conv.y_len(), 2));
        let (w, bias) = (&test_values(conv.weight_len(), 3), &test_values(out_channels, 4));
        let scratch = |len: usize| vec![f32::from_bits(POISON); len];
        compare(
            conv,
            "forward",
            conv.y_len(),
            &|cpu| forward_scratch(conv, cpu),
            &|cpu, y, scratch| forward(conv, cpu, x, w, Some(bias), y, scratch),
            &|cpu, y| {
                let scratch = &mut scratch(direct::forward_scratch(conv, cpu));
                direct::forward(conv, cpu, x, w, Some(bias), y, scratch);
            },
        );
        compare(
            conv,
            "backward_data",
            conv.x_len(),
            &|cpu| backward_data_scratch(conv, cpu),
            &|cpu, dx, scratch| backward_data(conv, cpu, dy, w, dx, scratch),
            &|cpu, dx| {
                let scratch = &mut scratch(direct::backward_data_scratch(conv, cpu));
                direct::backward_data(conv, cpu, dy, w, dx, scratch);
            },
        );
        compare(
            conv,
            "backward_weight",
            conv.weight_len(),
            &|cpu| backward_weight_scratch(conv, cpu),
            &|cpu, dweight, scratch| backward_weight(conv, cpu, x, dy, dweight, scratch),
            &|cpu, dweight| {
                let scratch = &mut scratch(direct::backward_weight_scratch(conv, cpu));
                direct::backward_weight(conv, cpu, x, dy, dweight, scratch);
            },
        );
    }
}
