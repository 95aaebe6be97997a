//! Supervised fine-tuning: the denoising loss, with min-SNR weighting.

use super::{Objective, squared_error};
use crate::schedulers::PredictionType;
use burn::tensor::Tensor;

/// `mean_b weight_b * mean((target - prediction)^2)`: L_SFT of the method's first stage, and the pretraining loss.
///
/// `prediction` and `target` are `[batch, channels, height, width]`, `weights` is `[batch]`.
pub fn sft(prediction: Tensor<4>, target: Tensor<4>, weights: Tensor<1>) -> Objective {
    let error = squared_error(prediction, target);
    let mean_error = error.clone().detach().mean();
    let loss = (error * weights).mean();
    Objective::new(loss, vec![("mse", mean_error)])
}

/// The loss weight of a timestep whose signal-to-noise ratio is `snr` (Hang et al., "Efficient Diffusion Training via
/// Min-SNR Weighting Strategy", arXiv 2303.09556): `min(snr, gamma)` in units of the clean image, hence divided by
/// `snr` for epsilon and by `snr + 1` for v.
pub fn min_snr_weight(snr: f64, gamma: f64, prediction_type: PredictionType) -> f64 {
    let clipped = snr.min(gamma);
    match prediction_type {
        PredictionType::Epsilon => clipped / snr.max(f64::MIN_POSITIVE),
        PredictionType::VPrediction => clipped / (snr + 1.0),
        PredictionType::Sample => clipped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weights_agree_in_units_of_the_clean_image(snr in 1e-3f64..1e3, gamma in 0.5f64..20.0) {
            // An error d of x0 is d*sqrt(snr) of epsilon and d*sqrt(snr+1) of v: the same error must cost the same.
            let sample = min_snr_weight(snr, gamma, PredictionType::Sample);
            let epsilon = min_snr_weight(snr, gamma, PredictionType::Epsilon) * snr;
            let velocity = min_snr_weight(snr, gamma, PredictionType::VPrediction) * (snr + 1.0);
            prop_assert!((sample - epsilon).abs() < 1e-9 * sample);
            prop_assert!((sample - velocity).abs() < 1e-9 * sample);
            prop_assert!(sample <= gamma);
        }
    }
}
