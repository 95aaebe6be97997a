use super::{
    DiffusionConfig, NoiseSchedule, Scheduler, SchedulerError, StepOutput, check_shape, config::Neutral,
    timestep_at, timesteps,
};
use burn::tensor::Tensor;

const CLASS: &str = "DPMSolverMultistepScheduler";

/// Keys of diffusers that would change the result, with the values under which they do not.
pub(super) const NEUTRAL: &Neutral = &[
    ("algorithm_type", &["\"dpmsolver++\""]),
    ("final_sigmas_type", &["\"zero\""]),
    ("lambda_min_clipped", &["null"]),
    ("solver_order", &["2"]),
    ("solver_type", &["\"midpoint\""]),
    ("use_beta_sigmas", &["false", "null"]),
    ("use_dynamic_shifting", &["false", "null"]),
    ("use_exponential_sigmas", &["false", "null"]),
    ("use_flow_sigmas", &["false", "null"]),
    ("use_karras_sigmas", &["false", "null"]),
    ("use_lu_lambdas", &["false", "null"]),
    (
        "variance_type",
        &["null", "\"fixed_small\"", "\"fixed_small_log\"", "\"fixed_large\"", "\"fixed_large_log\""],
    ),
];

/// DPM-Solver++ of order 2, multistep with midpoints (Lu et al., arXiv 2211.01095, algorithm 2), diffusers'
/// `DPMSolverMultistepScheduler` with its defaults. The first step and the last are of order 1; the last
/// gives the predicted original sample. Samples are never clipped.
#[derive(Debug, Clone)]
pub struct DPMSolverMultistepScheduler {
    config: DiffusionConfig,
    schedule: NoiseSchedule,
    timesteps: Vec<f64>,
    /// sigma of every step, and 0.
    sigmas: Vec<f64>,
    /// The step done last, with the original sample that it predicted.
    last: Option<(usize, Tensor<4>)>,
}

impl DPMSolverMultistepScheduler {
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid or not supported.
    pub fn new(config: &DiffusionConfig) -> Result<Self, SchedulerError> {
        config.refuse_unless_neutral(CLASS, NEUTRAL)?;
        let schedule = NoiseSchedule::new(config)?.without_zero_snr();
        Ok(Self { config: config.clone(), schedule, timesteps: Vec::new(), sigmas: Vec::new(), last: None })
    }

    /// `sqrt((1 - abar) / abar)` of every step and after the last, falling; empty before
    /// [`Scheduler::set_timesteps`].
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// `original`, extrapolated by the change since the step before if that is known: `D0 + D1 / 2` of
    /// arXiv 2211.01095, equation 4.9.
    fn extrapolate(&self, original: Tensor<4>, index: usize) -> Tensor<4> {
        let next = self.sigmas[index + 1];
        match &self.last {
            Some((last, earlier)) if last + 1 == index && next > 0.0 => {
                // lambda = log(alpha / sigma) falls with the logarithm of this sigma.
                let log_sigma = |index: usize| libm::log(self.sigmas[index]);
                let ahead = log_sigma(index) - log_sigma(index + 1);
                let behind = log_sigma(index - 1) - log_sigma(index);
                let change = original.clone() - earlier.clone();
                original + change.mul_scalar(0.5 * ahead / behind)
            }
            _ => original,
        }
    }
}

impl Scheduler for DPMSolverMultistepScheduler {
    fn set_timesteps(&mut self, n: usize) -> Result<(), SchedulerError> {
        self.timesteps = timesteps::without_last(&self.config, n)?;
        let sigmas = self.schedule.sigmas();
        self.sigmas = self.timesteps.iter().map(|&timestep| sigmas[timestep as usize]).chain([0.0]).collect();
        self.reset();
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    fn scale_model_input(&self, sample: Tensor<4>, _index: usize) -> Tensor<4> {
        sample
    }

    fn needs_noise(&self, _index: usize) -> bool {
        false
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _noise: Option<Tensor<4>>,
    ) -> Result<StepOutput, SchedulerError> {
        check_shape("the model's output", &model_output, &sample)?;
        let timestep = timestep_at(&self.timesteps, index)?;
        let at = vec![timestep as usize; sample.dims()[0]];
        let original =
            self.schedule.predict_original(sample.clone(), model_output, &at, self.config.prediction_type);
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        // alpha of the variance-preserving process, for which sigma is the ratio of noise to sample; exp(-h)
        // of the paper is the ratio of these.
        let [alpha, next_alpha] = [sigma, next].map(|sigma| 1.0 / (sigma * sigma + 1.0).sqrt());
        let ratio = next / sigma;
        let target = self.extrapolate(original.clone(), index);
        let prev_sample =
            sample.mul_scalar(ratio * next_alpha / alpha) + target.mul_scalar(next_alpha * (1.0 - ratio));
        self.last = Some((index, original.clone()));
        Ok(StepOutput { prev_sample, pred_original_sample: original })
    }

    fn reset(&mut self) {
        self.last = None;
    }
}
