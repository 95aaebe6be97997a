//! How a picture was made, as a text in its file.

use crate::{painting::PaintingOptions, schedulers::SchedulerKind};
use std::fmt;

/// How a picture was made. Displayed in the form that AUTOMATIC1111's web UI began and most programs read, under the PNG
/// keyword [`GenerationParameters::KEYWORD`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerationParameters<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// How it was denoised.
    pub options: &'a PaintingOptions,
    /// Whether the model is distilled with guidance: its scale is written as the web UI's successor Forge writes it.
    pub is_distilled: bool,
    /// The seed.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// The model's name.
    pub model: &'a str,
}

impl GenerationParameters<'_> {
    /// The keyword of the PNG text.
    pub const KEYWORD: &'static str = "parameters";
}

impl fmt::Display for GenerationParameters<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prompt, options, seed, size: [width, height], model, .. } = self;
        let PaintingOptions { negative_prompt, steps, guidance_scale, true_cfg_scale, scheduler } = options;
        formatter.write_str(prompt)?;
        if !negative_prompt.is_empty() {
            write!(formatter, "\nNegative prompt: {negative_prompt}")?;
        }
        let sampler = match scheduler {
            SchedulerKind::Ddpm => "DDPM",
            SchedulerKind::Ddim => "DDIM",
            SchedulerKind::Euler | SchedulerKind::FlowMatchEuler => "Euler",
            SchedulerKind::DpmSolverMultistep => "DPM++ 2M",
        };
        write!(formatter, "\nSteps: {steps}, Sampler: {sampler}, ")?;
        if self.is_distilled {
            write!(formatter, "CFG scale: {true_cfg_scale}, Distilled CFG Scale: {guidance_scale}")?;
        } else {
            write!(formatter, "CFG scale: {guidance_scale}")?;
        }
        write!(formatter, ", Seed: {seed}, Size: {width}x{height}, Model: {model}")
    }
}
