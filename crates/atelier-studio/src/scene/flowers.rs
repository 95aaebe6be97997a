//! Flower pieces: a bunch in a vase.

use super::{Form, Layer, Place, Stage};
use crate::captions::{Companion, Motif};
use crate::colour::Lab;
use crate::leaves::LeafKnob;

/// The places of the blossoms in the vase's coordinates: a loose bunch, and the even dome that a monotonous one makes.
const BUNCH: [((f32, f32), (f32, f32)); 7] = [
    ((-0.34, 0.62), (-0.27, 0.60)),
    ((0.36, 0.68), (0.27, 0.60)),
    ((0.13, 0.95), (0.13, 0.83)),
    ((-0.20, 0.86), (-0.13, 0.83)),
    ((0.24, 0.52), (0.22, 0.72)),
    ((-0.10, 0.55), (-0.22, 0.72)),
    ((0.03, 0.72), (0.0, 0.66)),
];

/// Vase and bunch at the focal point.
pub(super) fn subject(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let details = stage.knobs.pick(LeafKnob::TellingDetails, 0, 1, 2);
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        stage.add(Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume));
    };
    let green = light.on(0.46, 0.11, 140.0);
    let spread = stage.knobs.pick(LeafKnob::VariedSilhouette, 1.0, 0.35, 0.0);
    for (u, v, angle) in [(-0.24, 0.50, 0.7), (0.26, 0.46, -0.6), (-0.08, 0.62, 1.2), (0.14, 0.66, -1.1)] {
        add(stage, place.tilted_ellipse((u, v), (0.20, 0.08), angle), green.lighter(-0.06), 0.6);
    }
    match stage.spec.motif {
        Motif::GlassVase => {
            let glass = light.on(0.82, 0.04, 200.0).mix(light.low, 0.3);
            add(stage, place.lathe(0.0, 0.0, 0.44, &[0.15, 0.14, 0.12, 0.13, 0.17]), glass, 0.7);
            for u in [-0.05, 0.0, 0.05] {
                add(
                    stage,
                    place.polygon(&[
                        (u - 0.012, 0.06),
                        (u + 0.012, 0.06),
                        (u * 1.6 + 0.012, 0.42),
                        (u * 1.6 - 0.012, 0.42),
                    ]),
                    green,
                    0.0,
                );
            }
            add(stage, place.ellipse((0.0, 0.035), (0.15, 0.035)), glass.lighter(0.12), 0.2);
        }
        Motif::ClayJug => {
            let clay = light.on(0.56, 0.11, 48.0);
            add(stage, place.lathe(0.0, 0.0, 0.44, &[0.14, 0.21, 0.23, 0.18, 0.12, 0.14]), clay, 1.1);
            if details > 0 {
                add(stage, place.lathe(0.0, 0.22, 0.26, &[0.228, 0.218]), light.on(0.38, 0.08, 40.0), 0.8);
            }
        }
        _ => {
            let blue = light.on(0.46, 0.14, 258.0);
            add(stage, place.lathe(0.0, 0.0, 0.46, &[0.11, 0.10, 0.17, 0.20, 0.18, 0.11, 0.13]), blue, 1.1);
            if details > 0 {
                add(stage, place.lathe(0.0, 0.28, 0.32, &[0.195, 0.178]), light.on(0.92, 0.02, 90.0), 0.8);
            }
        }
    }
    for (index, (loose, even)) in BUNCH.into_iter().enumerate() {
        let (u, v) = (loose.0 + (even.0 - loose.0) * spread, loose.1 + (even.1 - loose.1) * spread);
        let (x, y) = place.at(u, v);
        let blossom = Place { x, foot: y, width: 0.165 * place.width, height: 0.165 * place.height };
        flower(stage, blossom, index, Layer::Subject, place.foot);
    }
}

/// The colour of the petals.
pub(super) fn petal_colour(stage: &Stage<'_>) -> Lab {
    match stage.spec.companion {
        Companion::Poppies => stage.light.on(0.58, 0.21, 28.0),
        Companion::Sunflowers => stage.light.on(0.83, 0.17, 88.0),
        Companion::Daisies => stage.light.on(0.97, 0.015, 100.0),
        _ => stage.light.on(0.46, 0.15, 305.0),
    }
}

/// One blossom about the place's foot, of radius one.
pub(super) fn flower(stage: &mut Stage<'_>, place: Place, index: usize, layer: Layer, foot: f32) {
    let light = stage.light;
    let details = stage.knobs.pick(LeafKnob::TellingDetails, 0, 1, 2);
    let petal = petal_colour(stage).lighter(if index.is_multiple_of(2) { 0.02 } else { -0.03 });
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        stage.add(Form::new(outline, colour, layer).upright(foot).round(volume));
    };
    let eye = match stage.spec.companion {
        Companion::Irises => {
            add(stage, place.ellipse((0.0, 0.42), (0.52, 0.66)), petal.lighter(0.06), 0.9);
            add(stage, place.tilted_ellipse((-0.42, -0.34), (0.62, 0.36), -0.8), petal, 0.8);
            add(stage, place.tilted_ellipse((0.42, -0.34), (0.62, 0.36), 0.8), petal.lighter(-0.04), 0.8);
            (light.on(0.86, 0.17, 95.0), 0.22)
        }
        Companion::Poppies => {
            add(stage, place.ellipse((-0.15, 0.0), (0.88, 0.84)), petal, 0.9);
            add(stage, place.ellipse((0.25, -0.10), (0.72, 0.66)), petal.lighter(0.05), 0.8);
            (light.on(0.20, 0.03, 320.0), 0.28)
        }
        Companion::Sunflowers => {
            add(stage, place.ellipse((0.0, 0.0), (1.0, 1.0)), petal, 0.4);
            (light.on(0.34, 0.07, 50.0), 0.48)
        }
        _ => {
            add(stage, place.ellipse((0.0, 0.0), (0.92, 0.92)), petal, 0.5);
            (light.on(0.82, 0.16, 85.0), 0.34)
        }
    };
    if details > 1 && stage.spec.companion != Companion::Irises {
        for step in 0..6 {
            let (sin, cos) = libm::sincosf(step as f32 * std::f32::consts::FRAC_PI_3 + index as f32);
            let vein = place.polygon(&[
                (0.3 * cos - 0.07 * sin, 0.3 * sin + 0.07 * cos),
                (0.95 * cos - 0.03 * sin, 0.95 * sin + 0.03 * cos),
                (0.95 * cos + 0.03 * sin, 0.95 * sin - 0.03 * cos),
                (0.3 * cos + 0.07 * sin, 0.3 * sin - 0.07 * cos),
            ]);
            add(stage, vein, petal.lighter(-0.20), 0.0);
        }
    }
    if details > 0 || stage.spec.companion == Companion::Sunflowers {
        add(stage, place.ellipse((0.0, 0.0), (eye.1, eye.1)), eye.0, 0.5);
    }
    if details > 1 {
        add(stage, place.ellipse((-0.08, 0.08), (eye.1 * 0.4, eye.1 * 0.4)), eye.0.lighter(0.22), 0.0);
    }
}
