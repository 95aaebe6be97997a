//! Where computing happens: the choice of a device, and what each can do.

mod choice;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "wgpu")]
mod gpu;

pub use choice::{DeviceChoice, DeviceList};

use burn::tensor::{DType, Device};
use serde::Serialize;
use thiserror::Error;

/// A device that was asked for cannot be had.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The binary lacks the backend.
    #[error("this build has no {0} backend; build with `--features {0}`, or use `--device cpu`")]
    NotBuilt(&'static str),
    /// No such adapter answered.
    #[error("no adapter {0} was found (`atelier devices` lists what there is); use `--device cpu`")]
    NotFound(DeviceChoice),
    /// The adapter could not be opened.
    #[error("the adapter {0} could not be opened: {1}; update its driver, or use `--device cpu`")]
    Failed(DeviceChoice, String),
    /// The text names no device.
    #[error(
        "{0:?} is no device; devices are auto, cpu, wgpu, vulkan and cuda, the last three also with an index, as wgpu:1 \
         (`atelier devices` lists them)"
    )]
    Unknown(String),
    /// `auto` beside other devices.
    #[error("{0:?}: auto chooses one device; name every device of a list, as wgpu:0,wgpu:1")]
    AutoInList(String),
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

/// The CPU and every adapter.
pub fn list() -> Vec<DeviceInformation> {
    #[cfg_attr(
        not(any(feature = "wgpu", feature = "cuda")),
        expect(unused_mut, reason = "only GPUs are added")
    )]
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
    #[cfg(feature = "cuda")]
    devices.extend(cuda::list());
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
