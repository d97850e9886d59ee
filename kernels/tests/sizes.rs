//! Kernels of absurd size: with overflow a length may come out as that of the buffers that were given, and a run would write
//! far behind them. All are refused.

use kernels::categorical::{self, ExpectedValue, Projection, Support, TwoHot};
use kernels::value::{
    Criterion, GreedyAction, RecordValues, Regression, RegressionTangent, TdLoss, TdTarget,
};
use kernels::{Access, Arg, ArgsError, Clock, Cpu, Kernel, cases, run};
use kernels::{arena, attention, batch_norm, conv2d, dropout, elementwise, gather, gelu, layer_norm, loss};
use kernels::{matmul, per_example, pool, reduce, replay, softmax, spectral_norm, tokens, units};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A kernel, and the same with one size that is absurd.
type Absurd = (Arc<dyn Kernel>, Vec<Arc<dyn Kernel>>);

/// What a size becomes: as large as can be, or larger by what the product with another size, all of which are 4, or with a
/// constant of 2 loses.
fn absurd_sizes(size: usize) -> [usize; 3] {
    [usize::MAX, size + (1 << (usize::BITS - 2)), size + (1 << (usize::BITS - 1))]
}

/// The kernel, and it with each of these fields made absurd.
macro_rules! absurd {
    ($kernel:expr, $($($field:tt).+),+) => {{
        let kernel = $kernel;
        let mut absurd: Vec<Arc<dyn Kernel>> = Vec::new();
        $(for size in absurd_sizes(kernel.$($field).+) {
            let mut kernel = kernel.clone();
            kernel.$($field).+ = size;
            absurd.push(Arc::new(kernel));
        })+
        (Arc::new(kernel), absurd)
    }};
}

const LEN: usize = 4;
const SQUARED: Criterion = Criterion::Squared;
const SUPPORT: Support = Support { bins: 4, smallest: 0.0, largest: 1.0 };

fn losses() -> Vec<Absurd> {
    let (rows, actions, columns, bins, weighted) = (4, 4, 4, 4, true);
    let td_loss = TdLoss { rows, actions, criterion: SQUARED, weighted };
    let td_target = TdTarget { rows, actions, double: true };
    let projection = Projection { rows, actions, support: SUPPORT };
    let cross_entropy = loss::CrossEntropy { rows, classes: 4, logit_penalty: 0.0 };
    vec![
        absurd!(td_loss, rows, actions),
        absurd!(td_target, rows, actions),
        absurd!(GreedyAction { rows, actions }, rows, actions),
        absurd!(RecordValues { rows, actions, ring_rows: 4, words: 4 }, rows, actions, ring_rows, words),
        absurd!(Regression { rows, columns, criterion: SQUARED, weighted }, rows, columns),
        absurd!(RegressionTangent { len: LEN, criterion: SQUARED }, len),
        absurd!(projection, rows, actions, support.bins),
        absurd!(ExpectedValue { rows, support: SUPPORT }, rows, support.bins),
        absurd!(TwoHot { rows, support: SUPPORT }, rows, support.bins),
        absurd!(categorical::CrossEntropy { rows, actions, bins, weighted }, rows, actions, bins),
        absurd!(cross_entropy, rows, classes),
        absurd!(loss::Distillation { rows, classes: 4, weight: 1.0 }, rows, classes),
        absurd!(loss::RecordLoss { rows, ring_rows: 4, words: 4 }, rows, ring_rows, words),
    ]
}

