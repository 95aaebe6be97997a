//! Every kernel gives the same numbers, to the last bit, whatever the number of threads.

#![cfg(feature = "threads")]

use atelier_kernels::slices::{
    attention::{AttentionGradients, AttentionShape, Rows, attention, attention_gradients},
    conv2d::{Conv2dShape, conv2d, conv2d_bias_gradient, conv2d_input_gradient, conv2d_weight_gradient},
    geglu::{geglu, geglu_gradient},
    group_norm::{Affine, GroupNormGradients, GroupNormShape, group_norm, group_norm_gradients},
    layer_norm::{LayerNorm, LayerNormGradients, layer_norm, layer_norm_gradients},
    matrix::{Matrix, ProductShape, product},
};
use rayon::ThreadPoolBuilder;

/// Numbers in [-1, 1) that look random.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// What `compute` writes to buffers of these lengths is the same on one thread and on four.
#[track_caller]
fn assert_same<const N: usize>(lengths: [usize; N], compute: impl Fn([&mut [f32]; N]) + Sync) {
    let on = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let mut results = lengths.map(|length| vec![f32::NAN; length]);
        pool.install(|| compute(results.each_mut().map(Vec::as_mut_slice)));
        results.map(|numbers| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let (one, four) = (on(1), on(4));
    assert!(one == four);
    assert!(one.iter().flatten().all(|bits| f32::from_bits(*bits).is_finite()));
}

#[test]
fn convolutions() {
    for (batch, in_channels, out_channels, size, kernel, stride) in [
        (5, 32, 33, 32, 3, 1),
        (1, 20, 40, 64, 3, 1),
        (2, 24, 24, 31, 3, 2),
        (3, 64, 48, 16, 1, 1),
        (16, 4, 32, 32, 3, 1),
    ] {
        let pad = kernel / 2;
        let shape = Conv2dShape {
            batch,
            in_channels,
            out_channels,
            size: [size; 2],
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [(pad, pad); 2],
        };
        let pixels: usize = shape.out().expect("it fits").iter().product();
        let input = numbers(1, batch * in_channels * size * size);
        let weight = numbers(2, out_channels * in_channels * kernel * kernel);
        let bias = numbers(3, out_channels);
        let gradient = numbers(4, batch * out_channels * pixels);
        let lengths = [gradient.len(), input.len(), weight.len(), out_channels];
        assert_same(lengths, |[output, of_input, of_weight, of_bias]| {
            conv2d(&shape, &input, &weight, Some(&bias), output);
            conv2d_input_gradient(&shape, &gradient, &weight, of_input);
            conv2d_weight_gradient(&shape, &input, &gradient, of_weight);
            conv2d_bias_gradient(&shape, &gradient, of_bias);
        });
    }
}

#[test]
fn a_picture_does_not_depend_on_the_others_of_its_batch() {
    for (channels, size, kernel, stride) in
        [(32, 32, 3, 1), (40, 16, 3, 1), (64, 8, 3, 1), (24, 9, 3, 2), (33, 12, 1, 1)]
    {
        let shape = |batch| Conv2dShape {
            batch,
            in_channels: channels,
            out_channels: channels,
            size: [size; 2],
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [(kernel / 2, kernel / 2); 2],
        };
        let pixels: usize = shape(1).out().expect("it fits").iter().product();
        let weight = numbers(2, channels * channels * kernel * kernel);
        let input = numbers(1, 16 * channels * size * size);
        let output = |batch: usize| {
            let mut output = vec![f32::NAN; batch * channels * pixels];
            conv2d(&shape(batch), &input[..batch * channels * size * size], &weight, None, &mut output);
            output
        };
        let (whole, one) = (output(16), output(1));
        assert!(whole[..one.len()] == one[..], "{channels} channels, {size} pixels");
    }
}

#[test]
fn norms_and_gates() {
    let shape = GroupNormShape { batch: 3, channels: 40, groups: 8, pixels: 900, epsilon: 1e-5, silu: true };
    let (x, gradient) = (numbers(1, 3 * 40 * 900), numbers(2, 3 * 40 * 900));
    let (scale, shift) = (numbers(3, 40), numbers(4, 40));
    let affine = Affine { scale: &scale, shift: &shift };
    assert_same([x.len(), x.len(), 40, 40], |[output, input, scale, shift]| {
        group_norm(&shape, &x, affine, output);
        group_norm_gradients(&shape, &x, affine, &gradient, GroupNormGradients { input, scale, shift });
    });
    assert_same([x.len(), x.len(), 40, 40], |[output, input, of_scale, of_shift]| {
        let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-5 };
        layer_norm(norm, &x, output);
        let results = LayerNormGradients { input, scale: of_scale, shift: of_shift };
        layer_norm_gradients(norm, &x, &gradient, results);
    });
    assert_same([x.len() / 2, x.len()], |[output, result]| {
        geglu(20, &x, output);
        geglu_gradient(20, &x, &gradient[..x.len() / 2], result);
    });
}

#[test]
fn products() {
    for [rows, depth, columns] in [[1000, 340, 70], [7, 512, 1000], [64, 128, 1024]] {
        let (a, b) = (numbers(1, rows * depth), numbers(2, depth * columns));
        let bias = numbers(3, columns);
        assert_same([rows * columns], |[result]| {
            let (first, second) = (Matrix::rows(&a, depth), Matrix::rows(&b, columns));
            product(&ProductShape { rows, depth, columns }, first, second, Some(&bias), result);
        });
    }
}

#[test]
fn attentions() {
    let (batch, heads, queries, keys, channels) = (2, 2, 500, 300, 24);
    let shape =
        AttentionShape { batch, heads, queries, keys, channels, value_channels: channels, scale: 0.2 };
    fn rows(numbers: &[f32], length: usize) -> Rows<'_> {
        Rows::interleaved(numbers, length, 2, 24)
    }
    let of = |seed, length| numbers(seed, batch * heads * length * channels);
    let (query, key, value, gradient) = (of(1, queries), of(2, keys), of(3, keys), of(4, queries));
    let inputs = [rows(&query, queries), rows(&key, keys), rows(&value, keys)];
    let lengths = [query.len(), batch * heads * queries, query.len(), key.len(), value.len()];
    assert_same(lengths, |[output, logarithms, of_query, of_key, of_value]| {
        attention(&shape, inputs, output, logarithms);
        let given = AttentionGradients {
            inputs,
            output: rows(output, queries),
            logarithms,
            gradient: rows(&gradient, queries),
        };
        attention_gradients(&shape, given, [of_query, of_key, of_value]);
    });
}
