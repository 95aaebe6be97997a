//! `atelier plan`: what a run will need, before it is started.
//!
//! Weights, adapter, gradients and moments are counted exactly from configurations and from the headers of the files;
//! what is kept of a forward pass is estimated from the shapes of the blocks; the time of a step is measured by a few
//! steps of the real training loop.

mod activations;
mod device_memory;
mod probe;

pub use device_memory::device_memory;
pub use probe::seconds_per_step;

use crate::{
    base_precision::BasePrecision, error::TrainError, model_folder, optimizer::parameter_sizes,
    options::TrainOptions, run,
};
use activations::Pass;
use atelier_core::{
    lora::adapter_parameters,
    pipeline::{Inventory, PartSize, PictureSides},
};
use burn::tensor::Device;
use serde::Serialize;

/// What a run of `train sft` or `train align` will need.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The folder of the model.
    pub model: std::path::PathBuf,
    /// Side of the pictures, in pixels.
    pub size: u32,
    /// Samples per step.
    pub train_batch_size: usize,
    /// Rank of the adapter; 0 where the denoiser itself is trained.
    pub lora_rank: usize,
    /// Type of the frozen weights.
    pub base_precision: BasePrecision,
    /// Whether blocks are computed again.
    pub gradient_checkpointing: bool,
    /// Memory by part.
    pub parts: Vec<Part>,
    /// The sum of the parts.
    pub total_bytes: u64,
    /// The device's memory, where it is known.
    pub device_bytes: Option<u64>,
    /// Whether the device's memory is enough, where it is known.
    pub fits: Option<bool>,
    /// Of the training loop, where it was tried.
    pub seconds_per_step: Option<f64>,
    /// What to change, one sentence each.
    pub advice: Vec<String>,
}

/// One line of the memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// For people.
    pub name: String,
    /// How much.
    pub bytes: u64,
    /// Whether that is an estimate; otherwise it is counted.
    pub estimated: bool,
}

impl Plan {
    /// Plans the run of `options`, of which model, adapter, sizes and precision matter, for a device with
    /// `device_bytes` of memory. Nothing is computed; `device` holds the shapes.
    ///
    /// # Errors
    /// [`TrainError::Pipeline`] names a file of the model that cannot be used, [`TrainError::Lora`] target modules that
    /// the model does not have, [`TrainError::Option`] a size that does not fit the model.
    pub fn new(
        options: &TrainOptions,
        device_bytes: Option<u64>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let inventory = Inventory::read(model_folder::find(&options.model)?.as_path(), device)?;
        run::check_size(options, PictureSides::new(&inventory.denoiser_config, &inventory.vae_config))?;
        run::check_checkpointing(options, &inventory.denoiser_config)?;
        let parts = parts(&inventory, options)?;
        let total_bytes = total(&parts);
        let fits = device_bytes.map(|bytes| total_bytes <= bytes);
        let mut advice = match device_bytes {
            Some(bytes) if total_bytes > bytes => advice(&inventory, options, bytes)?,
            _ => Vec::new(),
        };
        if options.base_precision != BasePrecision::F32 && !options.gradient_checkpointing {
            let note = "without --gradient-checkpointing a step needs the frozen weights in f32 at once, beside those in";
            advice.insert(0, format!("{note} {}", options.base_precision.name()));
        }
        Ok(Self {
            model: options.model.clone(),
            size: options.size,
            train_batch_size: options.train_batch_size,
            lora_rank: options.lora_rank,
            base_precision: options.base_precision,
            gradient_checkpointing: options.gradient_checkpointing,
            parts,
            total_bytes,
            device_bytes,
            fits,
            seconds_per_step: None,
            advice,
        })
    }
}

/// Bytes that a run of any size takes: code, tokenizers, buffers of the backend, what the allocator holds back.
const WORKING_MEMORY: f64 = 150.0 * 1024.0 * 1024.0;

fn total(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.bytes).sum()
}

