//! How a picture was made, as a text in its file.

#[cfg(test)]
mod tests;

use crate::{painting::PaintingOptions, schedulers::SchedulerKind};
use std::{borrow::Cow, fmt};

/// How a picture was made: all that paints it again. Displayed in the form that AUTOMATIC1111's web UI began and most
/// programs read, under the PNG keyword [`GenerationParameters::KEYWORD`].
///
/// The prompt comes first, with a tag `<lora:NAME:STRENGTH>` for each LoRA; a line `Negative prompt: …` if there is one; and
/// at last one line of `Key: value` pairs, of which those that other programs know have their names. Whatever a name or a
/// prompt contains, that web UI's `parse_generation_parameters` finds the same pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerationParameters<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// How it was denoised.
    pub options: &'a PaintingOptions,
    /// Whether the model is distilled with guidance: its scale is written as the web UI's successor Forge writes it.
    pub is_distilled: bool,
    /// Last layers of the text encoder that were left out. The web UI counts from the last layer, which is its 1.
    pub clip_skip: usize,
    /// The seed.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// What painted it.
    pub models: &'a ModelNames,
    /// The initial noise, where it is not the seed's.
    pub initial_latents: Option<&'a InitialLatents>,
}

/// The models that paint a picture, by the names of their files and folders.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelNames {
    /// The model.
    pub model: String,
    /// The model that gave the parts which that one lacks, unless it is the small painter.
    pub base: Option<String>,
    /// The LoRAs on it, in their order.
    pub loras: Vec<LoraUse>,
    /// The model, or the LoRA, that answers the negative prompt, where another one does.
    pub negative_model: Option<String>,
}

/// A LoRA on a model.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraUse {
    /// Its name.
    pub name: String,
    /// How strong it is.
    pub strength: f64,
    /// The beginning of the SHA-256 of its weights, as other programs know the file by it.
    pub hash: String,
}

/// Initial noise from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct InitialLatents {
    /// The file's name.
    pub file: String,
    /// The beginning of the SHA-256 of its weights.
    pub hash: String,
    /// Which of its rows, from 0.
    pub row: usize,
}

impl GenerationParameters<'_> {
    /// The keyword of the PNG text.
    pub const KEYWORD: &'static str = "parameters";

    /// The pairs of the last line, in the order of other programs.
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let PaintingOptions { steps, guidance_scale, true_cfg_scale, scheduler, .. } = self.options;
        let sampler = match scheduler {
            SchedulerKind::Ddpm => "DDPM",
            SchedulerKind::Ddim => "DDIM",
            SchedulerKind::Euler | SchedulerKind::FlowMatchEuler => "Euler",
            SchedulerKind::DpmSolverMultistep => "DPM++ 2M",
        };
        let mut pairs = vec![("Steps", steps.to_string()), ("Sampler", sampler.to_owned())];
        if self.is_distilled {
            pairs.push(("CFG scale", true_cfg_scale.to_string()));
            pairs.push(("Distilled CFG Scale", guidance_scale.to_string()));
        } else {
            pairs.push(("CFG scale", guidance_scale.to_string()));
        }
        let [width, height] = self.size;
        pairs.push(("Seed", self.seed.to_string()));
        pairs.push(("Size", format!("{width}x{height}")));
        pairs.push(("Model", self.models.model.clone()));
        pairs.extend(self.models.base.clone().map(|base| ("Base model", base)));
        if self.clip_skip > 0 {
            pairs.push(("Clip skip", (self.clip_skip + 1).to_string()));
        }
        pairs.extend(self.models.negative_model.clone().map(|model| ("Negative model", model)));
        if let Some(InitialLatents { file, hash, row }) = self.initial_latents {
            pairs.push(("Initial latents", file.clone()));
            pairs.push(("Initial latents hash", hash.clone()));
            pairs.push(("Initial latents row", row.to_string()));
        }
        let (loras, names) = (&self.models.loras, self.models.tag_names());
        if !loras.is_empty() {
            let hashes = names.iter().zip(loras).map(|(name, lora)| format!("{name}: {}", lora.hash));
            pairs.push(("Lora hashes", hashes.collect::<Vec<_>>().join(", ")));
        }
        let exact: Vec<&str> = loras.iter().map(|lora| lora.name.as_str()).collect();
        if exact != names {
            pairs.push(("Lora names", serde_json::json!(exact).to_string()));
        }
        pairs
    }
}

impl ModelNames {
    /// The LoRAs' names as they can stand in a tag and in a list of hashes; no two are alike, unless they are of one file.
    fn tag_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(self.loras.len());
        for lora in &self.loras {
            let breaks = |character: char| "<>:,\"\\".contains(character) || character.is_control();
            let plain = lora.name.trim().replace(breaks, "_");
            let is_taken = |name: &str| {
                names.iter().zip(&self.loras).any(|(taken, other)| taken == name && other.hash != lora.hash)
            };
            let numbered = (2..).map(|number| format!("{plain}_{number}"));
            let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !is_taken(name));
            names.push(free.unwrap_or(plain));
        }
        names
    }
}

impl fmt::Display for GenerationParameters<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.models.tag_names();
        let tags = names
            .iter()
            .zip(&self.models.loras)
            .map(|(name, lora)| format!("<lora:{name}:{}>", lora.strength));
        let parts: Vec<String> =
            [as_prompt(self.prompt)].into_iter().filter(|it| !it.is_empty()).chain(tags).collect();
        formatter.write_str(&parts.join(" "))?;
        let negative = as_prompt(&self.options.negative_prompt);
        if !negative.is_empty() {
            write!(formatter, "\nNegative prompt: {negative}")?;
        }
        let pairs = self.pairs();
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key}: {}", quoted(value))).collect();
        write!(formatter, "\n{}", pairs.join(", "))
    }
}

/// A prompt that no reader takes for something else. Readers know where a prompt ends by `Negative prompt:` and `Steps:`;
/// with a space before the colon, a prompt's own ones are the same words to a text encoder, and prompt to a reader. Lines
/// lose what readers take away: space at their ends.
fn as_prompt(prompt: &str) -> String {
    let lines = prompt.lines().map(|line| line.replace(char::is_control, " ").trim().to_owned());
    let text = lines.collect::<Vec<_>>().join("\n");
    text.trim().replace("Negative prompt:", "Negative prompt :").replace("Steps:", "Steps :")
}

/// `value` as the web UI's `quote` writes it: as JSON, where readers would see an end in it otherwise.
fn quoted(value: &str) -> Cow<'_, str> {
    let breaks = |character: char| ",:\"".contains(character) || character.is_control();
    if value.contains(breaks) || value.trim() != value {
        Cow::Owned(serde_json::Value::from(value).to_string())
    } else {
        Cow::Borrowed(value)
    }
}
