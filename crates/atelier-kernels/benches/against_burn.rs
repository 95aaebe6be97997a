//! The kernels and burn's own operations in one run, on the shapes of the small painter and of Stable Diffusion.

#![recursion_limit = "256"]

use atelier_kernels::{Conv2dOptions, conv2d, group_norm};
use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{Device, Distribution, Tensor, activation, module, ops::ConvOptions};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};

/// Batch, input and output channels, height and width, kernel, stride.
const CONVOLUTIONS: [[usize; 6]; 8] = [
    [16, 4, 32, 32, 3, 1],
    [16, 32, 32, 32, 3, 1],
    [16, 64, 64, 16, 3, 1],
    [16, 128, 128, 8, 3, 1],
    [16, 32, 32, 32, 3, 2],
    [16, 64, 32, 32, 1, 1],
    [1, 64, 64, 128, 3, 1],
    [1, 320, 320, 64, 3, 1],
];

fn random<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    let tensor = Tensor::random(dims, Distribution::Normal(0.0, 1.0), device);
    if tensor.is_autodiff() { tensor.require_grad() } else { tensor }
}

fn convolutions(criterion: &mut Criterion) {
    let (plain, autodiff) = (Device::flex(), Device::flex().autodiff());
    for shape in CONVOLUTIONS {
        let [batch, inputs, outputs, size, kernel, stride] = shape;
        let padding = [(kernel / 2, kernel / 2); 2];
        let ours = |x, weight| conv2d(x, weight, None, Conv2dOptions { stride: [stride; 2], padding });
        let burns = |x, weight| {
            let options = ConvOptions::new_with_padding([stride; 2], padding, [1, 1], 1);
            module::conv2d(x, weight, None, options)
        };
        let name = format!("{batch}x{inputs}-{outputs}x{size}, kernel {kernel}, stride {stride}");
        let tensors = |device| {
            let weight = random([outputs, inputs, kernel, kernel], device);
            (random([batch, inputs, size, size], device), weight)
        };
        compare(criterion, "conv2d", &name, tensors(&plain), &ours, &burns, forward);
        compare(criterion, "conv2d, gradients", &name, tensors(&autodiff), &ours, &burns, gradients);
    }
}

fn group_norms(criterion: &mut Criterion) {
    let (plain, autodiff) = (Device::flex(), Device::flex().autodiff());
    for [batch, channels, size, groups] in [[16, 32, 32, 16], [16, 128, 8, 16], [1, 320, 64, 32]] {
        let ours = |x, norm: GroupNorm| group_norm(&norm, x, true);
        let burns = |x, norm: GroupNorm| activation::silu(norm.forward(x));
        let name = format!("{batch}x{channels}x{size}, {groups} groups");
        let tensors = |device| {
            let norm = GroupNormConfig::new(groups, channels).init(device);
            (random([batch, channels, size, size], device), norm)
        };
        compare(criterion, "norm", &name, tensors(&plain), &ours, &burns, forward);
        compare(criterion, "norm, gradients", &name, tensors(&autodiff), &ours, &burns, gradients);
    }
}

fn forward(output: Tensor<4>) {
    black_box(output.into_data());
}

fn gradients(output: Tensor<4>) {
    black_box(output.sum().backward());
}

/// Measures both operations of a tensor and its weight.
fn compare<W: Clone>(
    criterion: &mut Criterion,
    group: &str,
    name: &str,
    (x, weight): (Tensor<4>, W),
    ours: &dyn Fn(Tensor<4>, W) -> Tensor<4>,
    burns: &dyn Fn(Tensor<4>, W) -> Tensor<4>,
    finish: fn(Tensor<4>),
) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    for (who, operation) in [("ours", ours), ("burn's", burns)] {
        group.bench_function(BenchmarkId::new(name, who), |bencher| {
            bencher.iter(|| finish(operation(x.clone(), weight.clone())));
        });
    }
}

criterion_group!(benches, convolutions, group_norms);
criterion_main!(benches);
