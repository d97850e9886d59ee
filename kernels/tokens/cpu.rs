//! Tokens on the CPU: images and sequences as tasks.

use super::{Embed, EmbedBackward, Patches};
use crate::threads::Parts;
use crate::{Args, Cpu};

pub(super) fn patches(kernel: &Patches, cpu: &Cpu, args: &mut Args) {
    let ([x, y], _) = args.split();
    let Patches { height, width, channels, patch, .. } = *kernel;
    let (x, image) = (x.f32(), height * width * channels);
    // The elements of a patch that are neighbours in the image.
    let run = patch * channels;
    cpu.threads.chunks_mut(y.f32_mut(), image, &|n, y| {
        let x = &x[n * image..(n + 1) * image];
        for (index, y) in y.chunks_exact_mut(run).enumerate() {
            let (place, row) = (index / patch, index % patch);
            let (i, j) = (place / (width / patch), place % (width / patch));
            let start = ((i * patch + row) * width + j * patch) * channels;
            y.copy_from_slice(&x[start..start + run]);
        }
    });
}

pub(super) fn embed(kernel: &Embed, cpu: &Cpu, args: &mut Args) {
    let ([x, cls, positions, y], _) = args.split();
    let Embed { tokens, width, .. } = *kernel;
    let (x, cls, positions) = (x.f32(), cls.f32(), positions.f32());
    cpu.threads.chunks_mut(y.f32_mut(), (tokens + 1) * width, &|n, y| {
        let x = &x[n * tokens * width..(n + 1) * tokens * width];
        for ((y, x), position) in y.iter_mut().zip(cls.iter().chain(x)).zip(positions) {
            *y = x + position;
        }
    });
}

pub(super) fn embed_backward(kernel: &EmbedBackward, cpu: &Cpu, args: &mut Args) {
    let ([dy, dx, dcls, dpositions], _) = args.split();
    let EmbedBackward { embed: Embed { tokens, width, batch }, groups } = *kernel;
    let dy = dy.f32();
    let (sequence, each) = ((tokens + 1) * width, batch / groups);
    let dx = Parts::new(dx.f32_mut());
    let dpositions = dpositions.f32_mut();
    assert_eq!(dpositions.len(), groups * sequence, "{kernel:?}");
    cpu.threads.chunks_mut(dpositions, width, &|index, sum| {
        let (group, t) = (index / (tokens + 1), index % (tokens + 1));
        sum.fill(0.0);
        for n in group * each..(group + 1) * each {
            let row = &dy[n * sequence + t * width..][..width];
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            if t > 0 {
                let start = (n * tokens + t - 1) * width;
                // SAFETY: every task has tokens of its own.
                unsafe { dx.part(start..start + width) }.copy_from_slice(row);
            }
        }
    });
    for (dcls, dpositions) in dcls.f32_mut().chunks_exact_mut(width).zip(dpositions.chunks_exact(sequence)) {
        dcls.copy_from_slice(&dpositions[..width]);
    }
}
