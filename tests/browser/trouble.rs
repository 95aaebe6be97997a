//! What goes wrong gives a message, and the page goes on.

use crate::{
    page::{Page, none},
    recipe,
    server::Fault,
    webdriver::WebGpu,
};
use atelier_web_messages::{Choice, Recipe};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use serde_json::json;
use std::fs;

const UNET: &str = "models/painter/unet/diffusion_pytorch_model.safetensors";

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn broken_model_files_are_named() {
    let page = Page::open(WebGpu::None);
    let recipe = Recipe { steps: 1, ..recipe() };
    for (fault, expected) in [
        (Fault::OneByte, "damaged"),
        (Fault::Half, "damaged"),
        (Fault::BrokenOff, "could not be downloaded"),
        (Fault::Missing, "404"),
    ] {
        page.server.break_file(UNET, fault.clone());
        page.start_painting(&recipe, Choice::Base);
        let message = page.take_alert();
        assert!(message.contains(UNET) && message.contains(expected), "{fault:?}: {message}");
    }
    page.server.repair();
    page.paint(&recipe, Choice::Base);
    page.finish(|entry| entry.is_network);
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn a_full_storage_is_said_and_does_not_matter() {
    let page = Page::open(WebGpu::None);
    let quota = json!({ "origin": page.server.address(), "quotaSize": 1 });
    page.browser.devtools("Storage.overrideQuotaForOrigin", quota);
    let recipe = Recipe { steps: 1, ..recipe() };
    page.start_painting(&recipe, Choice::Base);
    let message = page.take_alert();
    assert!(message.contains("does not keep") || message.contains("could not be kept"), "{message}");
    page.wait("a picture", "return document.querySelector('figure.picture img')?.naturalWidth > 0");
    page.finish(none);
}

/// A grey PNG file.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let pixels = vec![128; (width * height) as usize];
    PngEncoder::new(&mut file).write_image(&pixels, width, height, ExtendedColorType::L8).expect("a picture");
    file
}

/// A small file that claims to be `side` pixels wide and high.
fn png_bomb(side: u32) -> Vec<u8> {
    let mut file = png(8, 8);
    // Signature, length and type of the first chunk; then width and height; five more bytes; the check sum of type and data.
    for start in [16, 20] {
        file[start..start + 4].copy_from_slice(&side.to_be_bytes());
    }
    let sum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

/// The check sum of PNG files, from their specification.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

#[test]
#[ignore = "needs dist/: cargo xtask test builds it"]
fn odd_uploads_are_refused_with_a_message() {
    let page = Page::open(WebGpu::None);
    page.go("#explain");
    let folder = tempfile::tempdir().expect("a folder");
    let upload = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, content).expect("written");
        page.wait("the field", "return document.querySelector('#upload') !== null");
        page.browser.type_into("#upload", &file.display().to_string());
    };
    for (name, content, expected) in [
        ("empty.png", Vec::new(), "empty"),
        ("text.png", b"not a picture".to_vec(), "no PNG, JPEG or WebP"),
        ("cut-off.png", png(64, 64)[..60].to_vec(), "cannot be opened"),
        ("bomb.png", png_bomb(50_000), "too many pixels"),
    ] {
        upload(name, &content);
        let message = page.take_alert();
        assert!(message.contains(expected), "{name}: {message}");
        assert_eq!(page.count("figure.uploaded"), 0);
    }
    // As large as those of a good camera, and of another shape than the model's.
    upload("large.png", &png(5000, 4000));
    page.wait("the picture", "return document.querySelector('figure.uploaded img')?.naturalWidth === 128");
    page.finish(none);
}
