//! How a picture was made, as a text in its file.

use crate::schedulers::SchedulerKind;
use std::fmt;

/// How a picture was made. Displayed in the form that AUTOMATIC1111's web UI began and most programs read, under the PNG
/// keyword [`GenerationParameters::KEYWORD`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerationParameters<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// What guidance led away from; empty for nothing in particular.
    pub negative_prompt: &'a str,
    /// Denoising steps.
    pub steps: usize,
    /// The sampler.
    pub scheduler: SchedulerKind,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f64,
    /// Of models that are distilled with guidance, written as the web UI's successor Forge writes it.
    pub distilled_guidance_scale: Option<f64>,
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
        let Self { prompt, steps, guidance_scale, seed, size: [width, height], model, .. } = self;
        formatter.write_str(prompt)?;
        if !self.negative_prompt.is_empty() {
            write!(formatter, "\nNegative prompt: {}", self.negative_prompt)?;
        }
        let sampler = match self.scheduler {
            SchedulerKind::Ddpm => "DDPM",
            SchedulerKind::Ddim => "DDIM",
            SchedulerKind::Euler | SchedulerKind::FlowMatchEuler => "Euler",
            SchedulerKind::DpmSolverMultistep => "DPM++ 2M",
        };
        write!(formatter, "\nSteps: {steps}, Sampler: {sampler}, CFG scale: {guidance_scale}")?;
        if let Some(scale) = self.distilled_guidance_scale {
            write!(formatter, ", Distilled CFG Scale: {scale}")?;
        }
        write!(formatter, ", Seed: {seed}, Size: {width}x{height}, Model: {model}")
    }
}
