//! The objectives and their gradients equal numpy's and torch's.
//!
//! `fixtures/objectives` holds the formulas evaluated in f64 by `make_fixtures.py` beside this file,
//! gradients by torch. The tolerance of 1e-5 covers f32 sums of a dozen values around 1 (1e-7 each, and u is
//! three times that); values and gradients are between 1e-2 and 10.

#![cfg(feature = "autodiff")]
#![recursion_limit = "256"]

use atelier_core::objectives::{
    CpoInput, DiffusionDpoInput, DiffusionKtoInput, MapoInput, Objective, PreferenceOptions, Stabilisation,
    cpo, diffusion_dpo, diffusion_kto, mapo, sft,
};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fs, path::PathBuf};

const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct TensorFile {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// What an objective must come to.
#[derive(Deserialize)]
struct Expected {
    logged: BTreeMap<String, f64>,
    /// With respect to each prediction.
    gradients: Vec<TensorFile>,
}

#[derive(Deserialize)]
struct SftFile {
    tensors: Tensors,
    expected: Expected,
}

#[derive(Deserialize)]
struct BetaFile {
    tensors: Tensors,
    beta: f64,
    expected: Expected,
}

#[derive(Deserialize)]
struct PreferenceFile {
    tensors: Tensors,
    cases: Vec<PreferenceCase>,
}

#[derive(Deserialize)]
struct PreferenceCase {
    options: PreferenceOptions,
    expected: Expected,
}

#[derive(Deserialize)]
struct Tensors(BTreeMap<String, TensorFile>);

impl Tensors {
    fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let TensorFile { shape, values } = &self.0[name];
        let data = TensorData::new(values.clone(), shape.clone());
        Tensor::from_data(data, &Device::flex().autodiff())
    }

    fn prediction(&self, name: &str) -> Tensor<4> {
        self.get(name).require_grad()
    }
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = PathBuf::from("tests/fixtures/objectives").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1.0), "{what}: {found} instead of {expected}");
}

#[track_caller]
fn assert_objective(objective: Objective, predictions: &[&Tensor<4>], expected: &Expected, what: &str) {
    assert_objective_within(objective, predictions, expected, what, TOLERANCE);
}

#[track_caller]
fn assert_objective_within(
    objective: Objective,
    predictions: &[&Tensor<4>],
    expected: &Expected,
    what: &str,
    tolerance: f64,
) {
    let values: Vec<f32> = objective.values.into_data().try_to_vec().unwrap();
    let logged: BTreeMap<&str, f32> = objective.names.into_iter().zip(values).collect();
    assert_eq!(logged.keys().collect::<Vec<_>>(), expected.logged.keys().collect::<Vec<_>>(), "{what}");
    for (name, &value) in &expected.logged {
        assert_near(f64::from(logged[name.as_str()]), value, tolerance, &format!("{what}, {name}"));
    }
    let gradients = objective.loss.backward();
    assert_eq!(predictions.len(), expected.gradients.len());
    for (prediction, expected) in predictions.iter().zip(&expected.gradients) {
        let found: Vec<f32> = prediction.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        assert_eq!(found.len(), expected.values.len());
        for (place, (&found, &value)) in found.iter().zip(&expected.values).enumerate() {
            assert_near(f64::from(found), f64::from(value), tolerance, &format!("{what}, gradient {place}"));
        }
    }
}

/// All strategies are in the fixture.
fn assert_strategies(file: &PreferenceFile) {
    let strategies: Vec<_> = file.cases.iter().map(|case| case.options.stabilisation).collect();
    assert!(matches!(
        strategies[..],
        [
            Stabilisation::None,
            Stabilisation::Constant { .. },
            Stabilisation::Safeguard { .. },
            Stabilisation::NormRatio
        ]
    ));
}

#[test]
fn sft_matches_numpy_and_torch() {
    let file: SftFile = read("sft.json");
    let prediction = file.tensors.prediction("prediction");
    let objective = sft(prediction.clone(), file.tensors.get("target"), file.tensors.get("weights"));
    assert_objective(objective, &[&prediction], &file.expected, "sft");
}

#[test]
fn cpo_matches_numpy_and_torch() {
    let file: PreferenceFile = read("cpo.json");
    assert_strategies(&file);
    for case in &file.cases {
        let prediction = file.tensors.prediction("prediction");
        let input = CpoInput {
            prediction: prediction.clone(),
            reference: file.tensors.get("reference"),
            winning: file.tensors.get("winning"),
            losing: file.tensors.get("losing"),
            weights: file.tensors.get("weights"),
        };
        let what = format!("{:?}", case.options.stabilisation);
        assert_objective(cpo(input, &case.options), &[&prediction], &case.expected, &what);
    }
}

#[test]
fn diffusion_dpo_matches_numpy_and_torch() {
    let file: PreferenceFile = read("diffusion_dpo.json");
    assert_strategies(&file);
    for case in &file.cases {
        let [winning, losing] =
            ["winning", "losing"].map(|side| file.tensors.prediction(&format!("prediction_{side}")));
        let input = DiffusionDpoInput {
            prediction_winning: winning.clone(),
            prediction_losing: losing.clone(),
            reference_winning: file.tensors.get("reference_winning"),
            reference_losing: file.tensors.get("reference_losing"),
            target_winning: file.tensors.get("target_winning"),
            target_losing: file.tensors.get("target_losing"),
            weights: file.tensors.get("weights"),
        };
        let what = format!("{:?}", case.options.stabilisation);
        assert_objective(diffusion_dpo(input, &case.options), &[&winning, &losing], &case.expected, &what);
    }
}

#[test]
fn diffusion_kto_matches_numpy() {
    let BetaFile { tensors, beta, expected } = read("diffusion_kto.json");
    let prediction = tensors.prediction("prediction");
    let input = DiffusionKtoInput {
        prediction: prediction.clone(),
        reference: tensors.get("reference"),
        target: tensors.get("target"),
        labels: tensors.get("labels"),
        weights: tensors.get("weights"),
    };
    assert_objective(diffusion_kto(input, beta), &[&prediction], &expected, "kto");
}

/// The margin is a thousand times a difference of numbers near 1: its last digits are those of 1e-4.
#[test]
fn mapo_matches_numpy() {
    let BetaFile { tensors, beta, expected } = read("mapo.json");
    let [winning, losing] = ["prediction_winning", "prediction_losing"].map(|name| tensors.prediction(name));
    let input = MapoInput {
        prediction_winning: winning.clone(),
        prediction_losing: losing.clone(),
        target_winning: tensors.get("target"),
        target_losing: tensors.get("target"),
        weights: tensors.get("weights"),
    };
    assert_objective_within(mapo(input, beta), &[&winning, &losing], &expected, "mapo", 3e-4);
}
