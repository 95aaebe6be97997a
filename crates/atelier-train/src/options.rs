//! Options of a training run: defaults, then a TOML file, then flags; later ones win.

mod validation;

use crate::{
    base_precision::BasePrecision, device::DeviceList, error::TrainError, learning_rate::LearningRateKind,
    optimizer::AdamWOptions,
};
use atelier_core::{lora::LoraConfig, objectives::Stabilisation, weights::Precision};
use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Mu of the safeguard's paper.
const MU: f64 = 0.9;

/// The options of a run after defaults, file and flags were joined; written as `config.toml` beside the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainOptions {
    /// Imagefolder of paintings.
    pub data: PathBuf,
    /// Diffusers folder of the model to start from.
    pub model: PathBuf,
    /// Diffusers folder or LoRA file of the auxiliary model (CPO).
    pub auxiliary: PathBuf,
    /// Where results, checkpoints and metrics go.
    pub output_dir: PathBuf,
    /// Where to compute; several devices share every step.
    pub device: DeviceList,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Side of the square pictures, in pixels; with buckets, the side of a square of their area.
    pub size: u32,
    /// Whether pictures are trained at sizes near their own shapes instead of squares.
    pub aspect_ratio_buckets: bool,
    /// Whether pictures are mirrored at random.
    pub random_flip: bool,
    /// Whether a random part is taken of pictures that are longer than their size in training, instead of the centre.
    pub random_crop: bool,
    /// How many parts there are to choose from.
    pub crop_variants: u32,
    /// Where latents and text states are kept from run to run.
    pub cache_dir: Option<PathBuf>,
    /// Optimiser steps.
    pub max_train_steps: u64,
    /// Samples per forward and device.
    pub train_batch_size: usize,
    /// Parts of all devices' batches that are computed at once, if they are of one size; 1 suits a GPU.
    pub batch_splits: usize,
    /// Forwards per optimiser step.
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shape of the learning rate after the warm-up.
    pub lr_scheduler: LearningRateKind,
    /// Steps of linear warm-up.
    pub lr_warmup_steps: u64,
    /// Weight decay of AdamW.
    pub adam_weight_decay: f64,
    /// Decay of AdamW's first moment.
    pub adam_beta1: f64,
    /// Decay of AdamW's second moment.
    pub adam_beta2: f64,
    /// Global norm that gradients are clipped to.
    pub max_grad_norm: f64,
    /// Decay of the moving average of the weights; 0 trains without one.
    pub ema_decay: f64,
    /// Gamma of min-SNR weighting; 0 weights all timesteps alike.
    pub snr_gamma: f64,
    /// Steps between checkpoints; 0 writes none.
    pub checkpointing_steps: u64,
    /// Checkpoints kept.
    pub checkpoints_total_limit: usize,
    /// Steps between sample grids; 0 paints none.
    pub validation_steps: u64,
    /// Pictures in a sample grid.
    pub num_validation_images: usize,
    /// Precision of the weights in the resulting folder.
    pub save_precision: SavePrecision,
    /// `latest`, or a checkpoint's folder.
    pub resume_from_checkpoint: Option<String>,
    /// Pretraining: steps of the autoencoder before the denoiser; of the decoder alone where a model is trained further.
    pub autoencoder_steps: u64,
    /// Pretraining: learning rate of the autoencoder.
    pub autoencoder_learning_rate: f64,
    /// Pretraining: side of the autoencoder's random crops.
    pub autoencoder_crop: u32,
    /// Alignment: what is minimised.
    pub objective: ObjectiveKind,
    /// Alignment: beta, the strength of the implicit regularisation, unless it is that of the objective's paper.
    pub beta: Option<f64>,
    /// CPO and DDSPO: how the losing gradient is balanced.
    pub stabilisation: StabilisationKind,
    /// CPO: lambda of `constant`.
    pub lambda: f64,
    /// Mu of `safeguard`, unless it is that of its paper.
    pub mu: Option<f64>,
    /// CPO: guidance scale s of the auxiliary model's targets.
    pub target_guidance: f64,
    /// CPO: what the two targets differ in. SFT: whether prompts name one attribute or all.
    pub granularity: Granularity,
    /// CPO: `dimension=weight` pairs; absent dimensions weigh 1.
    pub dimension_weights: Vec<String>,
    /// CPO: steps over which the number of leaves in a prompt grows from one to all; 0 starts with all.
    pub curriculum_steps: u64,
    /// Rank of the adapter that is trained instead of the denoiser itself; 0 trains the denoiser.
    pub lora_rank: usize,
    /// The adapter's terms are multiplied by alpha / rank; 0 takes the rank.
    pub lora_alpha: f64,
    /// Share of the channels that training leaves out of the adapter's terms.
    pub lora_dropout: f64,
    /// Without an adapter: parts of parameter names, such as `attn2`; only parameters with one of them are trained, all
    /// where there is none. With an adapter: ends of layer names, such as `to_q`; without any, the attention's layers.
    pub target_modules: Vec<String>,
    /// With an adapter: the type of the frozen weights on the device.
    pub base_precision: BasePrecision,
    /// Whether the denoiser's blocks are computed again for the gradients instead of being kept.
    pub gradient_checkpointing: bool,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            model: PathBuf::new(),
            auxiliary: PathBuf::new(),
            output_dir: PathBuf::from("out"),
            device: DeviceList::default(),
            seed: 0,
            size: 128,
            aspect_ratio_buckets: false,
            random_flip: false,
            random_crop: false,
            crop_variants: 4,
            cache_dir: None,
            max_train_steps: 1000,
            train_batch_size: 8,
            batch_splits: 2,
            gradient_accumulation_steps: 1,
            learning_rate: 1e-4,
            lr_scheduler: LearningRateKind::Cosine,
            lr_warmup_steps: 50,
            adam_weight_decay: 1e-2,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            max_grad_norm: 1.0,
            ema_decay: 0.0,
            snr_gamma: 5.0,
            checkpointing_steps: 500,
            checkpoints_total_limit: 2,
            validation_steps: 500,
            num_validation_images: 8,
            save_precision: SavePrecision::F32,
            resume_from_checkpoint: None,
            autoencoder_steps: 2000,
            autoencoder_learning_rate: 1e-3,
            autoencoder_crop: 64,
            objective: ObjectiveKind::Cpo,
            beta: None,
            stabilisation: StabilisationKind::NormRatio,
            lambda: 0.5,
            mu: None,
            target_guidance: 1.0,
            granularity: Granularity::Set,
            dimension_weights: Vec::new(),
            curriculum_steps: 0,
            lora_rank: 0,
            lora_alpha: 0.0,
            lora_dropout: 0.0,
            target_modules: Vec::new(),
            base_precision: BasePrecision::F32,
            gradient_checkpointing: false,
        }
    }
}

