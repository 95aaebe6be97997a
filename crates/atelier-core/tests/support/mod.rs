//! Fixtures of models, and how close outputs must come to them.
#![allow(dead_code, reason = "every test file takes what it needs")]

use std::fs;
use std::path::PathBuf;

use atelier_core::models::ModelConfig;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};

/// See the tests for why.
const TOLERANCE: f32 = 1e-4;

/// A folder with a model and its inputs and outputs.
pub struct Fixture {
    pub folder: PathBuf,
    io: Vec<u8>,
}

impl Fixture {
    /// The model `name` in `fixtures/models`.
    pub fn open(name: &str) -> Self {
        Self::at(PathBuf::from("tests/fixtures/models").join(name))
    }

    /// The folder of any model.
    pub fn at(folder: PathBuf) -> Self {
        let io = fs::read(folder.join("io.safetensors")).unwrap();
        Self { folder, io }
    }

    /// Its `config.json`.
    pub fn config<C: ModelConfig>(&self) -> C {
        C::from_json(&fs::read(self.folder.join("config.json")).unwrap()).unwrap()
    }

    /// One of its inputs or outputs.
    pub fn floats<const D: usize>(&self, name: &str) -> Tensor<D> {
        let tensors = SafeTensors::deserialize(&self.io).unwrap();
        let view = tensors.tensor(name).unwrap();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::I64 => {
                view.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect()
            }
            dtype => panic!("{name} has the type {dtype}"),
        };
        Tensor::from_data(TensorData::new(values, view.shape().to_vec()), &Device::flex())
    }
}

/// Every value is within the tolerance, relative to the largest where that is above 1.
#[track_caller]
pub fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
    assert_close_within(found, expected, TOLERANCE);
}

/// As [`assert_close`], within another tolerance.
#[track_caller]
pub fn assert_close_within<const D: usize>(found: Tensor<D>, expected: Tensor<D>, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    let scale: f32 = expected.clone().abs().max().into_scalar();
    assert!(scale > 0.01, "the fixture says nothing: its largest value is {scale}");
    let error: f32 = (found - expected).abs().max().into_scalar();
    assert!(error <= tolerance * scale.max(1.0), "largest error {error}, largest value {scale}");
}
