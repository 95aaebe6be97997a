//! `atelier sample`: pictures from a prompt.

use crate::{
    base_model,
    failure::Failure,
    lora_argument::LoraArgument,
    model::Base,
    output::{self, print_line},
    progress::Progress,
};
use atelier_core::{
    painting::PaintingOptions, picture::ModelNames, pipeline::Pipeline, schedulers::SchedulerKind,
};
use atelier_train::{
    TrainError, adapter,
    base_precision::BasePrecision,
    device::DeviceChoice,
    file_names::{lora_use, name_of},
    limits,
    painter::PaintOptions,
    sampler::{SampleOptions, SamplePlaces, sample},
};
use clap::Args;
use std::path::PathBuf;

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
    /// LoRA to put on the model, and how strong: a safetensors file of diffusers, peft, kohya's scripts and others, or the
    /// folder of a run or of peft; repeatable
    #[arg(long, value_name = "FILE[:SCALE]")]
    lora: Vec<LoraArgument>,
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
    /// Last layers of the text encoder to leave out, as in diffusers; pictures' texts count the last layer as 1, as other
    /// programs do
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
    /// Write the final latents there, under the same key; earlier ones there are replaced, other files are not
    #[arg(long, value_name = "FILE")]
    save_latents: Option<PathBuf>,
    /// Folder of the pictures; what is in it stays
    #[arg(long, value_name = "DIR", default_value = "pictures")]
    out: PathBuf,
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; a GPU has an index, as `wgpu:1`
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

fn size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    sides.ok_or_else(|| "write width and height as 512x768".to_owned())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    for LoraArgument { path, scale } in &arguments.lora {
        if let Some(problem) = limits::problem(*scale, PaintingOptions::SCALES) {
            let text = format!("--lora {}: the scale {problem}", path.display());
            return Err(TrainError::Option(text).into());
        }
    }
    // Wrong numbers are wrong for every model: there is no need to load one.
    arguments.options(&PaintOptions::default(), ModelNames::default()).check()?;
    let _places = SamplePlaces::prepare(&arguments.out, arguments.save_latents.as_deref())?;
    let device = arguments.device.device()?;
    let mut pipeline = match &arguments.model {
        Some(folder) => arguments.base.load(folder, &device)?,
        None => Pipeline::load(&base_model::files(), &device)?,
    };
    for prompt in [&arguments.prompt, &arguments.negative_prompt] {
        if let Some(ignored) = pipeline.ignored(prompt) {
            output::warning(format_args!(
                "the prompt is too long; the model does not read its end, {ignored:?}"
            ));
        }
        let unknown = pipeline.tokenizer.unknown_words(prompt);
        if !unknown.is_empty() {
            output::warning(format_args!("the model does not know {}", unknown.join(", ")));
        }
    }
    // Before the adapters: they are for the other one.
    if let Some(path) = &arguments.negative_model {
        let denoiser =
            adapter::denoiser_at(path, "--negative-model", &pipeline, BasePrecision::F32, &device)?;
        pipeline.negative_denoiser = Some(denoiser);
    }
    let mut models = arguments.models();
    for LoraArgument { path, scale } in &arguments.lora {
        let file = adapter::find_or_explain(path)?;
        pipeline = adapter::attach(&pipeline, &file, *scale, &device)?;
        models.loras.push(lora_use(&file, *scale)?);
    }
    pipeline.clip_skip = arguments.clip_skip;
    for warning in pipeline.sampler(arguments.scheduler).map_err(TrainError::from)?.warnings {
        output::message(format_args!("warning: {warning}"));
    }
    let options = arguments.options(&PaintOptions::for_model(&pipeline, arguments.scheduler)?, models);
    let PaintingOptions { guidance_scale, true_cfg_scale, .. } = options.paint.painting;
    let (flag, scale) = if pipeline.denoiser_config.is_guidance_distilled() {
        ("true-cfg-scale", true_cfg_scale)
    } else {
        ("guidance", guidance_scale)
    };
    if scale == 1.0 && arguments.negative_model.is_some() {
        let problem = format!("--negative-model is asked nothing with --{flag} 1; take a scale above 1");
        return Err(TrainError::Option(problem).into());
    }
    let mut progress = Progress::new();
    let paths = sample(&pipeline, &options, &mut |event| progress.show(event))?;
    drop(progress);
    for path in paths {
        print_line!("{}", path.display())?;
    }
    Ok(())
}

impl Arguments {
    /// What to paint with a model that `suited` suits.
    fn options(&self, suited: &PaintOptions, models: ModelNames) -> SampleOptions {
        SampleOptions {
            prompt: self.prompt.clone(),
            paint: PaintOptions {
                painting: PaintingOptions {
                    negative_prompt: self.negative_prompt.clone(),
                    steps: self.steps,
                    guidance_scale: self.guidance.unwrap_or(suited.painting.guidance_scale),
                    true_cfg_scale: self.true_cfg_scale,
                    scheduler: self.scheduler.unwrap_or(suited.painting.scheduler),
                },
                size: self.size.unwrap_or(suited.size),
                batch: self.batch,
            },
            seed: self.seed,
            count: self.count,
            latents: self.latents.clone(),
            save_latents: self.save_latents.clone(),
            out: self.out.clone(),
            models,
        }
    }

    /// What the pictures' texts call the models; LoRAs follow when their files are found.
    fn models(&self) -> ModelNames {
        ModelNames {
            model: self.model.as_deref().map_or_else(|| "painter".to_owned(), name_of),
            base: self.base.folder().map(name_of),
            loras: Vec::new(),
            negative_model: self.negative_model.as_deref().map(name_of),
        }
    }
}
