//! The facts about the objective that the choice of stabilisation rests on.

#![cfg(feature = "autodiff")]

use super::*;
use crate::{noise::NoiseSource, objectives::Stabilisation};
use burn::tensor::Device;
use proptest::prelude::*;

const SHAPE: [usize; 4] = [4, 1, 2, 3];

/// Small enough that sigmoid(u) stays near 1/2 and descent does not slow down.
const BETA: f64 = 1e-3;

/// Random targets and predictions; each row is a case of its own.
#[derive(Clone)]
struct Setting {
    prediction: Tensor<4>,
    reference: Tensor<4>,
    winning: Tensor<4>,
    losing: Tensor<4>,
}

impl Setting {
    fn new(seed: u64) -> Self {
        let device = Device::flex().autodiff();
        let mut source = NoiseSource::new(seed);
        let [prediction, reference, winning, losing] = [(); 4].map(|()| source.normal(SHAPE, &device));
        Self { prediction, reference, winning, losing }
    }

    fn objective(&self, beta: f64, stabilisation: Stabilisation) -> Objective {
        let Self { prediction, reference, winning, losing } = self.clone();
        let weights = Tensor::ones([SHAPE[0]], &prediction.device());
        let options = PreferenceOptions { beta, stabilisation };
        cpo(CpoInput { prediction, reference, winning, losing, weights }, &options)
    }

    /// Gradient descent on the prediction itself, from its value on; gives all predictions on the way. A rate
    /// of 1 steps by `sigmoid(-u) ((prediction - z_w) - lambda (prediction - z_l))`.
    fn descend(&self, stabilisation: Stabilisation, rates: impl Iterator<Item = f64>) -> Vec<Rows> {
        let mut setting = self.clone();
        let count = SHAPE.iter().product::<usize>() as f64;
        let step = |rate| {
            setting.prediction = setting.prediction.clone().require_grad();
            let gradients = setting.objective(BETA, stabilisation).loss.backward();
            let gradient = setting.prediction.grad(&gradients).unwrap();
            let moved = setting.prediction.clone().inner() - gradient.mul_scalar(rate * count / BETA);
            setting.prediction = Tensor::from_inner(moved);
            Rows::new(&setting.prediction)
        };
        rates.map(step).collect()
    }

    /// `z_w - z_l`.
    fn away(&self) -> Rows {
        Rows::new(&(self.winning.clone() - self.losing.clone()))
    }
}

/// The rows of a tensor on the host.
struct Rows(Vec<Vec<f64>>);

impl Rows {
    fn new(tensor: &Tensor<4>) -> Self {
        let values: Vec<f32> = tensor.clone().into_data().try_to_vec().unwrap();
        let row = |row: &[f32]| row.iter().map(|&value| f64::from(value)).collect();
        Self(values.chunks(SHAPE[1..].iter().product()).map(row).collect())
    }

    fn minus(&self, other: &Self) -> Self {
        let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a - b).collect();
        Self(self.0.iter().zip(&other.0).map(row).collect())
    }

    fn dot(&self, other: &Self) -> Vec<f64> {
        let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a * b).sum();
        self.0.iter().zip(&other.0).map(row).collect()
    }

    fn norms(&self) -> Vec<f64> {
        self.dot(self).into_iter().map(f64::sqrt).collect()
    }

    fn cosines(&self, other: &Self) -> Vec<f64> {
        let norms = self.norms().into_iter().zip(other.norms());
        self.dot(other).into_iter().zip(norms).map(|(product, (a, b))| product / (a * b)).collect()
    }
}

fn logged(objective: &Objective, name: &str) -> f32 {
    let place = objective.names.iter().position(|&known| known == name).unwrap();
    objective.values.clone().into_data().try_to_vec::<f32>().unwrap()[place]
}

