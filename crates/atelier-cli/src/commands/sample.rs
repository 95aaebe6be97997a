//! `atelier sample`: pictures from a prompt.

use crate::{base_model, failure::Failure, model::Base, progress::Progress};
use anstream::{eprintln, println};
use atelier_core::{painting::PaintingOptions, pipeline::Pipeline, schedulers::SchedulerKind};
use atelier_train::{
    TrainError, adapter,
    base_precision::BasePrecision,
    device::DeviceChoice,
    painter::PaintOptions,
    sampler::{SampleOptions, sample},
};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `atelier sample`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Diffusers folder of the model [default: the small painter]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    base: Base,
    /// What the pictures show, such as "a seascape with cliffs at sunset | positive: clean colour"
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// What to keep away from; needs guidance
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative_prompt: String,
    /// LoRA to put on the model, and how strong; repeatable
    #[arg(long, value_name = "FILE[:SCALE]", value_parser = lora)]
    lora: Vec<Lora>,
    /// Model or LoRA that answers the negative prompt, from `atelier train align --objective diffusion-npo`; needs
    /// guidance
    #[arg(long, value_name = "DIR")]
    negative_model: Option<PathBuf>,
    /// Denoising steps
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// How strictly the prompt is followed; 1 is without guidance [default: 2 for small painters, 7.5 for Stable
    /// Diffusion, 5 for SDXL, 7 for SD3, 3.5 for FLUX, where it is the model's own distilled guidance]
    #[arg(long, value_name = "SCALE")]
    guidance: Option<f64>,
    /// FLUX: classifier-free guidance on top of the distilled one, away from the negative prompt; 1 is without
    #[arg(long, value_name = "SCALE", default_value_t = 1.0)]
    true_cfg_scale: f64,
    /// Sampler: ddpm, ddim, euler or dpm-solver, flow-match-euler for SD3 and FLUX [default: the model's, or the nearest
    /// of these]
    #[arg(long)]
    scheduler: Option<SchedulerKind>,
    /// Last layers of the text encoder to leave out
    #[arg(long, value_name = "LAYERS", default_value_t = 0)]
    clip_skip: usize,
    /// Seed of the first picture; the next ones follow
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Pictures
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Pictures painted at once; fewer need less memory
    #[arg(long, value_name = "PICTURES", default_value_t = 8)]
    batch: usize,
    /// Width and height in pixels [default: what the model was made for]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[u32; 2]>,
    /// Initial noise instead of the seed's: a safetensors file with the key `latents`, [count, channels, height, width]
    #[arg(long, value_name = "FILE")]
    latents: Option<PathBuf>,
    /// Write the final latents there, under the same key
    #[arg(long, value_name = "FILE")]
    save_latents: Option<PathBuf>,
    /// Folder of the pictures; what is in it stays
    #[arg(long, value_name = "DIR", default_value = "pictures")]
    out: PathBuf,
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; a GPU has an index, as `wgpu:1`
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// A LoRA and its strength.
#[derive(Debug, Clone)]
struct Lora {
    path: PathBuf,
    scale: f64,
}

/// `FILE`, or `FILE:SCALE` where the last part is a number.
fn lora(text: &str) -> Result<Lora, String> {
    let scaled = text.rsplit_once(':').and_then(|(path, scale)| Some((path, scale.parse::<f64>().ok()?)));
    let (path, scale) = scaled.unwrap_or((text, 1.0));
    if !scale.is_finite() {
        return Err("the scale must be a number".to_owned());
    }
    Ok(Lora { path: path.into(), scale })
}

fn size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    sides.ok_or_else(|| "write width and height as 512x768".to_owned())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let device = arguments.device.device()?;
    let mut pipeline = match &arguments.model {
        Some(folder) => arguments.base.load(folder, &device)?,
        None => Pipeline::load(&base_model::files(), &device)?,
    };
    for prompt in [&arguments.prompt, &arguments.negative_prompt] {
        if let Some(ignored) = pipeline.ignored(prompt) {
            eprintln!("warning: the prompt is too long; the model does not read its end, {ignored:?}");
        }
        let unknown = pipeline.tokenizer.unknown_words(prompt);
        if !unknown.is_empty() {
            eprintln!("warning: the model does not know {}", unknown.join(", "));
        }
    }
    // Before the adapters: they are for the other one.
    if let Some(path) = &arguments.negative_model {
        let denoiser =
            adapter::denoiser_at(path, "--negative-model", &pipeline, BasePrecision::F32, &device)?;
        pipeline.negative_denoiser = Some(denoiser);
    }
    for Lora { path, scale } in &arguments.lora {
        let file = adapter::find(path).unwrap_or_else(|| path.clone());
        pipeline = adapter::attach(&pipeline, &file, *scale, &device)?;
    }
    pipeline.clip_skip = arguments.clip_skip;
    for warning in pipeline.sampler(arguments.scheduler).map_err(TrainError::from)?.warnings {
        eprintln!("warning: {warning}");
    }
    let suited = PaintOptions::for_model(&pipeline, arguments.scheduler)?;
    let guidance_scale = arguments.guidance.unwrap_or(suited.painting.guidance_scale);
    let is_distilled = pipeline.denoiser_config.is_guidance_distilled();
    let (flag, scale) = if is_distilled {
        ("true-cfg-scale", arguments.true_cfg_scale)
    } else {
        ("guidance", guidance_scale)
    };
    if scale == 1.0 && arguments.negative_model.is_some() {
        let problem = format!("--negative-model is asked nothing with --{flag} 1; take a scale above 1");
        return Err(TrainError::Option(problem).into());
    }
    let folder_name = arguments.model.as_deref().and_then(Path::file_name);
    let options = SampleOptions {
        prompt: arguments.prompt.clone(),
        paint: PaintOptions {
            painting: PaintingOptions {
                negative_prompt: arguments.negative_prompt.clone(),
                steps: arguments.steps,
                guidance_scale,
                true_cfg_scale: arguments.true_cfg_scale,
                scheduler: suited.painting.scheduler,
            },
            size: arguments.size.unwrap_or(suited.size),
            batch: arguments.batch,
        },
        seed: arguments.seed,
        count: arguments.count,
        latents: arguments.latents.clone(),
        save_latents: arguments.save_latents.clone(),
        out: arguments.out.clone(),
        model_name: folder_name.map_or("painter".into(), |name| name.to_string_lossy()).into_owned(),
    };
    let mut progress = Progress::new()?;
    let paths = sample(&pipeline, &options, &mut |event| progress.show(event))?;
    drop(progress);
    for path in paths {
        println!("{}", path.display());
    }
    Ok(())
}
