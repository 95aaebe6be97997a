//! What training sees of a picture: parts of it at the size of its bucket, as they are or mirrored.

use crate::{buckets::Buckets, error::TrainError, imagefolder};
use atelier_core::{picture::resized_part, pipeline::SizeConditions};
use image::{RgbImage, imageops};
use std::path::Path;

/// Cutting this share of a picture away goes unnoticed; cutting more may change its composition.
const MOST_CUT: f64 = 0.05;

/// How pictures are framed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramingOptions {
    /// The sizes to choose from.
    pub buckets: Buckets,
    /// How many parts of a picture that is longer than its bucket are taken; 1 takes the centre.
    pub crops: u32,
    /// Whether to mirror pictures whose caption allows it.
    pub flips: bool,
}

/// A picture's size and bucket, and its views. Pairs are `[width, height]`, in pixels of the picture as it is in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    original: [u32; 2],
    /// The size of the part that is taken: the largest with the shape of `target`.
    part: [u32; 2],
    target: [u32; 2],
    views: Vec<View>,
}

/// One part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Pixels to the left of the part and above it, in the picture as it is in its file.
    pub origin: [u32; 2],
    /// Whether the part is mirrored afterwards.
    pub flipped: bool,
}

impl Framing {
    /// The views of a picture of `original` pixels at the size `target`: `crops` parts, evenly spread over the direction in
    /// which the picture is too long (fewer where they would coincide), and, if `flips`, their mirror images.
    pub fn new(original: [u32; 2], target: [u32; 2], crops: u32, flips: bool) -> Self {
        let part = largest_part(original, target);
        let excess = [original[0] - part[0], original[1] - part[1]];
        let mut origins: Vec<[u32; 2]> = match crops {
            0 | 1 => vec![excess.map(|pixels| pixels / 2)],
            crops => (0..crops).map(|index| excess.map(|pixels| spread(pixels, index, crops))).collect(),
        };
        origins.dedup();
        let sides: &[bool] = if flips { &[false, true] } else { &[false] };
        let views = origins
            .into_iter()
            .flat_map(|origin| sides.iter().map(move |&flipped| View { origin, flipped }))
            .collect();
        Self { original, part, target, views }
    }

    /// The views, never none.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// The size of every view in training.
    pub fn target(&self) -> [u32; 2] {
        self.target
    }

    /// The size of the part of the picture that every view shows.
    pub fn part(&self) -> [u32; 2] {
        self.part
    }

    /// Whether so much is cut away that the composition may be another one.
    pub fn is_cropped(&self) -> bool {
        let area = |[width, height]: [u32; 2]| f64::from(width) * f64::from(height);
        area(self.part) < (1.0 - MOST_CUT) * area(self.original)
    }

    /// Whether some views are mirrored.
    pub fn is_flipped(&self) -> bool {
        self.views.iter().any(|view| view.flipped)
    }

    /// What SDXL is told of `view`: the picture's own size, and where the crop begins once the picture is scaled so that
    /// the part has the target's size (and mirrored, if it is), as diffusers' training script has it.
    pub fn sizes(&self, view: View) -> SizeConditions {
        let [left, top] = view.origin;
        let left = if view.flipped { self.original[0] - self.part[0] - left } else { left };
        let scaled = |pixels: u32, axis: usize| {
            (f64::from(pixels) * f64::from(self.target[axis]) / f64::from(self.part[axis])).round() as usize
        };
        let rows_first = |[width, height]: [u32; 2]| [height as usize, width as usize];
        SizeConditions {
            original: rows_first(self.original),
            crop: [scaled(top, 1), scaled(left, 0)],
            target: rows_first(self.target),
        }
    }

    /// `view` of the picture, at the size of its bucket.
    pub fn render(&self, picture: &RgbImage, view: View) -> RgbImage {
        let mut framed = resized_part(picture, view.origin, self.part, self.target);
        if view.flipped {
            imageops::flip_horizontal_in_place(&mut framed);
        }
        framed
    }
}

/// The framings of pictures with captions, of which the headers are read.
///
/// # Errors
/// [`TrainError::ImageFolder`] names a picture that cannot be read.
pub fn frame(pictures: &[(&Path, &str)], options: &FramingOptions) -> Result<Vec<Framing>, TrainError> {
    let paths: Vec<&Path> = pictures.iter().map(|(path, _)| *path).collect();
    let sizes = imagefolder::all_dimensions(&paths)?;
    let framings = pictures.iter().zip(sizes).map(|((_, caption), original)| {
        let flips = options.flips && !names_a_side(caption);
        Framing::new(original, options.buckets.choose(original), options.crops, flips)
    });
    Ok(framings.collect())
}

/// Whether a mirror image would contradict `caption`.
fn names_a_side(caption: &str) -> bool {
    let mut words = caption.split(|character: char| !character.is_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case("left") || word.eq_ignore_ascii_case("right"))
}

