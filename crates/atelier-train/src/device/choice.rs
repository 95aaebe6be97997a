//! `--device`: one device, or several that share the steps of a run.

use super::DeviceError;
#[cfg(feature = "cuda")]
use super::cuda;
#[cfg(feature = "wgpu")]
use super::gpu;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One device: `auto`, `cpu`, `wgpu`, `vulkan` or `cuda`, the last three with the index of a GPU where there are several,
/// such as `wgpu:1`. `atelier devices` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// A real GPU if there is one, never a software one, otherwise the CPU.
    #[default]
    Auto,
    /// The pure-Rust CPU backend.
    Cpu,
    /// A GPU through wgpu (Vulkan, Metal or DX12), by its index among all, of which real ones come first.
    Wgpu(usize),
    /// A GPU through Vulkan with SPIR-V shaders, faster on real ones (needs the Cargo feature `vulkan`).
    Vulkan(usize),
    /// An NVIDIA GPU through CUDA, by CUDA's index (needs the Cargo feature `cuda`).
    Cuda(usize),
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
            Self::Wgpu(index) => gpu::wgpu(index),
            #[cfg(feature = "wgpu")]
            Self::Vulkan(index) => gpu::vulkan(index),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => cuda::device(index),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(DeviceError::NotBuilt("cuda")),
            #[cfg(not(feature = "wgpu"))]
            Self::Auto => Ok(Device::flex()),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu(_) | Self::Vulkan(_) => Err(DeviceError::NotBuilt("wgpu")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(0) => f.write_str("wgpu"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
            Self::Vulkan(0) => f.write_str("vulkan"),
            Self::Vulkan(index) => write!(f, "vulkan:{index}"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.to_owned());
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or_default())),
            ("vulkan", index) => Ok(Self::Vulkan(index.unwrap_or_default())),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or_default())),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

/// The devices of a training run, such as `wgpu:0,wgpu:1`. The first one keeps the weights and the optimiser.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceList {
    main: DeviceChoice,
    others: Vec<DeviceChoice>,
}

impl DeviceList {
    /// The first device, without gradients; the others are opened as well, so that a missing one is known at once.
    ///
    /// # Errors
    /// [`DeviceError`] if the backend of one was not built in or finds no adapter.
    pub fn device(&self) -> Result<Device, DeviceError> {
        self.others()?;
        self.main.device()
    }

    /// All devices but the first.
    ///
    /// # Errors
    /// [`DeviceError`] if the backend of one was not built in or finds no adapter.
    pub fn others(&self) -> Result<Vec<Device>, DeviceError> {
        self.others.iter().map(|choice| choice.device()).collect()
    }
}

impl From<DeviceChoice> for DeviceList {
    fn from(main: DeviceChoice) -> Self {
        Self { main, others: Vec::new() }
    }
}

impl fmt::Display for DeviceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.main)?;
        self.others.iter().try_for_each(|other| write!(f, ",{other}"))
    }
}

impl FromStr for DeviceList {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let mut choices = text.split(',').map(|choice| choice.trim().parse::<DeviceChoice>());
        let main = choices.next().unwrap_or(Ok(DeviceChoice::Auto))?;
        let others = choices.collect::<Result<Vec<_>, _>>()?;
        let has_auto = main == DeviceChoice::Auto || others.contains(&DeviceChoice::Auto);
        if has_auto && !others.is_empty() {
            return Err(DeviceError::AutoInList(text.to_owned()));
        }
        Ok(Self { main, others })
    }
}

impl TryFrom<String> for DeviceList {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<DeviceList> for String {
    fn from(list: DeviceList) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choice() -> impl Strategy<Value = DeviceChoice> {
        prop_oneof![
            Just(DeviceChoice::Cpu),
            (0usize..20).prop_map(DeviceChoice::Wgpu),
            (0usize..20).prop_map(DeviceChoice::Vulkan),
            (0usize..20).prop_map(DeviceChoice::Cuda),
        ]
    }

    proptest! {
        #[test]
        fn lists_are_read_as_they_are_written(main in choice(), others in prop::collection::vec(choice(), 0..4)) {
            let list = DeviceList { main, others };
            prop_assert_eq!(list.to_string().parse::<DeviceList>().expect("a list"), list);
        }
    }

    #[test]
    fn what_is_no_device_is_named() {
        for (text, named) in [
            ("gpu", "gpu"),
            ("cpu:1", "cpu:1"),
            ("wgpu:", "wgpu:"),
            ("wgpu:-1", "wgpu:-1"),
            ("cpu,,cpu", "\"\""),
            ("cpu,tpu", "tpu"),
            ("auto,cpu", "auto,cpu"),
        ] {
            let message = text.parse::<DeviceList>().expect_err(text).to_string();
            assert!(message.contains(named), "{text}: {message}");
        }
    }
}
