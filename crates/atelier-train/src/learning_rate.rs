//! Learning rates over the steps of a run, with the names and formulas of diffusers' `get_scheduler`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum LearningRateKind {
    /// Stays at the peak.
    #[serde(rename = "constant_with_warmup", alias = "constant")]
    #[value(name = "constant_with_warmup", alias = "constant")]
    Constant,
    /// Half a cosine down to 0.
    #[default]
    Cosine,
    /// A straight line down to 0.
    Linear,
}

/// Linear warm-up from 0 to `base`, then `kind` until `total_steps`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearningRateSchedule {
    /// The peak.
    pub base: f64,
    /// Steps of the warm-up; 0 starts at the peak.
    pub warmup_steps: u64,
    /// Steps of the whole run, the warm-up among them.
    pub total_steps: u64,
    /// The shape after the warm-up.
    pub kind: LearningRateKind,
}

impl LearningRateSchedule {
    /// The learning rate at `step`, in `[0, base]`.
    ///
    /// The formulas are those of `transformers.optimization` and `diffusers.optimization`; after `total_steps` the value
    /// stays at the end of its curve (there, a cosine rises again).
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.base * step as f64 / self.warmup_steps as f64;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = ((step - self.warmup_steps) as f64 / decay_steps as f64).min(1.0);
        let factor = match self.kind {
            LearningRateKind::Constant => 1.0,
            LearningRateKind::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            LearningRateKind::Linear => 1.0 - progress,
        };
        self.base * factor
    }

    /// Whether no step of the run has a rate above 0, steps being counted from 1 as in the training loop: so it is with a
    /// single step after which a cosine or a line ends.
    pub fn trains_nothing(&self) -> bool {
        self.total_steps > 0 && (1..=self.total_steps).all(|step| self.at(step) == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [LearningRateKind; 3] =
        [LearningRateKind::Constant, LearningRateKind::Cosine, LearningRateKind::Linear];

    #[test]
    fn values_are_those_of_diffusers() {
        // get_scheduler(name, optimizer, num_warmup_steps=10, num_training_steps=110), base 2e-4, worked by hand:
        // cosine at 35: 0.5 (1 + cos(pi / 4)); linear at 35: 75 / 100.
        let cases = [
            (LearningRateKind::Constant, [0.0, 1e-4, 2e-4, 2e-4, 2e-4]),
            (LearningRateKind::Cosine, [0.0, 1e-4, 2e-4, 1e-4 * (1.0 + 0.5_f64.sqrt()), 0.0]),
            (LearningRateKind::Linear, [0.0, 1e-4, 2e-4, 1.5e-4, 0.0]),
        ];
        for (kind, expected) in cases {
            let schedule = LearningRateSchedule { base: 2e-4, warmup_steps: 10, total_steps: 110, kind };
            for (step, value) in [0, 5, 10, 35, 110].into_iter().zip(expected) {
                // A few roundings of numbers near 1e-4.
                assert!(
                    (schedule.at(step) - value).abs() < 1e-18,
                    "{kind:?} at {step}: {}",
                    schedule.at(step)
                );
            }
        }
    }

    #[test]
    fn names_are_those_of_diffusers() {
        for (kind, name) in KINDS.into_iter().zip(["constant_with_warmup", "cosine", "linear"]) {
            assert_eq!(serde_json::to_value(kind).expect("a name"), name);
            assert_eq!(LearningRateKind::from_str(name, false), Ok(kind));
        }
        assert_eq!(LearningRateKind::from_str("constant", false), Ok(LearningRateKind::Constant));
    }

    #[test]
    fn a_single_step_at_the_end_of_a_curve_trains_nothing() {
        let schedule = |total_steps, warmup_steps, kind| LearningRateSchedule {
            base: 1e-3,
            warmup_steps,
            total_steps,
            kind,
        };
        assert!(schedule(1, 0, LearningRateKind::Cosine).trains_nothing());
        assert!(schedule(1, 0, LearningRateKind::Linear).trains_nothing());
        assert!(!schedule(1, 0, LearningRateKind::Constant).trains_nothing());
        assert!(!schedule(1, 50, LearningRateKind::Cosine).trains_nothing());
        assert!(!schedule(2, 0, LearningRateKind::Cosine).trains_nothing());
    }

    fn schedules() -> impl Strategy<Value = LearningRateSchedule> {
        (1e-8..1.0_f64, 0..500_u64, 1..5000_u64, 0..KINDS.len()).prop_map(
            |(base, warmup_steps, total_steps, kind)| LearningRateSchedule {
                base,
                warmup_steps,
                total_steps,
                kind: KINDS[kind],
            },
        )
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(schedule in schedules(), step in 0..10_000_u64) {
            let value = schedule.at(step);
            prop_assert!((0.0..=schedule.base).contains(&value), "{value}");
        }

        #[test]
        fn rises_in_the_warm_up_and_never_after(schedule in schedules(), step in 0..10_000_u64) {
            let (now, next) = (schedule.at(step), schedule.at(step + 1));
            if step + 1 < schedule.warmup_steps {
                prop_assert!(now < next);
            } else if step >= schedule.warmup_steps {
                prop_assert!(now >= next);
            }
        }

        #[test]
        fn ends_where_its_kind_says(schedule in schedules(), beyond in 0..100_u64) {
            let end = schedule.at(schedule.total_steps.max(schedule.warmup_steps + 1) + beyond);
            let expected = if schedule.kind == LearningRateKind::Constant { schedule.base } else { 0.0 };
            // cos(pi) is -1 to the last bit, so the end is exact.
            prop_assert_eq!(end, expected);
        }
    }
}