/// The size of the largest part of a picture with the shape of `target`, rounded to whole pixels.
fn largest_part([width, height]: [u32; 2], [target_width, target_height]: [u32; 2]) -> [u32; 2] {
    let along = |across: u32, side: u32, other: u32, most: u32| {
        let pixels = (u64::from(across) * u64::from(side) + u64::from(other) / 2) / u64::from(other.max(1));
        (pixels as u32).clamp(1, most.max(1))
    };
    if u64::from(width) * u64::from(target_height) >= u64::from(height) * u64::from(target_width) {
        [along(height, target_width, target_height, width), height]
    } else {
        [width, along(width, target_height, target_width, height)]
    }
}

/// Where part `index` of `count`, at least two, begins.
fn spread(excess: u32, index: u32, count: u32) -> u32 {
    let last = u64::from(count - 1);
    ((u64::from(excess) * u64::from(index) + last / 2) / last) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn views_lie_in_the_picture_and_have_the_shape_of_the_bucket(
            original in prop::array::uniform2(1..4000_u32),
            target in prop::array::uniform2(1..2000_u32),
            crops in 1..6_u32,
            flips: bool,
        ) {
            let framing = Framing::new(original, target, crops, flips);
            let part = framing.part();
            for view in framing.views() {
                for axis in 0..2 {
                    prop_assert!(view.origin[axis] + part[axis] <= original[axis]);
                }
            }
            // It covers the bucket with one side, and the other side is a rounded one.
            prop_assert!(part[0] == original[0] || part[1] == original[1]);
            let wanted = f64::from(target[0]) / f64::from(target[1]);
            let nearest = (f64::from(part[1]) * wanted - f64::from(part[0])).abs() <= 0.5 + 1e-9
                || (f64::from(part[0]) / wanted - f64::from(part[1])).abs() <= 0.5 + 1e-9;
            prop_assert!(nearest || part.contains(&1), "{part:?} for {target:?}");
            let count = framing.views().len();
            prop_assert!(count >= 1 && count <= (crops * (1 + u32::from(flips))) as usize);
            let mut distinct = framing.views().to_vec();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), count);
        }
    }

    #[test]
    fn crops_are_spread_from_end_to_end() {
        let origins = |crops| -> Vec<[u32; 2]> {
            Framing::new([300, 100], [64, 64], crops, false).views().iter().map(|view| view.origin).collect()
        };
        assert_eq!(origins(1), [[100, 0]]);
        assert_eq!(origins(2), [[0, 0], [200, 0]]);
        assert_eq!(origins(4), [[0, 0], [67, 0], [133, 0], [200, 0]]);
        let square = Framing::new([100, 100], [64, 64], 4, false);
        assert_eq!(square.views().len(), 1, "there is nothing to choose");
    }

    #[test]
    fn only_a_crop_that_shows_is_one() {
        let cropped = |original| Framing::new(original, [64, 64], 1, false).is_cropped();
        assert!(!cropped([100, 100]) && !cropped([104, 100]));
        assert!(cropped([110, 100]) && cropped([100, 110]));
    }

    #[test]
    fn sdxl_is_told_of_the_true_size_and_the_scaled_crop() {
        // 300 x 100 pixels are scaled to 192 x 64 before 64 x 64 are taken.
        let framing = Framing::new([300, 100], [64, 64], 4, true);
        let sizes: Vec<_> = framing.views().iter().map(|&view| framing.sizes(view)).collect();
        assert!(sizes.iter().all(|sizes| sizes.original == [100, 300] && sizes.target == [64, 64]));
        let crops: Vec<_> = sizes.iter().map(|sizes| sizes.crop).collect();
        let lefts = [0, 128, 43, 85, 85, 43, 128, 0];
        assert_eq!(crops, lefts.map(|left| [0, left]), "a mirrored part begins at the mirrored place");
    }

    #[test]
    fn a_view_shows_its_part() {
        // Columns of red, green and blue.
        let picture = RgbImage::from_fn(30, 10, |x, _| {
            let mut colour = [0; 3];
            colour[(x / 10) as usize] = 255;
            Rgb(colour)
        });
        let framing = Framing::new([30, 10], [10, 10], 3, false);
        for (channel, &view) in framing.views().iter().enumerate() {
            let shown = framing.render(&picture, view);
            assert_eq!(shown.dimensions(), (10, 10));
            assert!(shown.pixels().all(|pixel| pixel.0[channel] == 255), "{view:?}");
        }
        let mirrored = Framing::new([30, 10], [30, 10], 1, true);
        let shown = mirrored.render(&picture, mirrored.views()[1]);
        assert_eq!([shown.get_pixel(0, 0).0, shown.get_pixel(29, 0).0], [[0, 0, 255], [255, 0, 0]]);
    }

    #[test]
    fn captions_that_name_a_side_forbid_the_mirror() {
        for caption in ["a tree on the left", "Right: a boat", "light from the left, two jugs"] {
            assert!(names_a_side(caption), "{caption}");
        }
        for caption in ["a bright lefthand sea", "", "an upright vase"] {
            assert!(!names_a_side(caption), "{caption}");
        }
    }
}
