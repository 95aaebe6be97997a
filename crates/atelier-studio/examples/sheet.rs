//! Contact sheets of the painter.
//!
//! `sheet random OUT.png [SEED] [COUNT] [neutral]` paints a random series, with no leaf active if `neutral` is given;
//! `sheet leaves OUT.png [FIRST] [COUNT]` paints, for each leaf from number FIRST on, negative, neutral and positive
//! of one scene of every genre.

use atelier_studio::{Genre, Knobs, LeafKnob, PaintingSpec, Side, contact_sheet, paint};
use image::RgbImage;
use rayon::prelude::*;

const SIZE: u32 = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: sheet random|leaves OUT.png [NUMBER] [NUMBER] [neutral]".into());
    };
    let number = |index: usize, default: u64| rest.get(index).map_or(Ok(default), |text| text.parse());
    let sheet = if kind == "leaves" {
        leaves(number(0, 0)? as usize, number(1, 8)? as usize)
    } else {
        random(number(0, 1)?, number(1, 48)?, rest.get(2).is_some())
    };
    sheet.save(out)?;
    Ok(())
}

fn random(seed: u64, count: u64, neutral: bool) -> RgbImage {
    let paint_one = |index| {
        let mut spec = PaintingSpec::from_seed(seed, index);
        if neutral {
            spec.knobs = Knobs::neutral();
        }
        spec.paint(SIZE)
    };
    let images: Vec<RgbImage> = (0..count).into_par_iter().map(paint_one).collect();
    contact_sheet(&images, 8)
}

fn leaves(first: usize, count: usize) -> RgbImage {
    let scenes: Vec<PaintingSpec> = Genre::ALL
        .into_iter()
        .filter_map(|genre| {
            (0..).map(|index| PaintingSpec::from_seed(11, index)).find(|s| s.spec.genre == genre)
        })
        .collect();
    let sides = [Some(Side::Negative), None, Some(Side::Positive)];
    let jobs: Vec<_> = LeafKnob::ALL
        .into_iter()
        .skip(first)
        .take(count)
        .flat_map(|knob| scenes.iter().flat_map(move |scene| sides.map(|side| (knob, scene, side))))
        .collect();
    let paint_one = |(knob, scene, side): (LeafKnob, &PaintingSpec, Option<Side>)| {
        paint(&scene.spec, &Knobs::neutral().with(knob, side), SIZE, scene.seed)
    };
    let images: Vec<RgbImage> = jobs.into_par_iter().map(paint_one).collect();
    contact_sheet(&images, 12)
}