/// `--stabilisation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StabilisationKind {
    /// lambda = 1: the plain loss, which diverges.
    None,
    /// A fixed lambda below 1.
    Constant,
    /// Diffusion-SDPO's bound.
    Safeguard,
    /// |g_w| / |g_l|.
    NormRatio,
}

/// `--save-precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SavePrecision {
    /// 32 bits.
    F32,
    /// 16 bits: half the size, for sharing.
    F16,
}

impl From<SavePrecision> for Precision {
    fn from(precision: SavePrecision) -> Self {
        match precision {
            SavePrecision::F32 => Self::F32,
            SavePrecision::F16 => Self::F16,
        }
    }
}

/// `--granularity`: what the two targets of CPO differ in, and what the prompts of stage 1 name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// All positive against all negative attributes of the painting (the paper's prompts).
    Set,
    /// The positive sides of all active leaves, whichever side the painting shows, against their negative sides.
    Pairs,
    /// One active leaf, drawn at each step: its positive against its negative attribute.
    Leaf,
}

impl TrainOptions {
    /// Joins `defaults`, the TOML file at `config` and `flags`, the later ones winning.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the file, the line and the key, [`TrainError::Option`] a flag, and what it may be.
    pub fn resolve<F: Serialize>(
        defaults: &Self,
        config: Option<&Path>,
        flags: &F,
    ) -> Result<Self, TrainError> {
        let internal = |error: toml::ser::Error| TrainError::Config {
            path: PathBuf::from("<defaults>"),
            reason: error.to_string(),
        };
        // TOML has integers of 64 bits with a sign.
        let flags = toml::Table::try_from(flags)
            .map_err(|error| TrainError::Option(format!("a number is too large: {error}")))?;
        let mut table = toml::Table::try_from(defaults).map_err(internal)?;
        let mut of_file = toml::Table::new();
        let invalid =
            |reason: String| TrainError::Config { path: config.unwrap_or(Path::new("")).to_owned(), reason };
        if let Some(path) = config {
            let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
            // Parsed as options first: the message then has the line of an unknown key or a wrong type.
            toml::from_str::<Self>(&text).map_err(|error| invalid(error.to_string()))?;
            of_file = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
            table.extend(of_file.clone());
        }
        table.extend(flags.clone());
        let options: Self = table.try_into().map_err(|error: toml::de::Error| TrainError::Config {
            path: PathBuf::from("<flags>"),
            reason: error.to_string(),
        })?;
        match options.validate() {
            Ok(()) => Ok(options),
            Err((key, problem)) if of_file.contains_key(key) && !flags.contains_key(key) => {
                Err(invalid(format!("{key} {problem}")))
            }
            Err((key, problem)) => Err(TrainError::Option(format!("--{key} {problem}"))),
        }
    }

