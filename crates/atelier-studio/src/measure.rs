//! What can be measured in a picture: named numbers, computed from its pixels alone.
//!
//! Everything is measured at [`SIDE`] pixels a side in OKLab (Ottosson 2020), whose lightness and chroma follow the eye.
//! No measure stands for a leaf by itself: the [annotator](crate::annotator) weighs them.

mod colour;
mod edges;
mod horizon;
mod orientation;
mod planes;
mod space;
mod subject;
mod texture;
mod value;

use crate::colour::Lab;
use image::{RgbImage, imageops};
use planes::Planes;

/// The side that pictures are measured at: the small painter's.
pub const SIDE: u32 = 128;

/// Named measures of one picture, always the same names in the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    names: Vec<String>,
    values: Vec<f32>,
}

impl Measures {
    /// Measures `picture`; a picture of another size is resized first. All values are finite.
    #[must_use]
    pub fn of(picture: &RgbImage) -> Self {
        let resized;
        let picture = if picture.dimensions() == (SIDE, SIDE) {
            picture
        } else {
            resized = imageops::resize(picture, SIDE, SIDE, imageops::FilterType::Triangle);
            &resized
        };
        let colours: Vec<Lab> = picture.pixels().map(|pixel| Lab::from_srgb(pixel.0)).collect();
        let planes = Planes::new(&colours);
        let mut measures = Self { names: Vec::new(), values: Vec::new() };
        value::measure(&planes, &mut measures);
        colour::measure(&planes, &mut measures);
        texture::measure(&planes, &mut measures);
        edges::measure(&planes, &mut measures);
        orientation::measure(&planes, &mut measures);
        space::measure(&planes, &mut measures);
        let horizon = horizon::measure(&planes, &mut measures);
        subject::measure(&planes, horizon, &mut measures);
        measures
    }

