use super::{BetaSchedule, DiffusionConfig, PredictionType, SchedulerError};
use burn::tensor::{Tensor, TensorData};

/// The forward process `x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise` (equation 4 of arXiv 2006.11239),
/// and what follows from it.
///
/// All tensors are `[batch, channels, height, width]`, and all methods take one timestep for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f64>,
}

impl NoiseSchedule {
    /// The schedule that `config` describes.
    ///
    /// # Errors
    /// [`SchedulerError::Invalid`] names the value that makes no schedule.
    pub fn new(config: &DiffusionConfig) -> Result<Self, SchedulerError> {
        let invalid = |key, problem: String| Err(SchedulerError::Invalid { key, problem });
        if config.clip_sample && !(0.0..).contains(&config.clip_sample_range) {
            return invalid(
                "clip_sample_range",
                format!("is {}; it must not be negative", config.clip_sample_range),
            );
        }
        let betas = betas(config)?;
        let mut alphas_cumprod: Vec<f64> = betas
            .iter()
            .scan(1.0, |product, beta| {
                *product *= 1.0 - beta;
                Some(*product)
            })
            .collect();
        check_signal(config, &alphas_cumprod)?;
        if config.rescale_betas_zero_snr {
            if config.prediction_type == PredictionType::Epsilon {
                let problem = "is true, but pure noise says nothing of the sample to a model that predicts \
                               the noise; train with `prediction_type` v_prediction, or set it to false";
                return invalid("rescale_betas_zero_snr", problem.to_owned());
            }
            if alphas_cumprod.len() < 2 {
                return invalid("rescale_betas_zero_snr", "needs at least 2 training timesteps".to_owned());
            }
            rescale_to_zero_terminal_snr(&mut alphas_cumprod);
        }
        Ok(Self { alphas_cumprod })
    }

    /// As diffusers does for samplers that work with `(1 - abar) / abar`: pure noise becomes almost pure
    /// noise.
    pub(super) fn without_zero_snr(mut self) -> Self {
        const SMALLEST: f64 = 1.0 / (1_u32 << 24) as f64;
        if let Some(last) = self.alphas_cumprod.last_mut().filter(|last| **last == 0.0) {
            *last = SMALLEST;
        }
        self
    }

    /// abar of every training timestep, in `[0, 1)`, falling; 0 only at the end, with
    /// `rescale_betas_zero_snr`.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// `sqrt((1 - abar) / abar)` of every training timestep: the noise relative to the sample.
    pub(super) fn sigmas(&self) -> Vec<f64> {
        self.alphas_cumprod
            .iter()
            .map(|alpha_cumprod| ((1.0 - alpha_cumprod) / alpha_cumprod).sqrt())
            .collect()
    }

    /// x_t of `original` (x_0) and unit Gaussian `noise`.
    ///
    /// # Panics
    /// As all methods that take timesteps: if one is not below `num_train_timesteps`, or if there is not one
    /// per row.
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        self.combine(original, noise, timesteps, |alpha, sigma| [alpha, sigma])
    }

    /// `sqrt(abar) noise - sqrt(1 - abar) original`, the target of v-prediction (arXiv 2202.00512, appendix
    /// D).
    pub fn velocity(&self, original: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        self.combine(original, noise, timesteps, |alpha, sigma| [-sigma, alpha])
    }

    /// The signal-to-noise ratio `abar_t / (1 - abar_t)`.
    ///
    /// # Panics
    /// If `t` is not below `num_train_timesteps`.
    pub fn snr(&self, t: usize) -> f64 {
        let alpha_cumprod = self.alphas_cumprod[t];
        alpha_cumprod / (1.0 - alpha_cumprod)
    }

    /// x_0 as the model's `output` for the noisy `sample` implies it.
    pub fn predict_original(
        &self,
        sample: Tensor<4>,
        output: Tensor<4>,
        timesteps: &[usize],
        prediction_type: PredictionType,
    ) -> Tensor<4> {
        match prediction_type {
            PredictionType::Epsilon => {
                self.combine(sample, output, timesteps, |alpha, sigma| [1.0 / alpha, -sigma / alpha])
            }
            PredictionType::VPrediction => {
                self.combine(sample, output, timesteps, |alpha, sigma| [alpha, -sigma])
            }
            PredictionType::Sample => output,
        }
    }

    /// The noise as the model's `output` for the noisy `sample` implies it.
    pub fn to_epsilon(
        &self,
        sample: Tensor<4>,
        output: Tensor<4>,
        timesteps: &[usize],
        prediction_type: PredictionType,
    ) -> Tensor<4> {
        match prediction_type {
            PredictionType::Epsilon => output,
            PredictionType::VPrediction => {
                self.combine(sample, output, timesteps, |alpha, sigma| [sigma, alpha])
            }
            PredictionType::Sample => {
                self.combine(sample, output, timesteps, |alpha, sigma| [1.0 / sigma, -alpha / sigma])
            }
        }
    }

    /// `a first + b second` with `[a, b]` of `coefficients(sqrt(abar), sqrt(1 - abar))`, row by row.
    fn combine(
        &self,
        first: Tensor<4>,
        second: Tensor<4>,
        timesteps: &[usize],
        coefficients: impl Fn(f64, f64) -> [f64; 2],
    ) -> Tensor<4> {
        let coefficients = timesteps.iter().map(|&t| {
            let alpha_cumprod = self.alphas_cumprod[t];
            coefficients(alpha_cumprod.sqrt(), (1.0 - alpha_cumprod).sqrt())
        });
        weighted_sum(first, second, coefficients)
    }
}

