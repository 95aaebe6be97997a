//! Previews of the shipped painter's latents show the picture.

use atelier_core::{latent_preview::LatentPreview, picture, pipeline::Pipeline};
use atelier_studio::PaintingSpec;
use burn::tensor::Device;
use futures_lite::future::block_on;
use image::imageops::{FilterType, resize};
use std::path::Path;

#[test]
fn a_preview_looks_like_the_picture() {
    let device = Device::flex();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/painter");
    let pipeline = Pipeline::load(&*folder, &device).expect("the shipped painter");
    let preview = block_on(LatentPreview::fit(&pipeline, &device)).expect("fitted");
    let (mut errors, mut spread) = (0.0, 0.0);
    for index in 0..4 {
        let painting = PaintingSpec::from_seed(9, index).paint(128);
        let latents = pipeline.encode_pictures(picture::to_tensor([&painting], &device));
        let shown = block_on(preview.project(&latents)).expect("projected").remove(0);
        assert_eq!(shown.dimensions(), (32, 32));
        let small = resize(&painting, 32, 32, FilterType::Triangle);
        let mean = small.as_raw().iter().map(|&v| f64::from(v)).sum::<f64>() / small.as_raw().len() as f64;
        for (&shown, &true_value) in shown.as_raw().iter().zip(small.as_raw()) {
            errors += (f64::from(shown) - f64::from(true_value)).powi(2);
            spread += (mean - f64::from(true_value)).powi(2);
        }
    }
    // A preview has to tell sky from sea, not more: a mean grey would have 1.
    assert!(errors / spread < 0.25, "the preview misses {:.2} of the variance", errors / spread);
}
