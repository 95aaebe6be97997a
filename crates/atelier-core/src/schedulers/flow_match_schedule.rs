use super::{FlowMatchConfig, SchedulerError, flow_match_config::shifted, noise_schedule::weighted_sum};
use burn::tensor::Tensor;

/// The forward process `x_t = (1 - sigma) x_0 + sigma noise` of flow matching (Liu et al., arXiv 2209.03003; Lipman et al.,
/// arXiv 2210.02747).
///
/// All tensors are `[batch, channels, height, width]`. Training steps are counted as diffusers counts them, from the
/// noisiest, and all methods that take steps take one for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowMatchSchedule {
    sigmas: Vec<f64>,
}

impl FlowMatchSchedule {
    /// The schedule that `config` describes, with its shift unless that depends on the picture.
    ///
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid or not supported.
    pub fn new(config: &FlowMatchConfig) -> Result<Self, SchedulerError> {
        config.check()?;
        let count = config.num_train_timesteps;
        let sigma = |timestep: usize| shifted(timestep as f64 / count as f64, config.static_shift());
        Ok(Self { sigmas: (1..=count).rev().map(sigma).collect() })
    }

    /// sigma of every training step, falling from 1.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// The training step that a standard normal number chooses, the middle ones more often than the ends (Esser et al.,
    /// arXiv 2403.03206, section 3.1; `compute_density_for_timestep_sampling` of diffusers).
    pub fn logit_normal_step(&self, normal: f64) -> usize {
        let share = 1.0 / (1.0 + libm::exp(-normal));
        let count = self.sigmas.len();
        ((share * count as f64) as usize).min(count - 1)
    }

    /// What models are told of a training step: sigma in units of training timesteps.
    ///
    /// # Panics
    /// As all methods that take steps: if one is not below `num_train_timesteps`.
    pub fn timestep(&self, step: usize) -> f64 {
        self.sigmas[step] * self.sigmas.len() as f64
    }

    /// x_t of `original` (x_0) and unit Gaussian `noise`.
    ///
    /// # Panics
    /// As [`Self::timestep`], and if there is not one step per row.
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, steps: &[usize]) -> Tensor<4> {
        let sigmas = steps.iter().map(|&step| self.sigmas[step]);
        weighted_sum(original, noise, sigmas.map(|sigma| [1.0 - sigma, sigma]))
    }

    /// `noise - original`, the derivative of the path, which models predict.
    pub fn velocity(&self, original: Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
        noise - original
    }
}