/// `a first + b second`, with one `[a, b]` for each row.
pub(super) fn weighted_sum(
    first: Tensor<4>,
    second: Tensor<4>,
    coefficients: impl Iterator<Item = [f64; 2]>,
) -> Tensor<4> {
    let (firsts, seconds): (Vec<f32>, Vec<f32>) = coefficients.map(|[a, b]| (a as f32, b as f32)).unzip();
    let device = first.device();
    let column = |values: Vec<f32>| {
        let rows = values.len();
        Tensor::<4>::from_data(TensorData::new(values, [rows, 1, 1, 1]), &device)
    };
    first * column(firsts) + second * column(seconds)
}

/// The variances of the noise that each training timestep adds.
fn betas(config: &DiffusionConfig) -> Result<Vec<f64>, SchedulerError> {
    let invalid = |key, problem: String| Err(SchedulerError::Invalid { key, problem });
    let count = config.num_train_timesteps;
    if count == 0 {
        return invalid("num_train_timesteps", "must be at least 1".to_owned());
    }
    let possible = |beta: f64| 0.0 < beta && beta < 1.0;
    if let Some(betas) = &config.trained_betas {
        if betas.len() != count {
            let problem = format!("has {} values, but `num_train_timesteps` is {count}", betas.len());
            return invalid("trained_betas", problem);
        }
        if let Some(place) = betas.iter().position(|&beta| !possible(beta)) {
            let problem = format!("has {} at index {place}; all must lie between 0 and 1", betas[place]);
            return invalid("trained_betas", problem);
        }
        return Ok(betas.clone());
    }
    for (key, beta) in [("beta_start", config.beta_start), ("beta_end", config.beta_end)] {
        if !possible(beta) {
            return invalid(key, format!("is {beta}; it must lie between 0 and 1"));
        }
    }
    let (start, end) = (config.beta_start, config.beta_end);
    Ok(match config.beta_schedule {
        BetaSchedule::Linear => linspace(start, end, count),
        BetaSchedule::ScaledLinear => {
            linspace(start.sqrt(), end.sqrt(), count).into_iter().map(|root| root * root).collect()
        }
        BetaSchedule::SquaredCosine => {
            let edge = |index: usize| squared_cosine(index as f64 / count as f64);
            (0..count).map(|index| (1.0 - edge(index + 1) / edge(index)).min(LARGEST_BETA)).collect()
        }
    })
}

/// Refuses schedules whose coefficients would not be finite in the `f32` of the tensors, or would stand
/// still.
fn check_signal(config: &DiffusionConfig, alphas_cumprod: &[f64]) -> Result<(), SchedulerError> {
    let least = f64::from(f32::MIN_POSITIVE);
    let before = std::iter::once(&1.0).chain(alphas_cumprod);
    let Some(t) = before.zip(alphas_cumprod).position(|(before, &now)| now >= *before || now < least) else {
        return Ok(());
    };
    let key = if config.trained_betas.is_some() { "trained_betas" } else { "beta_end" };
    let problem = format!(
        "makes no usable schedule: what is left of the sample (alphas_cumprod) must fall from 1 with every \
         timestep and stay above {least:e}, but is {:e} at timestep {t}; check the betas and \
         `num_train_timesteps`",
        alphas_cumprod[t]
    );
    Err(SchedulerError::Invalid { key, problem })
}

/// Keeps the last beta of the cosine schedule from 1, where nothing would be left of the sample.
const LARGEST_BETA: f64 = 0.999;

/// Equation 17 of arXiv 2102.09672, for time in `[0, 1]`.
fn squared_cosine(time: f64) -> f64 {
    let cosine = libm::cos((time + 0.008) / 1.008 * core::f64::consts::FRAC_PI_2);
    cosine * cosine
}

