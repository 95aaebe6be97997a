//! Values that options cannot have.

use super::TrainOptions;
use crate::{base_precision::BasePrecision, limits};
use atelier_core::painting::PaintingOptions;
use std::ops::Bound::{self, Excluded, Included};

/// An option by its name in files, with its value and where that must lie.
type Number = (&'static str, f64, (Bound<f64>, Bound<f64>));

/// More steps than any run takes.
const MOST_STEPS: f64 = 1e9;
/// More than any device takes at once.
const MOST_SAMPLES: f64 = 65536.0;
/// Beyond it a step of AdamW throws every weight away: each moves by the learning rate.
const MOST_RATE: f64 = 10.0;

impl TrainOptions {
    /// Every number, so that none is forgotten; a decay or a rate beside its range is a slip of the hand, and NaN in one
    /// would be NaN in all weights.
    fn numbers(&self) -> Vec<Number> {
        let from = |least: f64, most: f64| (Included(least), Included(most));
        let above = |least: f64, most: f64| (Excluded(least), Included(most));
        let share = (Included(0.0), Excluded(1.0));
        let scales = PaintingOptions::SCALES;
        let mut numbers = vec![
            ("seed", self.seed as f64, (Included(0.0), Excluded((1_u64 << 63) as f64))),
            ("crop-variants", f64::from(self.crop_variants), from(2.0, 64.0)),
            ("max-train-steps", self.max_train_steps as f64, from(1.0, MOST_STEPS)),
            ("train-batch-size", self.train_batch_size as f64, from(1.0, MOST_SAMPLES)),
            ("batch-splits", self.batch_splits as f64, from(1.0, MOST_SAMPLES)),
            ("gradient-accumulation-steps", self.gradient_accumulation_steps as f64, from(1.0, MOST_SAMPLES)),
            ("learning-rate", self.learning_rate, above(0.0, MOST_RATE)),
            ("lr-warmup-steps", self.lr_warmup_steps as f64, from(0.0, MOST_STEPS)),
            ("adam-weight-decay", self.adam_weight_decay, from(0.0, 100.0)),
            ("adam-beta1", self.adam_beta1, share),
            ("adam-beta2", self.adam_beta2, share),
            ("max-grad-norm", self.max_grad_norm, above(0.0, 1e9)),
            ("ema-decay", self.ema_decay, share),
            ("snr-gamma", self.snr_gamma, from(0.0, 1e6)),
            ("checkpointing-steps", self.checkpointing_steps as f64, from(0.0, MOST_STEPS)),
            ("checkpoints-total-limit", self.checkpoints_total_limit as f64, from(1.0, MOST_STEPS)),
            ("validation-steps", self.validation_steps as f64, from(0.0, MOST_STEPS)),
            ("num-validation-images", self.num_validation_images as f64, from(1.0, 1024.0)),
            ("autoencoder-steps", self.autoencoder_steps as f64, from(0.0, MOST_STEPS)),
            ("autoencoder-learning-rate", self.autoencoder_learning_rate, above(0.0, MOST_RATE)),
            ("lambda", self.lambda, share),
            ("target-guidance", self.target_guidance, from(*scales.start(), *scales.end())),
            ("curriculum-steps", self.curriculum_steps as f64, from(0.0, MOST_STEPS)),
            ("lora-rank", self.lora_rank as f64, from(0.0, 4096.0)),
            ("lora-alpha", self.lora_alpha, from(0.0, 1e6)),
            ("lora-dropout", self.lora_dropout, share),
        ];
        numbers.extend(self.beta.map(|beta| ("beta", beta, above(0.0, 1e9))));
        numbers.extend(self.mu.map(|mu| ("mu", mu, above(0.0, 1.0))));
        numbers
    }

    /// The first option that has an impossible value, and what is wrong with it.
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        for (key, value, bounds) in self.numbers() {
            if let Some(problem) = limits::problem(value, bounds) {
                return Err((key, problem));
            }
        }
        for (key, side) in [("size", self.size), ("autoencoder-crop", self.autoencoder_crop)] {
            let (least, most) = (16, 32768);
            if !(least..=most).contains(&side) || !side.is_multiple_of(8) {
                return Err((key, format!("must be a multiple of 8, from {least} to {most}, not {side}")));
            }
        }
        if self.base_precision != BasePrecision::F32 && self.lora_rank == 0 {
            let problem = "is for weights that are not trained: add --lora-rank, or leave it at f32";
            return Err(("base-precision", problem.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TrainError;
    use std::fs;

    /// The message of the options in a file, which must be wrong.
    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.toml");
        fs::write(&path, text).expect("written");
        let none = std::collections::BTreeMap::<String, f64>::new();
        let error = TrainOptions::resolve(&TrainOptions::default(), Some(&path), &none).expect_err(text);
        assert!(matches!(error, TrainError::Config { .. }), "{error:?}");
        error.to_string()
    }

    #[test]
    fn no_number_of_a_file_may_be_nan_infinite_or_absurd() {
        let defaults = toml::Table::try_from(TrainOptions::default()).expect("a table");
        let mut checked = 0;
        for (key, value) in defaults {
            let bad: &[&str] = match value {
                toml::Value::Float(_) => &["nan", "inf", "-inf", "1e300", "-1.0"],
                toml::Value::Integer(_) => &["-1", "9000000000000000000"],
                _ => continue,
            };
            for bad in bad.iter().filter(|bad| !(key == "seed" && bad.len() > 2)) {
                // Scales of guidance may be negative.
                if (key.as_str(), *bad) == ("target-guidance", "-1.0") {
                    continue;
                }
                let message = refused(&format!("{key} = {bad}\n"));
                assert!(message.contains("run.toml") && message.contains(&key), "{key} = {bad}: {message}");
                checked += 1;
            }
        }
        for key in ["beta", "mu"] {
            for bad in ["nan", "inf", "0.0", "-1.0", "1e300"] {
                assert!(refused(&format!("{key} = {bad}\n")).contains(key), "{key} = {bad}");
                checked += 1;
            }
        }
        assert!(checked > 80, "{checked}");
    }

    #[test]
    fn flags_are_named_as_flags() {
        let options = TrainOptions { mu: Some(0.0), ..TrainOptions::default() };
        let none = std::collections::BTreeMap::<String, f64>::new();
        let message = TrainOptions::resolve(&options, None, &none).expect_err("mu").to_string();
        assert_eq!(message, "--mu must be above 0 and at most 1, not 0");
        let flags = std::collections::BTreeMap::from([("learning-rate".to_owned(), f64::NAN)]);
        let message =
            TrainOptions::resolve(&TrainOptions::default(), None, &flags).expect_err("NaN").to_string();
        assert_eq!(message, "--learning-rate must be above 0 and at most 10, not NaN");
    }

    #[test]
    fn usual_options_are_taken() {
        assert_eq!(TrainOptions::default().validate(), Ok(()));
        let unusual = TrainOptions {
            size: 32768,
            adam_beta1: 0.0,
            target_guidance: -1.0,
            mu: Some(1.0),
            beta: Some(5000.0),
            lora_rank: 4096,
            ..TrainOptions::default()
        };
        assert_eq!(unusual.validate(), Ok(()));
    }
}