fn layers() -> Vec<Absurd> {
    let (rows, channels, columns, relu, residual, eps) = (4, 4, 4, true, true, 1e-5);
    let norm = batch_norm::BatchNormForward { rows, channels, eps, momentum: 0.1, relu, residual };
    let inference = batch_norm::BatchNormInference { rows, channels, eps, relu, residual };
    let layer_norm = layer_norm::LayerNormForward { rows, width: 4, eps, branch: true, mask: None };
    let layer_norm_backward =
        layer_norm::LayerNormBackward { rows, width: 4, eps, dsum: true, mask: None, groups: 1 };
    let attention = attention::Attention { batch: 4, tokens: 4, heads: 4, head_size: 4, mask: None };
    let (forward, backward) =
        (attention::AttentionForward(attention), attention::AttentionBackward(attention));
    let spectral = spectral_norm::SpectralNorm { outputs: 4, inputs: 4, iterate: true };
    let spectral_backward = spectral_norm::SpectralNormBackward { outputs: 4, inputs: 4 };
    let activity = reduce::ActivitySum { rows, columns, of: reduce::Activity::NonZero };
    let matmul = matmul::Matmul {
        batch: 4,
        m: 4,
        n: 4,
        k: 4,
        a_transposed: false,
        b_transposed: false,
        bias: true,
        activation: matmul::Activation::None,
    };
    let heads = attention::SplitHeads { attention, parts: 3 };
    let joined = attention::MergeHeads { attention, parts: 3 };
    vec![
        absurd!(heads, attention.batch, attention.tokens, attention.heads, attention.head_size),
        absurd!(joined, attention.batch, attention.tokens, attention.heads, attention.head_size),
        absurd!(norm, rows, channels),
        absurd!(inference, rows, channels),
        absurd!(batch_norm::BatchNormBackward { rows, channels, relu, residual }, rows, channels),
        absurd!(
            batch_norm::BatchNormInferenceBackward { rows, channels, relu, residual, groups: 1 },
            rows,
            channels,
            groups
        ),
        absurd!(batch_norm::BatchNormRunning { channels, eps }, channels),
        absurd!(batch_norm::BatchNormTangent { rows, channels }, rows, channels),
        absurd!(batch_norm::BatchNormGradientTangent { rows, channels }, rows, channels),
        absurd!(layer_norm::LayerNormTangent { rows, width: 4, eps }, rows, width),
        absurd!(layer_norm::LayerNormGradientTangent { rows, width: 4, eps }, rows, width),
        absurd!(softmax::Softmax { rows, columns, scale: 0.5 }, rows, columns),
        absurd!(softmax::SoftmaxTangent { rows, columns, scale: 0.5, shift: 1.0 }, rows, columns),
        absurd!(softmax::SoftmaxGradientTangent { rows, columns, scale: 0.5 }, rows, columns),
        absurd!(elementwise::CreluTangent { rows, channels }, rows, channels),
        absurd!(gelu::GeluGradientTangent { len: LEN }, len),
        absurd!(
            per_example::Scatter { rows, columns, words: 16, offset: 4, scale: 1.0 },
            rows,
            columns,
            words
        ),
        absurd!(per_example::SquaredNorms { rows, columns, scale: 1.0, add: true }, rows, columns),
        absurd!(
            per_example::OuterNorms { rows, outputs: 4, inputs: 4, scale: 1.0, add: true },
            rows,
            outputs,
            inputs
        ),
        absurd!(layer_norm, rows, width),
        absurd!(layer_norm_backward, rows, width, groups),
        absurd!(forward, 0.batch, 0.tokens, 0.heads, 0.head_size),
        absurd!(backward, 0.batch, 0.tokens, 0.heads, 0.head_size),
        absurd!(spectral, outputs, inputs),
        absurd!(spectral_backward, outputs, inputs),
        absurd!(reduce::ColumnSum { rows, columns, groups: 1 }, rows, columns, groups),
        absurd!(activity, rows, columns),
        absurd!(matmul, batch, m, n, k),
        absurd!(elementwise::Relu { len: LEN }, len),
        absurd!(elementwise::ReluBackward { len: LEN }, len),
        absurd!(elementwise::Add { len: LEN }, len),
        absurd!(elementwise::Crelu { rows, channels }, rows, channels),
        absurd!(elementwise::CreluBackward { rows, channels }, rows, channels),
        absurd!(dropout::Dropout { len: LEN, rate: 0.5, layer: 0 }, len),
        absurd!(gelu::Gelu { len: LEN, mask: None }, len),
        absurd!(gelu::GeluBackward { len: LEN, mask: None }, len),
    ]
}

