//! Which sampler a model is painted with, and how it is configured.

use super::{
    DiffusionConfig, SchedulerConfig, SchedulerError, SchedulerKind, SchedulerWarning, TimestepSpacing,
    class::{self, Process, Standing},
    config::{Neutral, not_neutral},
    ddpm, dpm_solver_multistep, euler_discrete, flow_match_config,
    from_config::PREDICT_EPSILON,
};

/// What a pipeline of diffusers changes of the schedulers that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineRules {
    /// Nothing.
    Unchanged,
    /// `StableDiffusionPipeline` sets a `steps_offset` other than 1 to 1, and `clip_sample` to false: configurations of
    /// 2022 lack the keys, and the classes' defaults do not suit Stable Diffusion.
    StableDiffusion,
}

/// A sampler, and where it departs from what the model's folder says.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerChoice {
    /// The sampler.
    pub kind: SchedulerKind,
    /// Its configuration.
    pub config: SchedulerConfig,
    /// What somebody who paints should know.
    pub warnings: Vec<SchedulerWarning>,
}

/// Keys that say how a class goes from noise to picture: another sampler goes another way in any case, and can do without.
/// All other keys say what the model was trained on.
const OF_THE_WAY: [&str; 13] = [
    "algorithm_type",
    "final_sigmas_type",
    "interpolation_type",
    "invert_sigmas",
    "lambda_min_clipped",
    "shift_terminal",
    "solver_order",
    "solver_type",
    "stochastic_sampling",
    "use_beta_sigmas",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
];

impl SchedulerError {
    /// Whether another sampler does without what is refused, as it only says how the model's own would go.
    pub fn is_avoidable(&self) -> bool {
        matches!(self, Self::Unsupported { key, .. } if OF_THE_WAY.contains(key))
    }
}

impl SchedulerConfig {
    /// The sampler `kind`, or what suits the class of this configuration, under `rules`.
    ///
    /// # Errors
    /// [`SchedulerError::NoSampler`] if nothing is chosen and the class has no sampler of its own nor one that can stand in
    /// for it; other errors if a value in the file is not supported.
    pub fn sampler(
        &self,
        kind: Option<SchedulerKind>,
        rules: PipelineRules,
    ) -> Result<SamplerChoice, SchedulerError> {
        let class = self.class_name();
        let standing = Standing::of(class, matches!(self, Self::FlowMatch(_)));
        let mut warnings = Vec::new();
        let kind = match (kind, standing) {
            (Some(kind), _) | (None, Standing::Own(kind)) => kind,
            (None, Standing::StandIn(kind)) => {
                warnings.push(SchedulerWarning::StandIn { class: class.to_owned(), kind });
                kind
            }
            (None, Standing::ByChoice(process, reason)) => {
                let choices = process.samplers();
                return Err(SchedulerError::NoSampler { class: class.to_owned(), reason, choices });
            }
            (None, Standing::Never) => return Err(SchedulerError::OtherModel { class: class.to_owned() }),
        };
        let process = match self {
            Self::Diffusion(_) => Process::Diffusion,
            Self::FlowMatch(_) => Process::FlowMatch,
        };
        if kind.process() != process {
            return Err(kind.other_process(process));
        }
        let mut config = match self {
            Self::Diffusion(config) => {
                let mut config = config.for_class(kind.class_name())?;
                if rules == PipelineRules::StableDiffusion {
                    correct(&mut config, kind, &mut warnings);
                }
                Self::Diffusion(config)
            }
            Self::FlowMatch(_) => self.clone(),
        };
        if standing != Standing::Own(kind) {
            config.leave_out_the_way(kind, &mut warnings);
        }
        self.warn_of_keys(&mut warnings);
        Ok(SamplerChoice { kind, config, warnings })
    }

