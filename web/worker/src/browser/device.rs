//! The device that computes.

use super::adapter::{self, Adapter};
use atelier_core::noise::NoiseSource;
use atelier_web_messages::{DeviceChoice, DeviceKind, DeviceReport};
use burn::tensor::{Device, FloatDType, Tensor};

/// A device, and what the page is told of it.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The device.
    pub device: Device,
    /// What the page is told.
    pub report: DeviceReport,
}

impl OpenDevice {
    /// The processor; `fallback` says why, if WebGPU was wanted.
    pub fn processor(fallback: Option<String>) -> Self {
        let report = DeviceReport {
            kind: DeviceKind::Cpu,
            name: "the processor".to_owned(),
            half_precision: false,
            fallback,
        };
        Self { device: Device::flex(), report }
    }

    /// How weights are kept: in half precision, as they were downloaded, where the adapter computes with that.
    pub fn storage_dtype(&self) -> FloatDType {
        if self.report.half_precision { FloatDType::F16 } else { FloatDType::F32 }
    }
}

/// The devices that were opened. A browser's WebGPU can be opened once.
#[derive(Debug, Default)]
pub struct Devices {
    web_gpu: Option<Result<OpenDevice, String>>,
}

impl Devices {
    /// The device for `choice`.
    pub async fn open(&mut self, choice: DeviceChoice) -> OpenDevice {
        match choice {
            DeviceChoice::Cpu => OpenDevice::processor(None),
            DeviceChoice::Auto | DeviceChoice::WebGpu => {
                self.web_gpu().await.unwrap_or_else(|reason| OpenDevice::processor(Some(reason)))
            }
        }
    }

    /// WebGPU.
    ///
    /// # Errors
    /// Why it cannot be used, in one sentence.
    pub async fn web_gpu(&mut self) -> Result<OpenDevice, String> {
        if self.web_gpu.is_none() {
            self.web_gpu = Some(open_web_gpu().await);
        }
        self.web_gpu.clone().expect("opened above")
    }

    /// Gives WebGPU up: a lost device cannot be opened again before the page is loaded again.
    pub fn lose_web_gpu(&mut self, reason: &str) -> OpenDevice {
        let sentence =
            format!("WebGPU was lost ({reason}), so the processor paints; reload the page to try again.");
        self.web_gpu = Some(Err(sentence.clone()));
        OpenDevice::processor(Some(sentence))
    }
}

async fn open_web_gpu() -> Result<OpenDevice, String> {
    let Some(Adapter { name, has_half_precision }) = adapter::find().await else {
        return Err("This browser has no WebGPU, so the processor paints; that takes longer.".to_owned());
    };
    let failed =
        |error: String| format!("WebGPU on {name} does not work ({error}), so the processor paints.");
    let device = Device::wgpu_options().init_async().await.map_err(|error| failed(error.to_string()))?;
    computes(&device, FloatDType::F32).await.map_err(failed)?;
    // Drivers that offer half precision and miscompute it exist.
    let half_precision = has_half_precision && computes(&device, FloatDType::F16).await.is_ok();
    let report = DeviceReport { kind: DeviceKind::WebGpu, name, half_precision, fallback: None };
    Ok(OpenDevice { device, report })
}

/// Whether `device` multiplies matrices in `dtype` as the processor does.
async fn computes(device: &Device, dtype: FloatDType) -> Result<(), String> {
    const SIDE: usize = 16;
    let product = |device: &Device| {
        let matrix: Tensor<2> = NoiseSource::new(0).normal([SIDE, SIDE], device).cast(dtype);
        matrix.clone().matmul(matrix).cast(FloatDType::F32)
    };
    let read = async |product: Tensor<2>| -> Result<Vec<f32>, String> {
        let data = product.into_data_async().await.map_err(|error| error.to_string())?;
        Ok(data.iter::<f32>().collect())
    };
    let (expected, found) = (read(product(&Device::flex())).await?, read(product(device)).await?);
    // Sums of 16 products of numbers around 1, in half precision of 11 bits.
    let is_near = expected.iter().zip(&found).all(|(expected, found)| (expected - found).abs() < 0.1);
    if is_near { Ok(()) } else { Err("a product of matrices is wrong".to_owned()) }
}