    /// The optimiser's part.
    pub fn adamw(&self) -> AdamWOptions {
        AdamWOptions {
            beta1: self.adam_beta1,
            beta2: self.adam_beta2,
            weight_decay: self.adam_weight_decay,
            max_grad_norm: self.max_grad_norm,
            ..AdamWOptions::default()
        }
    }

    /// The adapter to train, if one is.
    pub fn lora(&self) -> Option<LoraConfig> {
        let defaults = LoraConfig::default();
        (self.lora_rank > 0).then(|| LoraConfig {
            rank: self.lora_rank,
            alpha: if self.lora_alpha == 0.0 { self.lora_rank as f64 } else { self.lora_alpha },
            target_modules: if self.target_modules.is_empty() {
                defaults.target_modules
            } else {
                self.target_modules.clone()
            },
            dropout: self.lora_dropout,
        })
    }

    /// With the beta and mu of the papers where none is given. Those on pairs have other ones for SDXL, which has two text
    /// encoders; sources are with the objectives in `atelier-core`.
    pub(crate) fn with_constants_of_papers(&self, two_text_encoders: bool) -> Self {
        let beta = self.beta.unwrap_or_else(|| self.objective.beta(two_text_encoders));
        let mu = self.mu.unwrap_or(if two_text_encoders { 0.6 } else { MU });
        Self { beta: Some(beta), mu: Some(mu), ..self.clone() }
    }

    /// Beta, or that of the objective's paper for models with one text encoder.
    pub fn beta(&self) -> f64 {
        self.beta.unwrap_or_else(|| self.objective.beta(false))
    }

    /// Mu, or that of its paper for models with one text encoder.
    fn mu(&self) -> f64 {
        self.mu.unwrap_or(MU)
    }

    /// The stabilisation with its parameter.
    pub fn stabilisation(&self) -> Stabilisation {
        match self.objective {
            // These are what they are by their lambda.
            ObjectiveKind::DiffusionDpo | ObjectiveKind::DiffusionNpo => return Stabilisation::None,
            ObjectiveKind::DiffusionSdpo => return Stabilisation::Safeguard { mu: self.mu() },
            _ => {}
        }
        match self.stabilisation {
            StabilisationKind::None => Stabilisation::None,
            StabilisationKind::Constant => Stabilisation::Constant { lambda: self.lambda },
            StabilisationKind::Safeguard => Stabilisation::Safeguard { mu: self.mu() },
            StabilisationKind::NormRatio => Stabilisation::NormRatio,
        }
    }
}

/// Whole numbers as TOML has them, which joins flags and files.
pub fn whole<T: TryFrom<u64>>() -> RangedU64ValueParser<T> {
    RangedU64ValueParser::new().range(..=i64::MAX as u64)
}

