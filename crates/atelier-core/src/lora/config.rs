use super::LoraError;
use serde::{Deserialize, Serialize};

/// What an adapter is to look like; the names are those of peft's `LoraConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Channels of the bottleneck.
    pub rank: usize,
    /// The terms are multiplied by `alpha / rank`.
    pub alpha: f64,
    /// A layer gets a term if its name ends in one of these, at a dot.
    pub target_modules: Vec<String>,
    /// Share of the input channels that training leaves out of each term, anew at every step.
    pub dropout: f64,
}

impl Default for LoraConfig {
    /// The attention's projections, as diffusers' training scripts choose them.
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 4.0,
            target_modules: ["to_q", "to_k", "to_v", "to_out.0"].map(str::to_owned).to_vec(),
            dropout: 0.0,
        }
    }
}

impl LoraConfig {
    /// Whether the layer `name` gets a term.
    pub fn targets(&self, name: &str) -> bool {
        self.target_modules.iter().any(|target| {
            name.strip_suffix(target.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// # Errors
    /// [`LoraError::Config`] says which value is out of range.
    pub fn check(&self) -> Result<(), LoraError> {
        let problem = if self.rank == 0 {
            "the rank of a LoRA must be at least 1".to_owned()
        } else if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            format!("the alpha of a LoRA must be positive, not {}", self.alpha)
        } else if !(0.0..1.0).contains(&self.dropout) {
            format!("the dropout of a LoRA must be in [0, 1), not {}", self.dropout)
        } else if self.target_modules.is_empty() {
            "a LoRA needs at least one target module, such as to_q".to_owned()
        } else {
            return Ok(());
        };
        Err(LoraError::Config(problem))
    }
}
