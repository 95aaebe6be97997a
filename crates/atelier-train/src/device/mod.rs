//! Where computing happens: the choice of a device, and what each can do.

#[cfg(feature = "wgpu")]
mod gpu;

use burn::tensor::{DType, Device};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceChoice {
    /// A real GPU if there is one, never a software one, otherwise the CPU.
    #[default]
    Auto,
    /// The pure-Rust CPU backend.
    Cpu,
    /// The first GPU through wgpu with WGSL shaders (Vulkan, Metal or DX12), software ones included.
    Wgpu,
    /// The first GPU through Vulkan with SPIR-V shaders, faster on real ones (needs the Cargo feature `vulkan`).
    Vulkan,
}

/// A device that was asked for cannot be had.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The binary lacks the backend.
    #[error("this build has no {0} backend; build with `--features {0}`, or use `--device cpu`")]
    NotBuilt(&'static str),
    /// No adapter answered.
    #[error("no {0} adapter was found (`atelier devices` lists what there is); use `--device cpu`")]
    NotFound(&'static str),
    /// The adapter could not be opened.
    #[error("the {0} adapter could not be opened: {1}; update its driver, or use `--device cpu`")]
    Failed(&'static str, String),
}

/// One line of `atelier devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceInformation {
    /// What to pass to `--device`.
    pub choice: DeviceChoice,
    /// The adapter's name.
    pub name: String,
    /// `cpu`, `discrete GPU`, `integrated GPU`, `software GPU`, …
    pub kind: String,
    /// The graphics interface, such as `Vulkan`; empty for the CPU.
    pub api: String,
    /// Floating-point types that tensors can have there.
    pub float_types: Vec<String>,
    /// Whether `--device auto` may take it.
    pub automatic: bool,
}

impl DeviceChoice {
    /// The device, without gradients.
    ///
    /// # Errors
    /// [`DeviceError`] if the backend was not built in or finds no adapter.
    pub fn device(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Auto => Ok(gpu::first_real().unwrap_or_else(Device::flex)),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => gpu::wgpu(),
            #[cfg(feature = "wgpu")]
            Self::Vulkan => gpu::vulkan(),
            #[cfg(not(feature = "wgpu"))]
            Self::Auto => Ok(Device::flex()),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu | Self::Vulkan => Err(DeviceError::NotBuilt("wgpu")),
        }
    }
}

/// The CPU and every adapter.
pub fn list() -> Vec<DeviceInformation> {
    #[cfg_attr(not(feature = "wgpu"), expect(unused_mut, reason = "only adapters are added"))]
    let mut devices = vec![DeviceInformation {
        choice: DeviceChoice::Cpu,
        name: "CPU (burn flex)".to_owned(),
        kind: "cpu".to_owned(),
        api: String::new(),
        float_types: float_types(&Device::flex()),
        automatic: true,
    }];
    #[cfg(feature = "wgpu")]
    devices.extend(gpu::list());
    devices
}

/// The name of `device` for people.
pub fn name(device: &Device) -> String {
    if device.clone().inner() == Device::flex() {
        "CPU (burn flex)".to_owned()
    } else {
        format!("{device:?}")
    }
}

fn float_types(device: &Device) -> Vec<String> {
    [DType::F32, DType::F16, DType::BF16]
        .into_iter()
        .filter(|dtype| device.supports_dtype(*dtype))
        .map(|dtype| format!("{dtype:?}").to_lowercase())
        .collect()
}
