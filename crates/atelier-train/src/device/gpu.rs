//! Adapters that wgpu finds.

use super::{DeviceChoice, DeviceError, DeviceInformation};
use burn::tensor::{
    Device, DeviceKind,
    wgpu::{WgpuBackend, wgpu},
};

/// The kinds of real GPU, best first.
const REAL: [fn(usize) -> DeviceKind; 3] =
    [DeviceKind::DiscreteGpu, DeviceKind::IntegratedGpu, DeviceKind::VirtualGpu];

/// The best real GPU, if it can be opened.
pub fn first_real() -> Option<Device> {
    let adapters = adapters();
    REAL.iter().find_map(|kind| {
        let kind = kind(0);
        adapters.iter().any(|adapter| kind_of(adapter.get_info().device_type) == kind).then_some(())?;
        Device::wgpu_options().device_kind(kind).init().ok()
    })
}

/// The best adapter with WGSL shaders, software ones included.
pub fn wgpu() -> Result<Device, DeviceError> {
    open(WgpuBackend::WebGpu, "wgpu")
}

/// The best Vulkan adapter with SPIR-V shaders.
pub fn vulkan() -> Result<Device, DeviceError> {
    if cfg!(feature = "vulkan") {
        open(WgpuBackend::Vulkan, "vulkan")
    } else {
        Err(DeviceError::NotBuilt("vulkan"))
    }
}

fn open(api: WgpuBackend, name: &'static str) -> Result<Device, DeviceError> {
    let adapters = adapters();
    let software = DeviceKind::Cpu;
    let kinds = REAL.iter().map(|kind| kind(0)).chain([software]);
    let kind = kinds
        .into_iter()
        .find(|kind| adapters.iter().any(|adapter| kind_of(adapter.get_info().device_type) == *kind))
        .ok_or(DeviceError::NotFound(name))?;
    let api = if cfg!(feature = "vulkan") { api } else { WgpuBackend::Auto };
    Device::wgpu_options()
        .device_kind(kind)
        .graphics_api(api)
        .init()
        .map_err(|error| DeviceError::Failed(name, error.to_string()))
}

/// Every adapter, for `atelier devices`.
pub fn list() -> Vec<DeviceInformation> {
    let describe = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        let half = adapter.features().contains(wgpu::Features::SHADER_F16);
        DeviceInformation {
            choice: DeviceChoice::Wgpu,
            name: info.name.clone(),
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete GPU",
                wgpu::DeviceType::IntegratedGpu => "integrated GPU",
                wgpu::DeviceType::VirtualGpu => "virtual GPU",
                wgpu::DeviceType::Cpu => "software GPU",
                wgpu::DeviceType::Other => "other",
            }
            .to_owned(),
            api: info.backend.to_string(),
            float_types: if half { vec!["f32".to_owned(), "f16".to_owned()] } else { vec!["f32".to_owned()] },
            automatic: kind_of(info.device_type) != DeviceKind::Cpu,
        }
    };
    adapters().iter().map(describe).collect()
}

fn adapters() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::default();
    futures_lite::future::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
}

/// Adapters of unknown kind count as software: `auto` must never take a slow one.
fn kind_of(device_type: wgpu::DeviceType) -> DeviceKind {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(0),
        wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(0),
        wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(0),
        wgpu::DeviceType::Cpu | wgpu::DeviceType::Other => DeviceKind::Cpu,
    }
}
