//! How much memory a device has.

use burn::tensor::Device;
use std::fs;

/// The memory of `device` in bytes: of the CPU what the system says is available (on Linux); graphics interfaces do not
/// say what a GPU has.
pub fn device_memory(device: &Device) -> Option<u64> {
    if device.clone().inner() != Device::flex() {
        return None;
    }
    available(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// `MemAvailable` of Linux' `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       16330720 kB\nMemFree:          822916 kB\nMemAvailable:   10240000 kB\n";
        assert_eq!(available(text), Some(10_240_000 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
