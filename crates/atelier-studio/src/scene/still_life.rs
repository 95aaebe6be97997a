//! Still lifes: a vessel, with fruit that the companions bring.

use super::{Form, Layer, Place, Stage};
use crate::captions::{Companion, Motif};
use crate::colour::Lab;
use crate::leaves::LeafKnob;

/// The vessel at the focal point.
pub(super) fn subject(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let details = stage.knobs.pick(LeafKnob::TellingDetails, 0, 1, 2);
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        stage.add(Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume));
    };
    match stage.spec.motif {
        Motif::WineBottle => {
            let glass = light.on(0.32, 0.07, 145.0);
            let profile = [0.15, 0.165, 0.165, 0.165, 0.165, 0.15, 0.07, 0.055, 0.055, 0.055];
            add(stage, place.lathe(0.0, 0.0, 1.0, &profile), glass, 1.0);
            if details > 0 {
                add(stage, place.lathe(0.0, 0.18, 0.46, &[0.166, 0.166]), light.on(0.88, 0.04, 85.0), 0.9);
            }
            if details > 1 {
                add(stage, place.lathe(0.0, 0.86, 1.0, &[0.062, 0.062]), light.on(0.48, 0.16, 28.0), 0.8);
                add(stage, place.rectangle(-0.11, 0.36, 0.11, 0.40), light.on(0.45, 0.15, 28.0), 0.0);
                add(stage, place.rectangle(-0.08, 0.27, 0.08, 0.30), light.on(0.35, 0.03, 60.0), 0.0);
            }
        }
        Motif::CopperPot => {
            let copper = light.on(0.56, 0.13, 48.0);
            let (x, y) = place.at(0.0, 1.0);
            let handle = crate::shape::Outline::Ring {
                centre: (x, y + 0.12 * place.height),
                radii: (0.36 * place.width, 0.34 * place.height),
                thickness: 0.045 * place.height,
            };
            add(stage, handle, light.on(0.34, 0.06, 45.0), 0.5);
            add(stage, place.lathe(0.0, 0.0, 0.82, &[0.38, 0.56, 0.60, 0.56, 0.46, 0.44]), copper, 1.1);
            add(stage, place.ellipse((0.0, 0.82), (0.45, 0.08)), light.on(0.26, 0.05, 40.0), 0.2);
            if details > 1 {
                add(stage, place.lathe(0.0, 0.66, 0.74, &[0.50, 0.46]), light.on(0.78, 0.12, 75.0), 0.8);
                for u in [-0.40, -0.2, 0.0, 0.2, 0.40] {
                    add(stage, place.ellipse((u, 0.40), (0.035, 0.035)), light.on(0.32, 0.07, 40.0), 0.0);
                }
            }
        }
        _ => {
            let blue = light.on(0.50, 0.13, 252.0);
            let side = stage.layout.open_side;
            let (x, y) = place.at(side * 0.28, 0.60);
            let handle = crate::shape::Outline::Ring {
                centre: (x, y),
                radii: (0.16 * place.width, 0.22 * place.height),
                thickness: 0.06 * place.height,
            };
            add(stage, handle, blue.lighter(-0.08), 0.6);
            add(
                stage,
                place.lathe(0.0, 0.0, 0.96, &[0.22, 0.32, 0.36, 0.33, 0.24, 0.17, 0.17, 0.21]),
                blue,
                1.1,
            );
            add(stage, place.ellipse((0.0, 0.955), (0.20, 0.045)), light.on(0.24, 0.07, 255.0), 0.2);
            if details > 0 {
                add(stage, place.lathe(0.0, 0.60, 0.66, &[0.262, 0.235]), light.on(0.90, 0.03, 90.0), 0.9);
            }
            if details > 1 {
                add(stage, place.lathe(0.0, 0.14, 0.20, &[0.315, 0.335]), light.on(0.90, 0.03, 90.0), 0.9);
                for u in [-0.2, 0.0, 0.2] {
                    add(stage, place.ellipse((u, 0.40), (0.055, 0.075)), light.on(0.92, 0.05, 90.0), 0.2);
                }
            }
        }
    }
}

/// The colour of the fruit.
pub(super) fn fruit_colour(stage: &Stage<'_>) -> Lab {
    match stage.spec.companion {
        Companion::Apples => stage.light.on(0.56, 0.18, 28.0),
        Companion::Pears => stage.light.on(0.72, 0.14, 115.0),
        Companion::Lemons => stage.light.on(0.86, 0.17, 100.0),
        _ => stage.light.on(0.36, 0.11, 320.0),
    }
}

/// One fruit of the companion's kind.
pub(super) fn fruit(stage: &mut Stage<'_>, place: Place) {
    let colour = fruit_colour(stage);
    let light = stage.light;
    let outline = match stage.spec.companion {
        Companion::Pears => place.lathe(0.0, 0.0, 1.1, &[0.30, 0.47, 0.48, 0.38, 0.26, 0.20, 0.12]),
        Companion::Lemons => place.tilted_ellipse((0.0, 0.42), (0.60, 0.42), 0.25),
        Companion::Plums => place.ellipse((0.0, 0.46), (0.42, 0.46)),
        _ => place.ellipse((0.0, 0.48), (0.54, 0.48)),
    };
    stage.add(Form::new(outline, colour, Layer::Prop).upright(place.foot).round(1.1));
    if stage.knobs.pick(LeafKnob::TellingDetails, false, true, true) {
        let stem = match stage.spec.companion {
            Companion::Pears => place.rectangle(-0.04, 1.06, 0.05, 1.30),
            Companion::Lemons => place.ellipse((0.58, 0.36), (0.10, 0.10)),
            _ => place.rectangle(-0.05, 0.84, 0.04, 1.10),
        };
        stage.add(Form::new(stem, light.on(0.34, 0.07, 70.0), Layer::Prop).upright(place.foot));
    }
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        let leaf = place.tilted_ellipse((0.28, 1.08), (0.30, 0.12), -0.5);
        stage.add(Form::new(leaf, light.on(0.52, 0.14, 140.0), Layer::Prop).upright(place.foot));
    }
}
