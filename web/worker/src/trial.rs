//! A first computation on the page's device, which proves that the core works there.

use crate::adapter;
use atelier_core::noise::NoiseSource;
use burn::tensor::Device;

/// How many numbers are added up.
const COUNT: usize = 1024;

/// What the page tells of its device.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// One sentence that names the device.
    pub device: String,
    /// One sentence with the sum that the device computed, and the same sum computed by the page itself.
    pub result: String,
}

/// Opens the best device of this browser and adds up seeded noise on it.
pub async fn run() -> Trial {
    let (device, sentence) = open().await;
    let expected: f64 = NoiseSource::new(0).normals(COUNT).into_iter().map(f64::from).sum();
    let result = match NoiseSource::new(0).normal([COUNT], &device).sum().into_scalar_async::<f32>().await {
        Ok(sum) => {
            format!("{COUNT} numbers of seeded noise add up to {sum:.3} there, and to {expected:.3} here.")
        }
        Err(error) => format!("It could not add up {COUNT} numbers: {error}."),
    };
    Trial { device: sentence, result }
}

async fn open() -> (Device, String) {
    let Some(name) = adapter::name().await else {
        return (Device::flex(), "This browser has no WebGPU, so the CPU (flex) computes.".to_owned());
    };
    match Device::wgpu_options().init_async().await {
        Ok(device) => (device, format!("WebGPU computes on {name}.")),
        Err(error) => (
            Device::flex(),
            format!("WebGPU on {name} could not be opened ({error}), so the CPU (flex) computes."),
        ),
    }
}
