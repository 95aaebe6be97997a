//! Adapters that wgpu finds.

use super::{DeviceChoice, DeviceError, DeviceInformation};
use burn::tensor::{
    Device, DeviceKind,
    wgpu::{WgpuBackend, WgpuInitError, wgpu},
};

/// burn's name of an adapter with an index among those of its kind.
type KindOf = fn(usize) -> DeviceKind;

/// The kinds of adapter that burn can name, best first, and what they are for people.
const KINDS: [(wgpu::DeviceType, KindOf, &str); 4] = [
    (wgpu::DeviceType::DiscreteGpu, DeviceKind::DiscreteGpu, "discrete GPU"),
    (wgpu::DeviceType::IntegratedGpu, DeviceKind::IntegratedGpu, "integrated GPU"),
    (wgpu::DeviceType::VirtualGpu, DeviceKind::VirtualGpu, "virtual GPU"),
    (wgpu::DeviceType::Cpu, |_| DeviceKind::Cpu, "software GPU"),
];

/// The graphics interfaces in the order in which burn tries them.
const INTERFACES: [wgpu::Backends; 3] = [wgpu::Backends::VULKAN, wgpu::Backends::METAL, wgpu::Backends::DX12];

/// An adapter, and burn's name of it.
struct Gpu {
    kind: DeviceKind,
    description: &'static str,
    adapter: wgpu::Adapter,
}

impl Gpu {
    fn is_real(&self) -> bool {
        self.kind != DeviceKind::Cpu
    }
}

/// The best real GPU that can be opened.
pub fn first_real() -> Option<Device> {
    let real = gpus().into_iter().filter(Gpu::is_real);
    real.map(|gpu| open(gpu.kind, WgpuBackend::Auto)).find_map(Result::ok)
}

/// The adapter with this index, software ones last.
pub fn wgpu(index: usize) -> Result<Device, DeviceError> {
    nth(DeviceChoice::Wgpu(index), index, WgpuBackend::Auto)
}

/// The Vulkan adapter with this index, with SPIR-V shaders.
pub fn vulkan(index: usize) -> Result<Device, DeviceError> {
    if cfg!(feature = "vulkan") {
        nth(DeviceChoice::Vulkan(index), index, WgpuBackend::Vulkan)
    } else {
        Err(DeviceError::NotBuilt("vulkan"))
    }
}

fn nth(choice: DeviceChoice, index: usize, api: WgpuBackend) -> Result<Device, DeviceError> {
    let gpu = gpus().into_iter().nth(index).ok_or(DeviceError::NotFound(choice))?;
    open(gpu.kind, api).map_err(|error| DeviceError::Failed(choice, error.to_string()))
}

fn open(kind: DeviceKind, api: WgpuBackend) -> Result<Device, WgpuInitError> {
    let options = Device::wgpu_options().device_kind(kind.clone()).graphics_api(api);
    match options.init() {
        // A run may ask for a device twice; burn opens each once.
        Err(WgpuInitError::Registration { .. }) => Ok(opened(kind, api)),
        result => result,
    }
}

#[cfg(feature = "vulkan")]
fn opened(kind: DeviceKind, api: WgpuBackend) -> Device {
    if api == WgpuBackend::Vulkan { Device::vulkan(kind) } else { Device::wgpu(kind) }
}

#[cfg(not(feature = "vulkan"))]
fn opened(kind: DeviceKind, _api: WgpuBackend) -> Device {
    Device::wgpu(kind)
}

/// Every adapter, for `atelier devices`.
pub fn list() -> Vec<DeviceInformation> {
    let describe = |(index, gpu): (usize, Gpu)| {
        let info = gpu.adapter.get_info();
        let half = gpu.adapter.features().contains(wgpu::Features::SHADER_F16);
        DeviceInformation {
            choice: DeviceChoice::Wgpu(index),
            name: info.name,
            kind: gpu.description.to_owned(),
            api: info.backend.to_string(),
            float_types: if half { vec!["f32".to_owned(), "f16".to_owned()] } else { vec!["f32".to_owned()] },
            automatic: gpu.is_real(),
        }
    };
    gpus().into_iter().enumerate().map(describe).collect()
}

/// The adapters of the first interface that has one. burn counts each kind by itself, and knows one software adapter.
fn gpus() -> Vec<Gpu> {
    let instance = wgpu::Instance::default();
    let adapters_of = |interface| futures_lite::future::block_on(instance.enumerate_adapters(interface));
    let adapters = INTERFACES.into_iter().map(adapters_of).find(|found| !found.is_empty());
    let mut groups = KINDS.map(|_| Vec::new());
    for adapter in adapters.unwrap_or_default() {
        let device_type = adapter.get_info().device_type;
        let Some(rank) = KINDS.iter().position(|(kind, ..)| *kind == device_type) else { continue };
        let (_, kind, description) = KINDS[rank];
        let gpu = Gpu { kind: kind(groups[rank].len()), description, adapter };
        if groups[rank].iter().all(|other: &Gpu| other.kind != gpu.kind) {
            groups[rank].push(gpu);
        }
    }
    groups.into_iter().flatten().collect()
}