/// `count` evenly spaced numbers from `start` to `end`, both included; `start` alone for a count of 1.
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = (end - start) / (count.max(2) - 1) as f64;
    (0..count).map(|index| start + step * index as f64).collect()
}

/// Shifts and scales `sqrt(abar)` so that it ends at 0 and starts where it did (algorithm 1 of arXiv
/// 2305.08891).
fn rescale_to_zero_terminal_snr(alphas_cumprod: &mut [f64]) {
    let [Some(first), Some(last)] =
        [alphas_cumprod.first(), alphas_cumprod.last()].map(|a| a.map(|a| a.sqrt()))
    else {
        return;
    };
    for alpha_cumprod in alphas_cumprod {
        let root = (alpha_cumprod.sqrt() - last) * first / (first - last);
        *alpha_cumprod = root * root;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::NoiseSource;
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn schedule(beta_schedule: BetaSchedule) -> NoiseSchedule {
        NoiseSchedule::new(&DiffusionConfig { beta_schedule, ..Default::default() }).unwrap()
    }

    fn any_schedule() -> impl Strategy<Value = BetaSchedule> {
        prop::sample::select(vec![
            BetaSchedule::Linear,
            BetaSchedule::ScaledLinear,
            BetaSchedule::SquaredCosine,
        ])
    }

    fn largest_difference(a: Tensor<4>, b: Tensor<4>) -> f64 {
        f64::from((a - b).abs().max().into_scalar::<f32>())
    }

    proptest! {
        #[test]
        fn the_sample_and_the_noise_come_back(
            beta_schedule in any_schedule(), steps in prop::array::uniform3(0_usize..1000), seed: u64,
        ) {
            let schedule = schedule(beta_schedule);
            let mut source = NoiseSource::new(seed);
            let [original, noise] = [(); 2].map(|()| source.normal([3, 2, 3, 2], &Device::flex()));
            let sample = schedule.add_noise(original.clone(), noise.clone(), &steps);
            let velocity = schedule.velocity(original.clone(), noise.clone(), &steps);
            // Values up to 5 in f32 have errors up to 1e-6 or so, by which dividing multiplies.
            let alphas = steps.map(|t| schedule.alphas_cumprod()[t]);
            let least = |of: fn(f64) -> f64| alphas.into_iter().map(of).fold(1.0, f64::min);
            for (output, kind, original_error, noise_error) in [
                (noise.clone(), PredictionType::Epsilon, 3e-6 / least(f64::sqrt), 0.0),
                (velocity, PredictionType::VPrediction, 3e-6, 3e-6),
                (original.clone(), PredictionType::Sample, 0.0, 3e-6 / least(|a| (1.0 - a).sqrt())),
            ] {
                let found = schedule.predict_original(sample.clone(), output.clone(), &steps, kind);
                prop_assert!(largest_difference(found, original.clone()) <= original_error, "{kind:?}");
                let found = schedule.to_epsilon(sample.clone(), output, &steps, kind);
                prop_assert!(largest_difference(found, noise.clone()) <= noise_error, "{kind:?}");
            }
        }

        #[test]
        fn noise_grows_with_the_timestep(
            beta_schedule in any_schedule(),
            beta_start in 1e-5_f64..0.03,
            beta_end in 1e-5_f64..0.03,
            count in 1_usize..2000,
        ) {
            let betas = DiffusionConfig { beta_schedule, beta_start, beta_end, ..Default::default() };
            let config = DiffusionConfig { num_train_timesteps: count, ..betas };
            let schedule = NoiseSchedule::new(&config).unwrap();
            prop_assert_eq!(schedule.alphas_cumprod().len(), count);
            prop_assert!(schedule.alphas_cumprod().iter().all(|&a| 0.0 < a && a < 1.0));
            prop_assert!(schedule.alphas_cumprod().is_sorted_by(|a, b| a > b));
            prop_assert!((1..count).all(|t| schedule.snr(t) < schedule.snr(t - 1)));
        }
    }

    #[test]
    fn rescaling_makes_the_last_timestep_pure_noise_and_keeps_the_first() {
        let config = DiffusionConfig { prediction_type: PredictionType::VPrediction, ..Default::default() };
        let plain = NoiseSchedule::new(&config).unwrap();
        let rescaled =
            NoiseSchedule::new(&DiffusionConfig { rescale_betas_zero_snr: true, ..config }).unwrap();
        assert_eq!(rescaled.snr(999), 0.0);
        assert!((rescaled.alphas_cumprod()[0] - plain.alphas_cumprod()[0]).abs() < 1e-12);
    }
}
