//! Paintings: specification, knobs, and the picture that they make.

use image::RgbImage;
use rand::Rng;

use crate::brushwork::paint_aims;
use crate::buffer::AimBuffer;
use crate::captions::SceneSpec;
use crate::finish::finish;
use crate::grade::grade;
use crate::knobs::Knobs;
use crate::noise::{Purpose, stream};
use crate::scene::Scene;
use atelier_criteria::Labels;

/// How many leaves of a painting of the studio are not neutral.
pub const ACTIVE_LEAVES: std::ops::RangeInclusive<usize> = 5..=9;

/// Paints a square picture of `size` pixels a side (at least 1).
///
/// The picture depends on the arguments alone: same arguments, same bytes, on any machine and any thread. Two
/// pictures that differ in one knob differ in what the knob shows and in nothing else.
#[must_use]
pub fn paint(spec: &SceneSpec, knobs: &Knobs, size: u32, seed: u64) -> RgbImage {
    let side = size.max(1) as usize;
    let scene = Scene::compose(spec, knobs, seed);
    let mut aims = AimBuffer::draw(&scene, knobs, side);
    grade(&mut aims, &scene, knobs);
    let mut canvas = paint_aims(&aims, &scene, knobs, seed);
    finish(&mut canvas, &aims, &scene, knobs, seed);
    RgbImage::from_fn(side as u32, side as u32, |x, y| {
        image::Rgb(canvas.colours[y as usize * side + x as usize].to_srgb())
    })
}

/// Everything that decides a painting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaintingSpec {
    /// What it shows.
    pub spec: SceneSpec,
    /// Which leaves it shows, and on which side.
    pub knobs: Knobs,
    /// Decides layout and brushwork.
    pub seed: u64,
}

impl PaintingSpec {
    /// The painting number `index` of the studio with this seed.
    #[must_use]
    pub fn from_seed(seed: u64, index: u64) -> Self {
        // The golden ratio's bits spread neighbouring indices over all seeds.
        let own =
            stream(seed ^ index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15), Purpose::Specification)
                .random::<u64>();
        Self {
            spec: SceneSpec::draw(&mut stream(own, Purpose::Specification)),
            knobs: Knobs::draw(&mut stream(own, Purpose::Knobs), ACTIVE_LEAVES),
            seed: own,
        }
    }

    /// The sentence that says what the painting shows.
    #[must_use]
    pub fn caption(&self) -> String {
        self.spec.caption()
    }

    /// The leaves that the painting shows on either side.
    #[must_use]
    pub fn labels(&self) -> Labels {
        self.knobs.labels()
    }

    /// Paints it, `size` pixels a side.
    #[must_use]
    pub fn paint(&self, size: u32) -> RgbImage {
        paint(&self.spec, &self.knobs, size, self.seed)
    }
}

/// A painting with everything that is known about it.
#[derive(Debug, Clone)]
pub struct Painting {
    /// What decided the painting.
    pub spec: PaintingSpec,
    /// The sentence that says what it shows.
    pub caption: String,
    /// The leaves that it shows on either side.
    pub labels: Labels,
    /// The picture.
    pub image: RgbImage,
}

/// An endless series of paintings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Studio {
    /// Decides every painting of the series.
    pub seed: u64,
    /// The side of the pictures in pixels.
    pub size: u32,
}

impl Studio {
    /// The painting number `index` with everything that is known about it.
    #[must_use]
    pub fn painting(&self, index: u64) -> Painting {
        let spec = PaintingSpec::from_seed(self.seed, index);
        Painting { caption: spec.caption(), labels: spec.labels(), image: spec.paint(self.size), spec }
    }
}
