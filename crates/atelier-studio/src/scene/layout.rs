//! Where things stand: horizon, subject, sides, and the faults of drawing.

use rand::Rng;

use super::Place;
use crate::captions::{Genre, Motif, SceneSpec};
use crate::knobs::Knobs;
use crate::leaves::LeafKnob;
use crate::noise::{Purpose, sign, stream, uniform};

/// The geometry of a painting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// The height of the horizon or of the table's far edge.
    pub horizon: f32,
    /// How much the picture's horizontals drop per unit to the right.
    pub tilt: f32,
    /// Where the subject stands, after every knob.
    pub subject: Place,
    /// The side that light comes from: -1 left, 1 right.
    pub light_side: f32,
    /// The side that the subject does not stand on.
    pub open_side: f32,
    /// The side that heavy masses are heaped on.
    pub heavy_side: f32,
    /// How far uprights lean per unit of height.
    pub lean: f32,
    /// How far contours stray, in picture units.
    pub wobble: f32,
    /// Seeds the noise of ridges and contours.
    pub noise: u32,
    /// Chooses between two kinds of a fault or a scheme.
    pub variant: bool,
}

impl Layout {
    /// The layout that seed, specification and knobs decide.
    pub fn new(spec: &SceneSpec, knobs: &Knobs, seed: u64) -> Self {
        // All draws come first and in fixed order, so that no knob changes another one's dice.
        let rng = &mut stream(seed, Purpose::Layout);
        let high_horizon: bool = rng.random();
        let (light_side, subject_side, heavy_side) = (sign(rng), sign(rng), sign(rng));
        let (tilt_side, lean_side, stretched) = (sign(rng), sign(rng), rng.random::<bool>());
        let (tilt, lean) = (uniform(rng, 6.5, 9.0), uniform(rng, 12.0, 18.0));
        let (size, off_centre) = (uniform(rng, 0.94, 1.06), uniform(rng, 0.17, 0.21));
        let (noise, variant) = (rng.random(), rng.random());

        let third = if high_horizon { 0.34 } else { 0.66 };
        let between = if high_horizon { 0.42 } else { 0.58 };
        let horizon = knobs.pick(LeafKnob::HorizonHeight, 0.5, between, third);

        let natural = match (spec.genre, spec.motif) {
            (_, Motif::RowingBoat) => 0.30,
            (_, Motif::Farmhouse | Motif::CopperPot) => 0.34,
            (Genre::Landscape | Genre::Seascape, _) => 0.42,
            (Genre::StillLife, Motif::BlueJug) => 0.44,
            (Genre::StillLife, _) => 0.50,
            (Genre::FlowerPiece, _) => 0.60,
        };
        let commanding = if spec.genre == Genre::FlowerPiece { 1.32 } else { 1.5 };
        let scale = size
            * natural
            * knobs.pick(LeafKnob::CommandingSubject, 0.45, 1.0, commanding)
            * knobs.pick(LeafKnob::BreathingRoom, 1.15, 1.0, 0.94);
        let distortion = knobs.pick(LeafKnob::Proportion, 1.0, 0.12, 0.0);
        let (wider, taller) = if stretched {
            (1.0 - 0.42 * distortion, 1.0 + 0.22 * distortion)
        } else {
            (1.0 + 0.55 * distortion, 1.0 - 0.45 * distortion)
        };
        let (width, height) = (scale * wider, scale * taller);
        let reach = if spec.genre.is_outdoors() { 0.36 } else { 0.48 };
        let standing: f32 = horizon + (1.0 - horizon) * reach;
        let foot = knobs.pick(
            LeafKnob::BreathingRoom,
            1.0 + 0.3 * height,
            standing.max(height + 0.04).min(0.96),
            standing.max(height + 0.08).min(0.90),
        );
        let shift = knobs.pick(LeafKnob::Placement, 0.0, 0.08, off_centre) * subject_side;
        Self {
            horizon,
            tilt: tilt_side
                * libm::tanf(tilt.to_radians())
                * knobs.pick(LeafKnob::LevelHorizon, 1.0, 0.12, 0.0),
            subject: Place { x: 0.5 + shift, foot, width, height },
            light_side,
            open_side: -subject_side,
            heavy_side,
            lean: lean_side
                * libm::tanf(lean.to_radians())
                * knobs.pick(LeafKnob::PlumbVerticals, 1.0, 0.15, 0.0),
            wobble: knobs.pick(LeafKnob::ConfidentContours, 0.022, 0.004, 0.0),
            noise,
            variant,
        }
    }
}