    /// Leaves out what the sampler `kind` cannot follow of how another class would go.
    fn leave_out_the_way(&mut self, kind: SchedulerKind, warnings: &mut Vec<SchedulerWarning>) {
        let other = match self {
            Self::Diffusion(config) => &mut config.other,
            Self::FlowMatch(config) => &mut config.other,
        };
        for &entry in neutral(kind) {
            if let Some((key, value, _)) =
                not_neutral(other, &[entry]).filter(|(key, ..)| OF_THE_WAY.contains(key))
            {
                other.remove(key);
                warnings.push(SchedulerWarning::NotFollowed { key, value, kind });
            }
        }
    }

    fn warn_of_keys(&self, warnings: &mut Vec<SchedulerWarning>) {
        let other = match self {
            Self::Diffusion(config) => &config.other,
            Self::FlowMatch(config) => &config.other,
        };
        if other.get(PREDICT_EPSILON).is_some_and(|value| value == false) {
            warnings.push(SchedulerWarning::PredictEpsilon);
        }
        // A class that diffusers does not have may have keys that it does not know.
        if class::defaults(self.class_name()).is_some() {
            let unknown = other.keys().filter(|key| !class::is_known_key(key));
            warnings.extend(unknown.map(|key| SchedulerWarning::UnknownKey { key: key.clone() }));
        }
    }
}

/// What `StableDiffusionPipeline.__init__` does, said where it changes what is painted.
fn correct(config: &mut DiffusionConfig, kind: SchedulerKind, warnings: &mut Vec<SchedulerWarning>) {
    if config.steps_offset != 1 {
        if config.timestep_spacing == TimestepSpacing::Leading {
            let found = config.steps_offset.to_string();
            warnings.push(SchedulerWarning::Outdated { key: "steps_offset", found, used: "1" });
        }
        config.steps_offset = 1;
    }
    if config.clip_sample {
        if class::has_key(kind.class_name(), "clip_sample") {
            let found = "true".to_owned();
            warnings.push(SchedulerWarning::Outdated { key: "clip_sample", found, used: "false" });
        }
        config.clip_sample = false;
    }
}