/// Memory by part.
fn parts(inventory: &Inventory, options: &TrainOptions) -> Result<Vec<Part>, TrainError> {
    let counted =
        |name: &str, bytes: usize| Part { name: name.to_owned(), bytes: bytes as u64, estimated: false };
    let name = |part: &PartSize| match part.folder {
        "unet" | "transformer" => "weights of the denoiser",
        "vae" => "weights of the autoencoder",
        "text_encoder_2" => "weights of the second text encoder",
        "text_encoder_3" => "weights of the third text encoder",
        _ => "weights of the text encoder",
    };
    let bytes = options.base_precision.bytes();
    let mut parts: Vec<Part> = inventory.parts.iter().map(|it| counted(name(it), it.bytes(bytes))).collect();
    let adapter =
        options.lora().map(|config| adapter_parameters(&inventory.denoiser, &config)).transpose()?;
    let trained = match &adapter {
        Some(layers) => layers.values().sum(),
        None => trained_parameters(inventory, options),
    };
    if adapter.is_some() {
        parts.push(counted("adapter", 4 * trained));
    }
    parts.push(counted("gradients", 4 * trained));
    parts.push(counted("moments of AdamW", 8 * trained));
    if options.ema_decay > 0.0 {
        parts.push(counted("moving average", 4 * trained));
    }
    let factor = inventory.vae_config.downsampling_factor();
    let adapted: Option<Vec<String>> = adapter.map(|layers| layers.into_keys().collect());
    let pass = Pass {
        denoiser: &inventory.denoiser,
        config: &inventory.denoiser_config,
        batch: options.train_batch_size,
        latents: [options.size as usize / factor; 2],
        tokens: inventory.tokens,
        adapted: adapted.as_deref(),
    };
    let cast = options.base_precision != BasePrecision::F32;
    let [activations, widened] = pass.bytes(options.gradient_checkpointing, cast);
    let estimated =
        |name: &str, bytes: f64| Part { name: name.to_owned(), bytes: bytes as u64, estimated: true };
    if cast {
        parts.push(estimated("frozen weights in f32 during a pass", widened));
    }
    parts.push(estimated("activations", activations));
    parts.push(estimated("program and working memory", WORKING_MEMORY));
    Ok(parts)
}

/// Parameters of the denoiser that are trained without an adapter.
fn trained_parameters(inventory: &Inventory, options: &TrainOptions) -> usize {
    let modules = &options.target_modules;
    parameter_sizes(&inventory.denoiser)
        .into_iter()
        .filter(|(name, _)| modules.is_empty() || modules.iter().any(|module| name.contains(module)))
        .map(|(_, size)| size)
        .sum()
}

/// What to change so that the run fits into `available` bytes: the least that is enough, or all of it where nothing is.
fn advice(inventory: &Inventory, options: &TrainOptions, available: u64) -> Result<Vec<String>, TrainError> {
    let mut changed = options.clone();
    let mut advice = Vec::new();
    let mut try_it = |changed: &TrainOptions, change: String| -> Result<bool, TrainError> {
        let bytes = total(&parts(inventory, changed)?);
        advice.push(format!("{change}: {}", gibibytes(bytes)));
        Ok(bytes <= available)
    };
    if changed.lora_rank == 0 {
        changed.lora_rank = 16;
        changed.target_modules = Vec::new();
        if try_it(&changed, "train a LoRA instead of the denoiser, --lora-rank 16".to_owned())? {
            return Ok(advice);
        }
    }
    if !changed.gradient_checkpointing && inventory.denoiser_config.can_be_checkpointed() {
        changed.gradient_checkpointing = true;
        if try_it(
            &changed,
            "compute blocks again instead of keeping them, --gradient-checkpointing".to_owned(),
        )? {
            return Ok(advice);
        }
    }
    if changed.base_precision == BasePrecision::F32 {
        changed.base_precision = BasePrecision::F16;
        if try_it(&changed, "keep the frozen weights in half precision, --base-precision f16".to_owned())? {
            return Ok(advice);
        }
    }
    while changed.train_batch_size > 1 {
        changed.train_batch_size /= 2;
        let (batch, forwards) = (
            changed.train_batch_size,
            (options.train_batch_size * options.gradient_accumulation_steps)
                .div_ceil(changed.train_batch_size),
        );
        let change = format!(
            "fewer samples at once, --train-batch-size {batch} --gradient-accumulation-steps {forwards}"
        );
        if try_it(&changed, change)? {
            return Ok(advice);
        }
    }
    advice.push(
        "even that is too much: take smaller pictures (--size), a smaller model or a larger device"
            .to_owned(),
    );
    Ok(advice)
}

/// `bytes` for people.
pub fn gibibytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1024.0 * 1024.0 {
        format!("{:.1} KiB", bytes / 1024.0)
    } else if bytes < 1024.0 * 1024.0 * 1024.0 {
        format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
    } else {
        format!("{:.2} GiB", bytes / (1024.0 * 1024.0 * 1024.0))
    }
}

#[cfg(test)]
mod tests;