    /// What is measured.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values, in the order of the names.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Adds one measure. A value that is not a number (of an empty set of pixels) becomes 0.
    fn push(&mut self, name: impl Into<String>, value: f32) {
        self.names.push(name.into());
        self.values.push(if value.is_finite() { value } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;

    /// The value of one measure of a picture that `colour` paints.
    fn measured(name: &str, colour: impl Fn(u32, u32) -> [u8; 3]) -> f32 {
        let measures = Measures::of(&RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb(colour(x, y))));
        let index = measures.names().iter().position(|known| known == name);
        measures.values()[index.unwrap_or_else(|| panic!("no measure is called {name}"))]
    }

    #[test]
    fn grey_has_no_chroma_and_red_has_much() {
        assert!(measured("chroma p50", |_, _| [128; 3]) < 1e-3);
        assert!(measured("chroma p50", |_, _| [255, 0, 0]) > 0.2);
    }

    #[test]
    fn black_and_white_are_clipped() {
        let half = |x, _| if x < SIDE / 2 { [0; 3] } else { [255; 3] };
        assert!((measured("share of black", half) - 0.5).abs() < 1e-3);
        assert!((measured("share of white", half) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn a_horizon_is_found_with_its_height_and_tilt() {
        let level = |_, y| if y < 40 { [200; 3] } else { [60; 3] };
        assert!((measured("horizon height", level) - 40.0 / 128.0).abs() < 0.03);
        assert!(measured("horizon tilt", level).abs() < 1.1);
        let tilted =
            |x: u32, y: u32| if (y as f32) < 64.0 + 0.12 * (x as f32 - 64.0) { [200; 3] } else { [60; 3] };
        // atan(0.12) is 6.8 degrees; the search goes in steps of one degree.
        assert!((measured("horizon tilt", tilted) - 6.8).abs() < 1.1);
    }

    #[test]
    fn a_dark_side_pulls_the_weight() {
        let left = |x, _| if x < 40 { [10; 3] } else { [230; 3] };
        assert!(measured("lateral weight", left) > 0.2);
        assert!(measured("lateral weight", |_, y| if y < 40 { [10; 3] } else { [230; 3] }) < 0.02);
    }

    #[test]
    fn stripes_have_one_direction_and_noise_has_none() {
        let stripes = |x: u32, y: u32| if (x + y) % 8 < 4 { [220; 3] } else { [40; 3] };
        let speckle = |x: u32, y: u32| [((x * 7919 + y * 104_729 + x * y * 31) % 256) as u8; 3];
        assert!(measured("coherence", stripes) > 0.8);
        assert!(measured("coherence", speckle) < 0.5);
    }

    #[test]
    fn leaning_edges_are_told_from_upright_ones() {
        let stripes = |slope: f32| {
            move |x: u32, y: u32| {
                if (x as f32 + slope * y as f32).rem_euclid(40.0) < 20.0 { [200; 3] } else { [60; 3] }
            }
        };
        // tan(15 degrees) is 0.27; the kernel of two pixels to each side measures it to a few hundredths.
        for slope in [0.27, -0.27] {
            let lean = measured("broad upright edges lean", stripes(slope));
            assert!((lean - 0.27).abs() < 0.05, "{lean}");
        }
        assert!(measured("broad upright edges lean", stripes(0.0)) < 0.01);
    }

    #[test]
    fn a_wobbling_horizon_bends() {
        let edge = |wobble: f32| {
            move |x: u32, y: u32| {
                let height = 60.0 + wobble * libm::sinf(x as f32 * 0.8);
                if (y as f32) < height { [200; 3] } else { [60; 3] }
            }
        };
        assert!(measured("bends of the horizon mean", edge(0.0)) < 0.05);
        assert!(measured("bends of the horizon mean", edge(3.0)) > 0.5);
    }

    #[test]
    fn highlights_are_white_and_small() {
        let spot = |colour: [u8; 3]| {
            move |x: u32, y: u32| {
                if x % 32 < 4 && y % 32 < 4 { colour } else { [90; 3] }
            }
        };
        let whites = |colour| measured("larger whites p99.6", spot(colour));
        assert!(whites([255; 3]) > 0.1, "{}", whites([255; 3]));
        // The grey round a coloured spot takes some of its light without its colour.
        assert!(whites([255, 160, 0]) < 0.5 * whites([255; 3]), "{}", whites([255, 160, 0]));
        assert!(measured("larger whites p99.6", |x, _| if x < 64 { [255; 3] } else { [90; 3] }) < 1e-3);
    }

    #[test]
    fn hues_that_turn_from_side_to_side_are_measured() {
        let turning = |x: u32, _| [120 + x as u8, 160, 248 - x as u8];
        assert!(measured("hue turns at the top", turning) > 1.0);
        assert!(measured("hue turns at the top", |_, _| [120, 160, 248]) < 1e-3);
    }

    #[test]
    fn a_subject_off_the_middle_is_found_on_either_side() {
        let at = |centre: i32| {
            move |x: u32, y: u32| {
                let inside = (x as i32 - centre).pow(2) + (y as i32 - 70).pow(2) < 400;
                if inside { [220, 40, 40] } else { [90, 110, 130] }
            }
        };
        let off = |centre| measured("subject off the middle", at(centre));
        assert!(off(64) < 0.02 && (off(38) - 0.2).abs() < 0.03 && (off(90) - 0.2).abs() < 0.03);
    }

    #[test]
    fn mirror_images_measure_the_same() {
        // Fewer measures than these may know left from right: where strokes run at a place, and the direction of edges.
        let sided = |name: &str| name.starts_with("strokes") || name.starts_with("edges at");
        let colour = |x: u32, y: u32| {
            let mound = (x as i32 - 40).pow(2) + (y as i32 - 80).pow(2) < 500;
            if mound {
                [200, 60, 50]
            } else if y < 50 {
                [120, 160, 210]
            } else {
                [90, 130, 70]
            }
        };
        let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb(colour(x, y)));
        let (one, other) = (Measures::of(&picture), Measures::of(&imageops::flip_horizontal(&picture)));
        for ((name, one), other) in one.names().iter().zip(one.values()).zip(other.values()) {
            // Differences to the right neighbour, and windows of even width, see a border one pixel early or late.
            let tolerance = 0.05 + 0.1 * one.abs();
            assert!(sided(name) || (one - other).abs() < tolerance, "{name}: {one} against {other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_picture_gives_the_same_finite_measures(
            width in 1_u32..20, height in 1_u32..20, bytes in prop::collection::vec(any::<u8>(), 20 * 20 * 3),
        ) {
            let picture = RgbImage::from_fn(width, height, |x, y| {
                let at = ((y * width + x) * 3) as usize;
                Rgb([bytes[at], bytes[at + 1], bytes[at + 2]])
            });
            let measures = Measures::of(&picture);
            let expected = Measures::of(&RgbImage::new(4, 4));
            prop_assert_eq!(measures.names(), expected.names());
            prop_assert!(measures.values().iter().all(|value| value.is_finite()));
        }
    }
}
