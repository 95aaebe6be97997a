//! The benchmark as text that can be pasted into a bug report.

use atelier_web_messages::{BenchmarkReport, DeviceKind, StepTime};
use std::fmt::Write as _;

/// `report` as plain text.
#[must_use]
pub fn text(version: &str, user_agent: &str, processors: f64, report: &BenchmarkReport) -> String {
    let mut text =
        format!("Atelier {version}, benchmark\nBrowser:   {user_agent}\nThreads:   {processors:.0}\n");
    let line = |text: &mut String, name: &str, milliseconds: f64| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<24}{milliseconds:>9.0} ms");
    };
    let first_picture = format!("first picture, {} steps", StepTime::STEPS);
    text += "Models\n";
    line(&mut text, "load", report.load);
    for time in &report.devices {
        let kind = match time.device.kind {
            DeviceKind::WebGpu => "WebGPU",
            DeviceKind::Cpu => "CPU",
        };
        let half = if time.device.half_precision { ", shader-f16" } else { "" };
        let _ = writeln!(text, "{kind} ({}{half})", time.device.name);
        line(&mut text, "step with guidance", time.step);
        line(&mut text, &first_picture, time.first_picture);
        line(&mut text, "decode", time.decode);
    }
    if !report.devices.iter().any(|time| time.device.kind == DeviceKind::WebGpu) {
        text += "WebGPU: none\n";
    }
    let _ =
        writeln!(text, "Memory of the worker\n  {:<24}{:>9.1} MB", "WebAssembly", report.memory as f64 / 1e6);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_web_messages::DeviceReport;

    #[test]
    fn the_text_has_every_figure() {
        let device = DeviceReport {
            kind: DeviceKind::Cpu,
            name: "the processor".to_owned(),
            half_precision: false,
            fallback: None,
        };
        let report = BenchmarkReport {
            load: 250.4,
            devices: vec![StepTime { device, step: 61.2, first_picture: 1900.0, decode: 33.0 }],
            memory: 123_400_000,
        };
        let text = text("0.1.0", "A browser/1", 8.0, &report);
        for part in [
            "0.1.0",
            "A browser/1",
            "250 ms",
            "CPU (the processor)",
            "61 ms",
            "1900 ms",
            "33 ms",
            "123.4 MB",
            "WebGPU: none",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
