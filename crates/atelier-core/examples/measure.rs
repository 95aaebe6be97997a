//! Times passes of the small painter on the processor, as `benches/against_others.py` asks for them: a line of JSON in, the
//! median milliseconds out.

#![recursion_limit = "256"]

use atelier_core::{
    models::{autoencoder::Autoencoder, denoiser::Denoiser, prompt_embeddings::PromptEmbeddings},
    pipeline::Pipeline,
};
use atelier_kernels::side_by_side;
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Distribution, Tensor},
};
use serde::Deserialize;
use std::{
    error::Error,
    io::{BufRead, stdin},
    path::Path,
    time::{Duration, Instant},
};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct Request {
    work: Work,
    batch: usize,
    /// Pixels of a side.
    size: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Work {
    Forward,
    Gradients,
    Encode,
    Decode,
}

fn main() -> Result<(), Box<dyn Error>> {
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter");
    let pipeline = Pipeline::load(&painter as &Path, &Device::flex())?;
    for line in stdin().lock().lines() {
        println!("{}", milliseconds(&pipeline, &serde_json::from_str(&line?)?));
    }
    Ok(())
}

fn milliseconds(pipeline: &Pipeline, request: &Request) -> f64 {
    let device = Device::flex();
    let &Request { ref work, batch, size } = request;
    let pictures = || random([batch, 3, size, size], &device);
    let latents = || random([batch, 4, size / 4, size / 4], &device);
    let Pipeline { vae, vae_config: config, denoiser, .. } = pipeline;
    match work {
        Work::Forward => {
            let prompt = random([batch, 77, 128], &device).into();
            forward(denoiser, &latents(), &Tensor::full([batch], 500.0, &device), &prompt)
        }
        Work::Gradients => gradients(denoiser, batch, size, &device),
        Work::Encode => coding(vae, &pictures(), |model, x| model.encode(x, config)),
        Work::Decode => coding(vae, &latents(), |model, x| model.decode(x, config)),
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn forward(model: &Denoiser, sample: &Tensor<4>, timesteps: &Tensor<1>, prompt: &PromptEmbeddings) -> f64 {
    median(|| {
        model.forward(sample.clone(), timesteps.clone(), prompt.clone()).into_data();
    })
}

fn gradients(model: &Denoiser, batch: usize, size: usize, device: &Device) -> f64 {
    let mut sum = GradientsAccumulator::new();
    // In two parts where there are two pictures, as a training run does.
    let parts = vec![batch.div_ceil(2); 1 + usize::from(batch > 1)];
    median(|| {
        side_by_side(parts.clone(), |batch| {
            let model = model.clone().train();
            let sample = random([batch, 4, size / 4, size / 4], device).autodiff();
            let timesteps = Tensor::<1>::full([batch], 500.0, device).autodiff();
            let prompt: PromptEmbeddings = random([batch, 77, 128], device).autodiff().into();
            let gradients = model.forward(sample, timesteps, prompt).square().mean().backward();
            GradientsParams::from_grads(gradients, &model)
        })
        .into_iter()
        .for_each(|gradients| sum.accumulate(model, gradients));
    })
}

fn coding(
    model: &Autoencoder,
    input: &Tensor<4>,
    code: impl Fn(&Autoencoder, Tensor<4>) -> Tensor<4>,
) -> f64 {
    median(|| {
        code(model, input.clone()).into_data();
    })
}

/// The median of a second of calls, at least three, after one that is not counted.
fn median(mut call: impl FnMut()) -> f64 {
    call();
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || started.elapsed() < Duration::from_secs(1) {
        let started = Instant::now();
        call();
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    1000.0 * times[times.len() / 2]
}
