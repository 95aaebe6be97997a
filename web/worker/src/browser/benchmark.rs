//! How fast this browser paints, on WebGPU and on the processor.

use super::{
    device::{Devices, OpenDevice},
    failure::Failure,
    job::{Job, now},
    models::Models,
    paint::{denoised, options},
};
use atelier_core::{picture::from_tensor, pipeline::Pipeline};
use atelier_web_messages::{BenchmarkReport, Model, Recipe, Sampler, StepTime};
use js_sys::WebAssembly::Memory;
use wasm_bindgen::JsCast;

/// What is painted: [`StepTime`] says how many steps.
fn recipe() -> Recipe {
    Recipe { steps: StepTime::STEPS, sampler: Sampler::Ddim, ..Recipe::default() }
}

/// Measures every device there is, one after the other; nothing else runs meanwhile.
///
/// # Errors
/// [`Failure`].
pub async fn run(devices: &mut Devices, job: Job) -> Result<BenchmarkReport, Failure> {
    let mut report = BenchmarkReport { load: 0.0, devices: Vec::new(), memory: 0 };
    let present = devices.web_gpu().await.ok().into_iter().chain([OpenDevice::processor(None)]);
    for device in present {
        let started = now();
        // Models of its own, so that loading is measured as well.
        let painters = Models::default().painters(&[Model::Base], &device, job).await?;
        report.load = now() - started;
        report.devices.push(measure(&painters[0].1.pipeline, device, job).await?);
    }
    let memory: Memory = wasm_bindgen::memory().unchecked_into();
    let buffer: js_sys::ArrayBuffer = memory.buffer().unchecked_into();
    report.memory = u64::from(buffer.byte_length());
    Ok(report)
}

async fn measure(pipeline: &Pipeline, device: OpenDevice, job: Job) -> Result<StepTime, Failure> {
    let recipe = recipe();
    let started = now();
    let (mut times, mut last) = (Vec::new(), started);
    let options = options(&recipe);
    let latents = denoised(pipeline, &recipe.prompt, recipe.seed, &options, &device, async |step| {
        // Reading back waits for the device.
        step.latents.clone().into_data_async().await?;
        times.push(now() - last);
        job.pause().await?;
        last = now();
        Ok(())
    })
    .await?;
    let decoding = now();
    from_tensor(pipeline.decode_latents(latents)).await?;
    let finished = now();
    times.sort_by(f64::total_cmp);
    Ok(StepTime {
        device: device.report,
        step: times[times.len() / 2],
        first_picture: finished - started,
        decode: finished - decoding,
    })
}
