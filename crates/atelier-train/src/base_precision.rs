//! `--base-precision`: the type in which the frozen weights under an adapter lie on the device.

use crate::{device, error::TrainError};
use burn::tensor::{Device, FloatDType};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How precise the weights of a model are of which only an adapter is trained.
///
/// Denoiser and text encoders are kept in this type; each layer casts its weight for the pass, so that activations,
/// gradients, adapter and optimiser are in f32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BasePrecision {
    /// 32 bits, as trained weights have
    #[default]
    F32,
    /// 16 bits, 11 of them for the digits: what most models are published in
    F16,
    /// 16 bits, 8 of them for the digits: less precise than f16, with the range of f32
    Bf16,
}

impl BasePrecision {
    /// The name in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Bytes of one weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The type of tensors, which `device` must support.
    ///
    /// # Errors
    /// [`TrainError::Option`] names the types that the device does support.
    pub fn dtype_on(self, device: &Device) -> Result<FloatDType, TrainError> {
        let dtype = |precision: Self| match precision {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        };
        let supported = |precision: &Self| device.supports_dtype(dtype(*precision));
        if supported(&self) {
            return Ok(dtype(self));
        }
        let others: Vec<&str> =
            Self::value_variants().iter().filter(|it| supported(it)).map(|it| it.name()).collect();
        Err(TrainError::Option(format!(
            "--base-precision {}: {} cannot compute with that type; it can with {}",
            self.name(),
            device::name(device),
            others.join(" and ")
        )))
    }
}