/// The same options as flags, all optional; see [`TrainOptions`] for what each does.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainFlags {
    /// Imagefolder of paintings: metadata.jsonl, .csv or .parquet (file_name, text, positive, negative), in it or in `train/`
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Diffusers folder of the model to start from; pretraining starts from nothing without it
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Where results, checkpoints and metrics go: a folder without another run in it; other files in it stay
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_dir: Option<PathBuf>,
    /// Where to compute: auto, cpu, wgpu, vulkan or cuda; a GPU has an index, as `wgpu:1`. Several, as `wgpu:0,wgpu:1`, share
    /// every step: each takes a batch of --train-batch-size, and the first keeps the weights and the optimiser
    #[arg(long, value_name = "DEVICES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceList>,
    /// Seed of everything that is drawn
    #[arg(long, value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Side of the square pictures, in pixels
    #[arg(long, value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Train pictures at sizes near their own shapes, with the area of --size squared, instead of at squares. A batch has
    /// pictures of one size; those that do not fill one wait for the next epoch
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Pictures")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aspect_ratio_buckets: Option<bool>,
    /// Mirror pictures at random, but not where the caption names left or right
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Pictures")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_flip: Option<bool>,
    /// Take one of --crop-variants parts of a picture at random, where it is longer than its size in training, instead of
    /// the centre. Whatever takes more than a twentieth of a picture away also takes its attributes of composition, and
    /// others that are about the frame
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Pictures")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_crop: Option<bool>,
    /// Parts of a picture to choose from, evenly spread from end to end; the latents of each, and of its mirror image with
    /// --random-flip, are computed once
    #[arg(long, value_name = "COUNT", help_heading = "Pictures")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop_variants: Option<u32>,
    /// Keep latents and text states in this folder, for later runs with the same pictures and model as well; memory then
    /// holds none of them
    #[arg(long, value_name = "DIR", help_heading = "Pictures")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
    /// Optimiser steps
    #[arg(long, value_name = "STEPS", help_heading = "Optimisation", value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_train_steps: Option<u64>,
    /// Samples per forward, on every device
    #[arg(long, value_name = "SAMPLES", help_heading = "Optimisation", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_batch_size: Option<usize>,
    /// Parts of a batch that are computed at once on the CPU
    #[arg(long, value_name = "PARTS", help_heading = "Optimisation", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_splits: Option<usize>,
    /// Forwards per optimiser step
    #[arg(long, value_name = "FORWARDS", help_heading = "Optimisation", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_accumulation_steps: Option<usize>,
    /// Peak learning rate
    #[arg(long, value_name = "RATE", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Shape of the learning rate after the warm-up
    #[arg(long, value_enum, help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_scheduler: Option<LearningRateKind>,
    /// Steps of linear warm-up
    #[arg(long, value_name = "STEPS", help_heading = "Optimisation", value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_warmup_steps: Option<u64>,
    /// Weight decay of AdamW
    #[arg(long, value_name = "DECAY", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_weight_decay: Option<f64>,
    /// Decay of AdamW's first moment
    #[arg(long, value_name = "DECAY", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_beta1: Option<f64>,
    /// Decay of AdamW's second moment
    #[arg(long, value_name = "DECAY", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_beta2: Option<f64>,
    /// Global norm that gradients are clipped to
    #[arg(long, value_name = "NORM", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_grad_norm: Option<f64>,
    /// Compute every block of the denoiser again for the gradients instead of keeping what happened in it: less memory, by
    /// the price of a second forward pass
    #[arg(long, help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
    /// Decay of the moving average of the weights (0 = none)
    #[arg(long, value_name = "DECAY", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// Train a LoRA of this rank instead of the denoiser itself (0 = the denoiser)
    #[arg(long, value_name = "RANK", help_heading = "LoRA", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_rank: Option<usize>,
    /// The LoRA is multiplied by alpha / rank (0 = as the rank)
    #[arg(long, value_name = "ALPHA", help_heading = "LoRA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_alpha: Option<f64>,
    /// Share of the channels that training leaves out of the LoRA
    #[arg(long, value_name = "RATE", help_heading = "LoRA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_dropout: Option<f64>,
    /// Type of the frozen weights under a LoRA on the device. A step with gradients still needs them in f32 at once, unless
    /// --gradient-checkpointing is set as well
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "LoRA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_precision: Option<BasePrecision>,
    /// Train only parameters whose name contains this, such as `attn2`, all without it; with --lora-rank, the layers
    /// whose name ends in this, such as `to_q`, without it those of the attention; repeatable
    #[arg(long = "target-module", value_name = "NAME", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_modules: Vec<String>,
    /// Gamma of min-SNR weighting (0 = all timesteps alike)
    #[arg(long, value_name = "GAMMA", help_heading = "Optimisation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snr_gamma: Option<f64>,
    /// Steps between checkpoints (0 = none)
    #[arg(long, value_name = "STEPS", help_heading = "Checkpoints and samples", value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointing_steps: Option<u64>,
    /// Checkpoints kept
    #[arg(long, value_name = "COUNT", help_heading = "Checkpoints and samples", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoints_total_limit: Option<usize>,
    /// Steps between sample grids (0 = none)
    #[arg(long, value_name = "STEPS", help_heading = "Checkpoints and samples", value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_steps: Option<u64>,
    /// Pictures in a sample grid
    #[arg(long, value_name = "COUNT", help_heading = "Checkpoints and samples", value_parser = whole::<usize>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_validation_images: Option<usize>,
    /// Precision of the weights in the resulting folder
    #[arg(long, value_enum, help_heading = "Checkpoints and samples")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_precision: Option<SavePrecision>,
    /// Continue: `latest` (also when the flag stands alone), or a checkpoint's folder, which may be that of another
    /// --output-dir. Model, LoRA and stage must be those of the checkpoint
    #[arg(
        long,
        visible_alias = "resume",
        value_name = "CHECKPOINT",
        num_args = 0..=1,
        default_missing_value = "latest",
        help_heading = "Checkpoints and samples"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_from_checkpoint: Option<String>,
}