/// The keys that the sampler refuses, with the values that it does not.
fn neutral(kind: SchedulerKind) -> &'static Neutral {
    match kind {
        SchedulerKind::Ddpm => ddpm::NEUTRAL,
        SchedulerKind::Ddim => &[],
        SchedulerKind::Euler => euler_discrete::NEUTRAL,
        SchedulerKind::DpmSolverMultistep => dpm_solver_multistep::NEUTRAL,
        SchedulerKind::FlowMatchEuler => flow_match_config::NEUTRAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(
        json: &str,
        kind: Option<SchedulerKind>,
        rules: PipelineRules,
    ) -> Result<SamplerChoice, SchedulerError> {
        SchedulerConfig::from_json(json.as_bytes()).unwrap().sampler(kind, rules)
    }

    fn of_class(class: &str) -> Result<SamplerChoice, SchedulerError> {
        let json = serde_json::json!({ "_class_name": class, "steps_offset": 1, "clip_sample": false });
        sampler(&json.to_string(), None, PipelineRules::StableDiffusion)
    }

    fn texts(choice: &SamplerChoice) -> Vec<String> {
        choice.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_of_the_same_family_stand_in_for_each_other_and_it_is_said() {
        for (class, kind) in [
            ("PNDMScheduler", SchedulerKind::Ddim),
            ("EulerAncestralDiscreteScheduler", SchedulerKind::Euler),
            ("LMSDiscreteScheduler", SchedulerKind::Euler),
            ("UniPCMultistepScheduler", SchedulerKind::DpmSolverMultistep),
            ("DEISMultistepScheduler", SchedulerKind::DpmSolverMultistep),
            ("FlowMatchHeunDiscreteScheduler", SchedulerKind::FlowMatchEuler),
        ] {
            let choice = of_class(class).unwrap();
            assert_eq!(choice.kind, kind, "{class}");
            let texts = texts(&choice);
            assert!(texts[0].contains(class) && texts[0].contains(kind.class_name()), "{texts:?}");
            choice.kind.build(&choice.config).unwrap();
        }
        for kind in SchedulerKind::ALL {
            assert_eq!(texts(&of_class(kind.class_name()).unwrap()), [""; 0], "{kind}");
        }
        assert_eq!(texts(&of_class("DDIMParallelScheduler").unwrap()), [""; 0]);
    }

    #[test]
    fn other_classes_are_sampled_by_choice_alone() {
        for (class, choice) in [
            ("LCMScheduler", SchedulerKind::Euler),
            ("TCDScheduler", SchedulerKind::Ddim),
            ("Schedulerino", SchedulerKind::DpmSolverMultistep),
            ("DDIMInverseScheduler", SchedulerKind::Ddpm),
            ("FlowMatchLCMScheduler", SchedulerKind::FlowMatchEuler),
        ] {
            let error = of_class(class).unwrap_err().to_string();
            assert!(error.contains(class) && error.contains(choice.name()), "{error}");
            let json = format!(r#"{{"_class_name": "{class}"}}"#);
            let chosen = sampler(&json, Some(choice), PipelineRules::Unchanged).unwrap();
            assert_eq!(chosen.kind, choice);
            chosen.kind.build(&chosen.config).unwrap();
        }
    }

    #[test]
    fn stable_diffusion_is_corrected_and_other_pipelines_are_not() {
        let outdated = r#"{"_class_name": "DDIMScheduler"}"#;
        let choice = sampler(outdated, None, PipelineRules::StableDiffusion).unwrap();
        let config = choice.config.diffusion().unwrap();
        assert_eq!((config.steps_offset, config.clip_sample), (1, false));
        let texts = texts(&choice);
        assert!(texts[0].contains("`steps_offset` is 0") && texts[0].contains("1 is used"), "{texts:?}");
        assert!(
            texts[1].contains("`clip_sample` is true") && texts[1].contains("false is used"),
            "{texts:?}"
        );
        let choice = sampler(outdated, None, PipelineRules::Unchanged).unwrap();
        let config = choice.config.diffusion().unwrap();
        assert_eq!((config.steps_offset, config.clip_sample, choice.warnings.len()), (0, true, 0));
    }

    #[test]
    fn what_has_no_effect_is_not_said() {
        for json in [
            r#"{"_class_name": "EulerDiscreteScheduler"}"#,
            r#"{"_class_name": "DDIMScheduler", "timestep_spacing": "trailing", "clip_sample": false}"#,
        ] {
            let choice = sampler(json, None, PipelineRules::StableDiffusion).unwrap();
            assert!(choice.warnings.is_empty(), "{:?}", choice.warnings);
        }
    }

    #[test]
    fn what_is_not_implemented_is_refused_of_the_same_class_and_left_out_by_others() {
        let json = |class: &str| {
            format!(r#"{{"_class_name": "{class}", "use_karras_sigmas": true, "solver_order": 3}}"#)
        };
        let own = sampler(&json("DPMSolverMultistepScheduler"), None, PipelineRules::Unchanged).unwrap();
        let error = own.kind.build(&own.config).unwrap_err();
        assert!(error.to_string().contains("`solver_order` = 3") && error.is_avoidable(), "{error}");
        let other = sampler(&json("UniPCMultistepScheduler"), None, PipelineRules::Unchanged).unwrap();
        other.kind.build(&other.config).unwrap();
        let texts = texts(&other);
        assert!(
            texts[1].contains("`solver_order` = 3") && texts[2].contains("`use_karras_sigmas`"),
            "{texts:?}"
        );
        // What the model was trained on is never left out.
        let flow = r#"{"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": true}"#;
        let flow = sampler(flow, None, PipelineRules::Unchanged).unwrap();
        assert!(!flow.kind.build(&flow.config).unwrap_err().is_avoidable());
    }

    #[test]
    fn keys_that_nobody_knows_are_named() {
        let json = r#"{"_class_name": "DDIMScheduler", "beta_strat": 0.1, "skip_prk_steps": true, "_x": 1,
            "predict_epsilon": false}"#;
        let choice = sampler(json, None, PipelineRules::Unchanged).unwrap();
        let unknown = SchedulerWarning::UnknownKey { key: "beta_strat".to_owned() };
        assert_eq!(choice.warnings, [SchedulerWarning::PredictEpsilon, unknown]);
    }
}