fn images() -> Vec<Absurd> {
    let (batch, height, width, channels, kernel, stride) = (4, 4, 4, 4, 3, 1);
    let conv =
        conv2d::Conv2d { batch, height, width, in_channels: 4, out_channels: 4, kernel, stride, padding: 1 };
    let pool = pool::Pool2d { batch, height, width, channels, kernel, stride, padding: 1 };
    macro_rules! convolution {
        ($kernel:expr) => {
            absurd!(
                $kernel,
                conv.batch,
                conv.height,
                conv.width,
                conv.in_channels,
                conv.out_channels,
                conv.kernel,
                conv.stride,
                conv.padding
            )
        };
    }
    macro_rules! pooling {
        ($kernel:expr) => {
            absurd!(
                $kernel,
                pool.batch,
                pool.height,
                pool.width,
                pool.channels,
                pool.kernel,
                pool.stride,
                pool.padding
            )
        };
    }
    let embed = tokens::Embed { batch, tokens: 4, width };
    let select = tokens::Select { batch, tokens: 4, width };
    let patches = tokens::Patches { batch, height, width, channels, patch: 2 };
    let gather = gather::Gather {
        examples: 4,
        batch,
        height,
        width,
        channels,
        scale: vec![1.0; 4],
        shift: vec![0.0; 4],
        images_rows: 4,
        source: gather::Source::Resident,
        shuffle: false,
        augment: None,
    };
    let ring = replay::Ring { capacity: 4, observation: 4 };
    vec![
        convolution!(conv2d::Conv2dForward { conv, bias: true, winograd: true }),
        convolution!(conv2d::Conv2dBackwardData { conv, winograd: true }),
        convolution!(conv2d::Conv2dBackwardWeight { conv, winograd: true, groups: 1 }),
        absurd!(conv2d::Conv2dBackwardWeight { conv, winograd: true, groups: 1 }, groups),
        pooling!(pool::MaxPoolForward { pool }),
        pooling!(pool::MaxPoolBackward { pool }),
        pooling!(pool::MaxPoolTangent { pool }),
        pooling!(pool::AveragePoolForward { pool }),
        pooling!(pool::AveragePoolBackward { pool }),
        absurd!(patches, batch, height, width, channels),
        absurd!(embed, batch, tokens, width),
        absurd!(tokens::EmbedBackward { embed, groups: 1 }, embed.batch, embed.tokens, embed.width, groups),
        absurd!(tokens::Positions { batch, sequence: 4 }, batch, sequence),
        absurd!(select, batch, tokens, width),
        absurd!(tokens::SelectBackward(select), 0.batch, 0.tokens, 0.width),
        absurd!(gather, examples, batch, height, width, channels, images_rows),
        absurd!(gather::Take { rows: 4, batch: 4, words: 4 }, rows, batch, words),
        absurd!(replay::Append { ring, count: 4 }, ring.capacity, ring.observation, count),
        absurd!(replay::Draw { batch, capacity: 4 }, batch),
        absurd!(replay::Fetch { ring, batch }, ring.capacity, ring.observation, batch),
    ]
}

fn arenas() -> Vec<Absurd> {
    let (ring_rows, words) = (4, 4);
    let adam = |weight_decay| arena::Adam {
        len: LEN,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        eps_root: 0.0,
        weight_decay,
    };
    let rmsprop = arena::RmsProp { len: LEN, alpha: 0.99, eps: 1e-8, weight_decay: 0.0, centered: true };
    let regen = arena::Regen { len: LEN, strength: 0.1, distance: arena::Distance::Norm, ring_rows, words };
    let norm = arena::GradientNorm { len: LEN, max_norm: None, ring_rows, words };
    let dormant = units::Dormant { units: 4, values: 4, threshold: 0.1 };
    let recycle = units::Recycle { outer: 4, units: 4, inner: 4, renewed: units::Renewed::Constant(0.0) };
    vec![
        absurd!(adam(arena::WeightDecay::Decoupled(0.1)), len),
        absurd!(adam(arena::WeightDecay::Coupled(0.1)), len),
        absurd!(arena::Sgd { len: LEN, momentum: 0.9, weight_decay: 0.0 }, len),
        absurd!(rmsprop, len),
        absurd!(arena::Blend { len: LEN, keep: 0.5 }, len),
        absurd!(arena::Copy { len: LEN }, len),
        absurd!(arena::Fill { len: LEN, value: 1.0 }, len),
        absurd!(regen, len, ring_rows, words),
        absurd!(norm, len, ring_rows, words),
        absurd!(arena::Perturb { blocks: 4, keep: 0.5, scale: 0.1 }, blocks),
        absurd!(dormant, units),
        absurd!(recycle, outer, units, inner),
    ]
}

#[test]
fn kernels_of_absurd_size_are_refused() {
    let cpu = Cpu::new(1).unwrap();
    let all = [losses(), layers(), images(), arenas()].concat();
    let covered: BTreeSet<_> = all.iter().map(|(kernel, _)| kernel.name()).collect();
    let names: BTreeSet<_> = cases().iter().map(|case| case.kernel.name()).collect();
    assert_eq!(covered, names, "every kernel that has cases is tried");
    for (kernel, absurd) in all {
        for absurd in absurd {
            let mut memory: Vec<(Access, Vec<u32>)> = kernel
                .bindings()
                .into_iter()
                .map(|binding| (binding.access, vec![7; binding.words]))
                .collect();
            let buffers = memory.iter_mut().map(|(access, words)| match access {
                Access::Read => Arg::Read(words),
                _ => Arg::Write(words),
            });
            let refused = run(&*absurd, &cpu, &Clock::default(), buffers, &mut []);
            let what = absurd.shape();
            assert!(matches!(refused, Err(ArgsError::Length { .. })), "{absurd:?} ({what}): {refused:?}");
            assert!(memory.iter().flat_map(|(_, words)| words).all(|&word| word == 7), "{absurd:?}");
        }
    }
}