/// Flags of pretraining alone.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PretrainFlags {
    /// Steps of the autoencoder before the denoiser; with `--model`, of its decoder alone
    #[arg(long, value_name = "STEPS", help_heading = "Autoencoder", value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoencoder_steps: Option<u64>,
    /// Learning rate of the autoencoder
    #[arg(long, value_name = "RATE", help_heading = "Autoencoder")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoencoder_learning_rate: Option<f64>,
    /// Side of the autoencoder's random crops
    #[arg(long, value_name = "PIXELS", help_heading = "Autoencoder")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoencoder_crop: Option<u32>,
}

/// What alignment minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// Complex Preference Optimization: targets of the auxiliary model at one noisy picture
    #[default]
    Cpo,
    /// Denoising of the pictures that have more positive than negative attributes
    Sft,
    /// Pairs of pictures of one caption (arXiv 2311.12908)
    DiffusionDpo,
    /// Diffusion-DPO with the safeguard of the winning picture (arXiv 2511.03317)
    DiffusionSdpo,
    /// Pairs of pictures, with targets of the auxiliary model (arXiv 2512.23426)
    Ddspo,
    /// Single pictures, liked or not (arXiv 2404.04465)
    DiffusionKto,
    /// Pairs without a reference (arXiv 2406.06424)
    Mapo,
    /// A negative model for `atelier sample --negative-model`: Diffusion-DPO the wrong way round (arXiv 2505.11245)
    DiffusionNpo,
}

impl ObjectiveKind {
    /// Its name in options, checkpoints and progress bars.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpo => "cpo",
            Self::Sft => "sft",
            Self::DiffusionDpo => "diffusion-dpo",
            Self::DiffusionSdpo => "diffusion-sdpo",
            Self::Ddspo => "ddspo",
            Self::DiffusionKto => "diffusion-kto",
            Self::Mapo => "mapo",
            Self::DiffusionNpo => "diffusion-npo",
        }
    }

    /// Whether targets come from an auxiliary model.
    pub fn has_auxiliary(self) -> bool {
        matches!(self, Self::Cpo | Self::Ddspo)
    }

    /// The beta of its paper.
    fn beta(self, two_text_encoders: bool) -> f64 {
        match self {
            Self::DiffusionKto => 1000.0,
            Self::Mapo => 0.1,
            _ if two_text_encoders => 5000.0,
            _ => 2000.0,
        }
    }
}

/// Flags of stage 1 alone.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SftFlags {
    /// With `leaf` every prompt names one active attribute, drawn at each step, as explanations ask for them; otherwise it
    /// names all
    #[arg(long, value_enum, help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granularity: Option<Granularity>,
}

/// Flags of alignment alone.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlignFlags {
    /// What is minimised
    #[arg(long, value_enum, help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<ObjectiveKind>,
    /// Diffusers folder or LoRA of the auxiliary model, from `atelier train sft`; for CPO and DDSPO
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auxiliary: Option<PathBuf>,
    /// Strength of the implicit regularisation toward the reference [default: that of the objective's paper]
    #[arg(long, visible_alias = "beta-dpo", help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// How CPO and DDSPO balance the losing gradient
    #[arg(long, value_enum, help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stabilisation: Option<StabilisationKind>,
    /// Lambda of `--stabilisation constant`
    #[arg(long, help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Mu of `--stabilisation safeguard` and of Diffusion-SDPO [default: that of its paper]
    #[arg(long, help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mu: Option<f64>,
    /// Guidance scale of the auxiliary model's targets (1 = none)
    #[arg(long, value_name = "SCALE", help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_guidance: Option<f64>,
    /// What the two targets differ in
    #[arg(long, value_enum, help_heading = "Preference")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granularity: Option<Granularity>,
    /// Weight of a dimension, such as `color-relations=2`; repeatable, the others weigh 1
    #[arg(long = "dimension-weight", value_name = "DIMENSION=WEIGHT", help_heading = "Preference")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dimension_weights: Vec<String>,
    /// Steps over which the leaves in a prompt grow from one to all (0 = all at once)
    #[arg(long, value_name = "STEPS", help_heading = "Preference", value_parser = whole::<u64>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curriculum_steps: Option<u64>,
}
