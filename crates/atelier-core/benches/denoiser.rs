//! The small painter's denoiser on the processor: one forward pass, and one with gradients.
//!
//! `python crates/atelier-core/benches/against_others.py` compares the same with PyTorch and ONNX Runtime.

#![recursion_limit = "256"]

use atelier_core::pipeline::Pipeline;
use burn::{
    module::Module,
    tensor::{Device, Distribution, Tensor},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, path::Path};

const BATCH: usize = 16;

fn denoiser(criterion: &mut Criterion) {
    let device = Device::flex();
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter");
    let model = Pipeline::load(&painter as &Path, &device).expect("the shipped painter loads").denoiser;
    let normal = Distribution::Normal(0.0, 1.0);
    let sample = Tensor::<4>::random([BATCH, 4, 32, 32], normal, &device);
    let timesteps = Tensor::<1>::full([BATCH], 500.0, &device);
    let context = Tensor::<3>::random([BATCH, 77, 128], normal, &device);

    let mut group = criterion.benchmark_group("denoiser");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("forward", |bencher| {
        bencher.iter(|| {
            let output = model.forward(sample.clone(), timesteps.clone(), context.clone());
            black_box(output.into_data())
        });
    });
    let model = model.train();
    group.bench_function("gradients", |bencher| {
        bencher.iter(|| {
            let output = model.forward(
                sample.clone().autodiff(),
                timesteps.clone().autodiff(),
                context.clone().autodiff(),
            );
            black_box(output.square().mean().backward())
        });
    });
    group.finish();
}

criterion_group!(benches, denoiser);
criterion_main!(benches);
