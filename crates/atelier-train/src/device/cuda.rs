//! NVIDIA GPUs through CUDA.

use super::{DeviceChoice, DeviceError, DeviceInformation, float_types};
use burn::tensor::{Device, DeviceType};

/// The GPU with this index, as CUDA counts them.
pub fn device(index: usize) -> Result<Device, DeviceError> {
    devices().nth(index).ok_or(DeviceError::NotFound(DeviceChoice::Cuda(index)))
}

/// Every GPU, for `atelier devices`. Each is opened for its name.
pub fn list() -> Vec<DeviceInformation> {
    let describe = |(index, device): (usize, Device)| DeviceInformation {
        choice: DeviceChoice::Cuda(index),
        name: device.identity().map_or_else(|| format!("GPU {index}"), |identity| identity.name),
        kind: "discrete GPU".to_owned(),
        api: "CUDA".to_owned(),
        float_types: float_types(&device),
        automatic: false,
    };
    devices().enumerate().map(describe).collect()
}

/// None without NVIDIA's driver.
fn devices() -> impl Iterator<Item = Device> {
    Device::enumerate(DeviceType::Cuda).into_iter()
}