proptest! {
    #[test]
    fn the_logit_is_linear_in_the_prediction(seed: u64, beta in 0.1_f64..10.0) {
        let setting = Setting::new(seed);
        let away = setting.winning.clone() - setting.losing.clone();
        let drift = setting.prediction.clone() - setting.reference.clone();
        let expected = (away * drift).mean().into_scalar::<f32>() * beta as f32;
        let found = logged(&setting.objective(beta, Stabilisation::None), "u");
        // The logit is a difference of four means of squares, each below 20 and rounded to 1e-6.
        prop_assert!((found - expected).abs() < 1e-5 * beta as f32, "{found} instead of {expected}");
    }

    #[test]
    fn stabilisation_changes_the_gradient_and_no_value(seed: u64, lambda in 0.0_f64..0.9) {
        let mut setting = Setting::new(seed);
        setting.prediction = setting.prediction.require_grad();
        let gradient = |objective: Objective| {
            Rows::new(&Tensor::from_inner(setting.prediction.grad(&objective.loss.backward()).unwrap()))
        };
        let plain = setting.objective(1.0, Stabilisation::None);
        let constant = setting.objective(1.0, Stabilisation::Constant { lambda });
        for stabilised in [
            constant.clone(),
            setting.objective(1.0, Stabilisation::Safeguard { mu: 0.5 }),
            setting.objective(1.0, Stabilisation::NormRatio),
        ] {
            for name in ["loss", "u", "implicit_accuracy", "mse_losing"] {
                prop_assert_eq!(logged(&stabilised, name), logged(&plain, name), "{}", name);
            }
        }
        // g_w - lambda g_l, with g_w - g_l along z_l - z_w: what is left over points to (1 - lambda) g_l.
        let change = gradient(constant).minus(&gradient(plain));
        let to_losing = Rows::new(&(setting.prediction.clone() - setting.losing.clone()));
        for cosine in change.cosines(&to_losing) {
            // f32 gradients; as lambda nears 1, their difference nears their rounding.
            prop_assert!(cosine > 0.9999, "{cosine}");
        }
    }
}

#[test]
fn without_stabilisation_the_prediction_diverges_along_the_targets_difference() {
    let setting = Setting::new(1);
    let start = Rows::new(&setting.prediction);
    let path = setting.descend(Stabilisation::None, std::iter::repeat_n(1.0, 80));
    let [half, full] = [39, 79].map(|step: usize| path[step].minus(&start));
    for (half, full) in half.norms().into_iter().zip(full.norms()) {
        // As far again in the second half, but for sigmoid(-u), which falls a little.
        assert!(full > 1.8 * half, "{half}, then {full}");
    }
    // What is orthogonal is never corrected; f32.
    for cosine in full.cosines(&setting.away()) {
        assert!(cosine > 1.0 - 1e-6, "{cosine}");
    }
}

#[test]
fn a_constant_factor_settles_at_a_guidance_extrapolation() {
    let setting = Setting::new(2);
    let lambda = 0.6;
    let path = setting.descend(Stabilisation::Constant { lambda }, std::iter::repeat_n(1.0, 100));
    let away = setting.winning.clone() - setting.losing.clone();
    let expected = setting.winning.clone() + away.mul_scalar(lambda / (1.0 - lambda));
    for distance in path[99].minus(&Rows::new(&expected)).norms() {
        // The distance shrinks by about a fifth per step, down to the rounding of f32.
        assert!(distance < 1e-4, "{distance}");
    }
}

#[test]
fn the_safeguard_settles_at_the_winning_target() {
    let setting = Setting::new(3);
    // At z_w itself the losing gradient is free again, so a fixed rate would circle around it by a step's
    // length.
    let rates = std::iter::successors(Some(1.0), |rate| Some(rate * 0.98)).take(500);
    let path = setting.descend(Stabilisation::Safeguard { mu: 0.5 }, rates);
    for distance in path[499].minus(&Rows::new(&setting.winning)).norms() {
        // The last rate is 4e-5, and the rates sum to 50: exp(-0.5 * 0.5 * 50) of the first distance is left.
        assert!(distance < 1e-3, "{distance}");
    }
}

#[test]
fn the_norm_ratio_settles_on_the_ray_away_from_the_losing_target() {
    let setting = Setting::new(4);
    let winning = Rows::new(&setting.winning);
    let path = setting.descend(Stabilisation::NormRatio, std::iter::repeat_n(1.0, 200));
    let from_winning: Vec<Rows> = path.iter().map(|at| at.minus(&winning)).collect();
    for (before, after) in from_winning.iter().zip(&from_winning[1..]) {
        for (before, after) in before.norms().into_iter().zip(after.norms()) {
            assert!(after <= before + 1e-5, "bounded by where it starts, but {before} became {after}");
        }
    }
    for cosine in from_winning[199].cosines(&setting.away()) {
        assert!(cosine > 0.9999, "{cosine}");
    }
    for moved in path[199].minus(&path[198]).norms() {
        assert!(moved < 1e-4, "still moving by {moved}");
    }
}
