use super::{
    FlowMatchConfig, FlowMatchSchedule, Scheduler, SchedulerError, StepOutput, check_shape,
    flow_match_config::shifted, noise_schedule::linspace, timestep_at, timesteps,
};
use burn::tensor::Tensor;

/// Euler steps along the path of a flow matching model, diffusers' `FlowMatchEulerDiscreteScheduler`.
///
/// Samples are `(1 - sigma) x_0 + sigma noise`, timesteps are sigma in units of training timesteps.
#[derive(Debug, Clone)]
pub struct FlowMatchEulerDiscreteScheduler {
    config: FlowMatchConfig,
    /// The least noisy of the training timesteps.
    least_sigma: f64,
    timesteps: Vec<f64>,
    /// sigma of every step, and 0.
    sigmas: Vec<f64>,
}

impl FlowMatchEulerDiscreteScheduler {
    /// # Errors
    /// [`SchedulerError`] names what in `config` is invalid or not supported.
    pub fn new(config: &FlowMatchConfig) -> Result<Self, SchedulerError> {
        let schedule = FlowMatchSchedule::new(config)?;
        let least_sigma = schedule.sigmas().last().copied().unwrap_or(1.0);
        Ok(Self { config: config.clone(), least_sigma, timesteps: Vec::new(), sigmas: Vec::new() })
    }

    /// sigma of every step and after the last, falling; empty before timesteps are set.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// Chooses `n` timesteps as diffusers' `FluxPipeline` does: sigma falls evenly from 1 to `1 / n`, and is then shifted,
    /// with `use_dynamic_shifting` by what suits a picture of `image_seq_len` tokens.
    ///
    /// # Errors
    /// [`SchedulerError::Steps`] unless there are 1 to `num_train_timesteps`.
    pub fn set_timesteps_for(&mut self, n: usize, image_seq_len: usize) -> Result<(), SchedulerError> {
        let shift = if self.config.use_dynamic_shifting {
            self.config.dynamic_shift(image_seq_len)
        } else {
            self.config.shift
        };
        self.set_sigmas(n, 1.0 / n as f64, shift)
    }

    /// `n` values of sigma, which fall evenly from 1 to `least` before they are shifted.
    fn set_sigmas(&mut self, n: usize, least: f64, shift: f64) -> Result<(), SchedulerError> {
        let train = self.config.num_train_timesteps;
        timesteps::check(n, train, train)?;
        self.sigmas = linspace(1.0, least, n).into_iter().map(|sigma| shifted(sigma, shift)).collect();
        self.timesteps = self.sigmas.iter().map(|sigma| sigma * train as f64).collect();
        self.sigmas.push(0.0);
        Ok(())
    }
}

impl Scheduler for FlowMatchEulerDiscreteScheduler {
    /// From pure noise to the least noisy training timestep. As in diffusers, its sigma was shifted before, and is shifted
    /// again with all others.
    ///
    /// # Errors
    /// [`SchedulerError::NoPicture`] with `use_dynamic_shifting`; else as [`Self::set_timesteps_for`].
    fn set_timesteps(&mut self, n: usize) -> Result<(), SchedulerError> {
        if self.config.use_dynamic_shifting {
            return Err(SchedulerError::NoPicture);
        }
        self.set_sigmas(n, self.least_sigma, self.config.shift)
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
        timestep_at(&self.timesteps, index)?;
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        Ok(StepOutput {
            prev_sample: sample.clone() + model_output.clone().mul_scalar(next - sigma),
            pred_original_sample: sample - model_output.mul_scalar(sigma),
        })
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::NoiseSource;
    use burn::tensor::Device;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_true_velocity_leads_to_the_original(
            n in 1_usize..9, shift in 0.2_f64..5.0, use_dynamic_shifting: bool, tokens in 1_usize..9000, seed: u64,
        ) {
            let config = FlowMatchConfig { shift, use_dynamic_shifting, ..Default::default() };
            let mut scheduler = FlowMatchEulerDiscreteScheduler::new(&config).unwrap();
            scheduler.set_timesteps_for(n, tokens).unwrap();
            prop_assert_eq!(scheduler.timesteps().len(), n);
            prop_assert!((scheduler.timesteps()[0] - 1000.0).abs() < 1e-9);
            prop_assert!(scheduler.sigmas().is_sorted_by(|a, b| a > b), "{:?}", scheduler.sigmas());
            let mut source = NoiseSource::new(seed);
            let [original, noise] = [(); 2].map(|()| source.normal([1, 2, 3, 2], &Device::flex()));
            // Sums of f32 values up to 5.
            let is_original = |found: Tensor<4>| (found - original.clone()).abs().max().into_scalar::<f32>() < 1e-5;
            let mut sample = noise.clone();
            for index in 0..n {
                let velocity = noise.clone() - original.clone();
                let done = scheduler.step(velocity, index, sample, None).unwrap();
                prop_assert!(is_original(done.pred_original_sample));
                sample = done.prev_sample;
            }
            prop_assert!(is_original(sample));
        }
    }

    #[test]
    fn timesteps_that_depend_on_the_picture_need_one() {
        let config = FlowMatchConfig { use_dynamic_shifting: true, ..Default::default() };
        let mut scheduler = FlowMatchEulerDiscreteScheduler::new(&config).unwrap();
        let error = scheduler.set_timesteps(4).unwrap_err();
        assert!(matches!(error, SchedulerError::NoPicture), "{error}");
        for n in [0, 1001] {
            let error = scheduler.set_timesteps_for(n, 16).unwrap_err().to_string();
            assert!(error.contains("choose 1 to 1000"), "{error}");
        }
    }
}
