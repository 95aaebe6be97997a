//! Pictures on their way to the page and from it.

use super::{failure::Failure, job::Job, link::reply};
use atelier_core::picture::{centre_square, decode, encode_png};
use atelier_studio::{Knobs, LeafKnob, PaintingSpec, Side};
use atelier_web_messages::{Pixels, Reply};
use image::RgbImage;
use std::io::Cursor;

/// The side of the model's pictures, and of the studio's examples.
pub const SIDE: u32 = 128;
/// Files beyond this are refused before they are read.
const MAX_FILE: usize = 64 << 20;

/// The picture as messages have it.
pub fn to_pixels(picture: &RgbImage) -> Pixels {
    Pixels { width: picture.width(), height: picture.height(), rgb: picture.as_raw().clone() }
}

/// The picture of a message.
///
/// # Errors
/// [`Failure::Picture`] if its size is not that of its values.
pub fn from_pixels(pixels: &Pixels) -> Result<RgbImage, Failure> {
    RgbImage::from_raw(pixels.width, pixels.height, pixels.rgb.clone())
        .filter(|picture| picture.width() > 0 && picture.height() > 0)
        .ok_or_else(|| Failure::Picture("A picture without pixels cannot be explained.".to_owned()))
}

/// The bytes of a PNG file with texts.
///
/// # Errors
/// [`Failure::Picture`], for no picture of a model.
pub fn png(picture: &RgbImage, text: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
    encode_png(picture, text).map_err(|error| Failure::Picture(error.to_string()))
}

/// Reads a visitor's picture file.
///
/// # Errors
/// [`Failure::Picture`] says what is wrong with it.
pub fn open(bytes: Vec<u8>, job: Job) -> Result<(), Failure> {
    let refused = |reason: String| Failure::Picture(format!("This file cannot be opened: {reason}."));
    if bytes.is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    if bytes.len() > MAX_FILE {
        return Err(refused(format!("it has more than {} MB", MAX_FILE >> 20)));
    }
    let picture = decode(Cursor::new(bytes)).map_err(|error| match error {
        image::ImageError::Unsupported(_) => refused("it is no PNG, JPEG or WebP picture".to_owned()),
        image::ImageError::Limits(_) => refused("the picture has too many pixels".to_owned()),
        other => refused(other.to_string()),
    })?;
    let square = centre_square(&picture, SIDE);
    reply(&Reply::Opened { job: job.id, pixels: to_pixels(&square), png: png(&square, &[])? });
    Ok(())
}

/// Paints both sides of a leaf, on a painting that is neutral in all others.
///
/// # Errors
/// [`Failure::Picture`], which no studio painting causes.
pub fn studio_example(leaf: &str, genres: &[String], job: Job) -> Result<(), Failure> {
    let pngs = LeafKnob::from_id(leaf).map(|knob| {
        let PaintingSpec { spec, seed, .. } = suitable(genres, knob);
        let side = |side: Side| {
            let knobs = Knobs::default().with(knob, Some(side));
            png(&atelier_studio::paint(&spec, &knobs, SIDE, seed), &[])
        };
        Ok::<_, Failure>([side(Side::Positive)?, side(Side::Negative)?])
    });
    reply(&Reply::StudioExample { job: job.id, leaf: leaf.to_owned(), pngs: pngs.transpose()? });
    Ok(())
}

/// A painting of one of `genres`, which are all if there is none; another one for each leaf.
fn suitable(genres: &[String], knob: LeafKnob) -> PaintingSpec {
    const GENRES: [&str; 4] = ["landscape", "seascape", "still-life", "flower-piece"];
    let applies = |painting: &PaintingSpec| {
        let genre = GENRES[painting.spec.genre as usize];
        genres.is_empty() || genres.iter().any(|own| own == genre)
    };
    let mut paintings = (0..).map(|index| PaintingSpec::from_seed(knob.index() as u64, index));
    // Every genre comes up: a leaf of none of the studio's genres would not be one of its leaves.
    paintings.by_ref().take(100).find(applies).unwrap_or_else(|| PaintingSpec::from_seed(0, 0))
}
