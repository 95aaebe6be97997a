//! Landscapes: hills, mountains or a river, with a building or trees.

use super::{Form, Layer, Place, Stage};
use crate::captions::{Companion, Motif};
use crate::leaves::LeafKnob;
use crate::shape::Outline;

/// The land from the far ridge to the lower edge.
pub(super) fn ground(stage: &mut Stage<'_>) {
    let (layout, light) = (stage.layout, stage.light);
    let rough = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.0, 0.12, 0.45);
    let rise = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.15, 0.8, 1.15);
    let ridge = |height: f32, waves: f32, salt: u32| {
        Outline::rolling(layout.horizon + 0.01, height * rise, waves, rough, layout.noise ^ salt)
    };
    if stage.knobs.pick(LeafKnob::ThreePlanes, false, true, true) {
        let (far, near) = match stage.spec.companion {
            Companion::Mountains => (
                (ridge(0.26, 4.0, 1), light.on(0.50, 0.06, 275.0)),
                (ridge(0.09, 3.0, 2), light.on(0.48, 0.07, 170.0)),
            ),
            Companion::Hills => (
                (ridge(0.15, 2.2, 1), light.on(0.60, 0.08, 150.0)),
                (ridge(0.08, 3.0, 2), light.on(0.54, 0.09, 135.0)),
            ),
            _ => (
                (ridge(0.09, 3.0, 1), light.on(0.52, 0.06, 165.0)),
                (ridge(0.05, 4.5, 2), light.on(0.44, 0.07, 145.0)),
            ),
        };
        stage.add(Form::new(far.0, far.1, Layer::Far).at_depth(1.0).round(0.5).grained(0.35));
        stage.add(Form::new(near.0, near.1, Layer::Far).at_depth(0.8).round(0.4).grained(-0.2));
    }
    let meadow = Outline::level(layout.horizon);
    stage.add(
        Form::new(meadow, light.on(0.66, 0.11, 118.0), Layer::Ground)
            .fading_to(light.on(0.52, 0.11, 132.0))
            .grained(0.06),
    );
    if stage.spec.companion == Companion::River {
        let (side, h) = (layout.open_side, layout.horizon);
        let below = |t: f32| h + (1.0 - h) * t;
        let bank = |x: f32, t: f32| (layout.subject.x * 0.4 + 0.3 + side * x, below(t));
        let course = vec![
            bank(0.10, 0.02),
            bank(0.16, 0.02),
            bank(0.22, 0.25),
            bank(0.16, 0.5),
            bank(0.50, 1.05),
            bank(0.02, 1.05),
            bank(0.02, 0.45),
            bank(0.10, 0.2),
        ];
        stage.add(
            Form::new(
                Outline::Polygon { points: course },
                light.low.mix(light.on(0.7, 0.07, 235.0), 0.5),
                Layer::Ground,
            )
            .fading_to(light.on(0.50, 0.09, 240.0)),
        );
    } else if stage.spec.companion == Companion::Hills {
        let field = Outline::rolling(
            layout.horizon + (1.0 - layout.horizon) * 0.42,
            0.10 * rise,
            1.8,
            0.0,
            layout.noise ^ 7,
        );
        stage.add(
            Form::new(field, light.on(0.70, 0.12, 105.0), Layer::Ground)
                .fading_to(light.on(0.55, 0.12, 125.0))
                .grained(0.12)
                .round(0.3),
        );
    }
}

/// The building or the trees at the focal point.
pub(super) fn subject(stage: &mut Stage<'_>, place: Place) {
    match stage.spec.motif {
        Motif::Church => church(stage, place),
        Motif::Trees => trees(stage, place),
        Motif::Windmill => windmill(stage, place),
        _ => farmhouse(stage, place),
    }
}

fn farmhouse(stage: &mut Stage<'_>, place: Place) {
    let (light, side) = (stage.light, stage.layout.light_side);
    let modelled = stage.knobs.pick(LeafKnob::DirectionalLight, 0.0, 0.07, 0.13);
    let add = |stage: &mut Stage<'_>, outline, colour| {
        stage.add(Form::new(outline, colour, Layer::Subject).upright(place.foot).grained(1.4));
    };
    let wall = light.on(0.84, 0.04, 80.0);
    let roof = light.on(0.52, 0.13, 38.0);
    add(stage, place.rectangle(-0.2, 0.0, 0.75, 0.52), wall.lighter(modelled * side));
    add(
        stage,
        place.polygon(&[(-0.75, 0.0), (-0.2, 0.0), (-0.2, 0.52), (-0.475, 0.98), (-0.75, 0.52)]),
        wall.lighter(-modelled * side - 0.03),
    );
    let roof_form = place.polygon(&[(-0.475, 1.0), (0.55, 1.0), (0.82, 0.50), (-0.2, 0.50)]);
    stage.add(Form::new(roof_form, roof, Layer::Subject).upright(place.foot).grained(0.9));
    if stage.knobs.pick(LeafKnob::TellingDetails, false, true, true) {
        let dark = light.on(0.28, 0.04, 40.0);
        add(stage, place.rectangle(0.18, 0.0, 0.36, 0.34), dark);
        add(stage, place.rectangle(-0.56, 0.18, -0.40, 0.36), dark);
    }
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        let (dark, pale) = (light.on(0.22, 0.05, 260.0), light.on(0.95, 0.05, 95.0));
        for u in [-0.06, 0.50] {
            add(stage, place.rectangle(u - 0.03, 0.16, u + 0.15, 0.38), pale);
            add(stage, place.rectangle(u, 0.19, u + 0.12, 0.35), dark);
        }
        add(stage, place.rectangle(0.28, 0.86, 0.44, 1.28), light.on(0.42, 0.10, 35.0));
        add(stage, place.rectangle(-0.55, 0.58, -0.41, 0.70), dark);
    }
}

fn church(stage: &mut Stage<'_>, place: Place) {
    let (light, side) = (stage.light, stage.layout.light_side);
    let modelled = stage.knobs.pick(LeafKnob::DirectionalLight, 0.0, 0.06, 0.12);
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        let form = Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume).grained(1.5);
        stage.add(form);
    };
    let stone = light.on(0.80, 0.03, 75.0);
    let slate = light.on(0.40, 0.06, 262.0);
    add(stage, place.rectangle(-0.02, 0.0, 0.62, 0.30), stone.lighter(modelled * side), 0.1);
    add(
        stage,
        place.polygon(&[(-0.02, 0.29), (0.68, 0.29), (0.56, 0.50), (-0.02, 0.50)]),
        slate.lighter(0.06),
        0.0,
    );
    add(stage, place.rectangle(-0.24, 0.0, 0.04, 0.58), stone.lighter(-modelled * side), 0.5);
    add(stage, place.polygon(&[(-0.28, 0.57), (0.08, 0.57), (-0.10, 1.0)]), slate, 0.6);
    let dark = light.on(0.25, 0.04, 260.0);
    if stage.knobs.pick(LeafKnob::TellingDetails, false, true, true) {
        add(stage, place.rectangle(-0.15, 0.0, -0.05, 0.17), dark, 0.0);
    }
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        for u in [0.12, 0.29, 0.46] {
            add(stage, place.lathe(u, 0.07, 0.23, &[0.035, 0.035, 0.01]), dark, 0.0);
        }
        add(stage, place.ellipse((-0.10, 0.44), (0.07, 0.07)), light.on(0.95, 0.07, 95.0), 0.0);
        add(stage, place.ellipse((-0.10, 0.44), (0.035, 0.035)), dark, 0.0);
        add(stage, place.rectangle(-0.115, 0.98, -0.085, 1.16), light.on(0.85, 0.12, 90.0), 0.0);
        add(stage, place.rectangle(-0.16, 1.07, -0.04, 1.10), light.on(0.85, 0.12, 90.0), 0.0);
    }
}

fn trees(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let leaf = light.on(0.42, 0.11, 138.0);
    let varied = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.0, 0.6, 1.0);
    for (u, height, wide, shade) in
        [(-0.34, -0.22, 0.20, 0.05), (0.32, -0.12, 0.22, -0.03), (0.0, 0.0, 0.24, 0.0)]
    {
        let top = 1.0 + height * varied;
        let trunk = place.lathe(u, 0.0, top * 0.6, &[0.05, 0.035, 0.03]);
        stage.add(
            Form::new(trunk, light.on(0.34, 0.05, 50.0), Layer::Subject)
                .upright(place.foot)
                .round(0.6)
                .grained(1.57),
        );
        let green = leaf.lighter(shade);
        for (du, v, r) in [(-0.08, 0.52, 0.85), (0.08, 0.60, 0.85), (0.0, 0.80, 0.8)] {
            let crown = place.ellipse((u + du * varied, top * v), (wide * r, top * 0.26));
            stage.add(Form::new(crown, green, Layer::Subject).upright(place.foot).round(1.0));
        }
        if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
            for (du, v) in [(-0.10, 0.66), (0.10, 0.52), (0.02, 0.88), (0.09, 0.74), (-0.06, 0.46)] {
                let fruit = place.ellipse((u + du, top * v), (0.035, 0.035));
                stage.add(Form::new(fruit, light.on(0.66, 0.17, 45.0), Layer::Subject).upright(place.foot));
            }
        }
    }
}

fn windmill(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        stage.add(Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume).grained(1.5));
    };
    let tower = light.on(0.78, 0.04, 70.0);
    add(stage, place.lathe(0.0, 0.0, 0.68, &[0.24, 0.19, 0.155, 0.14]), tower, 1.0);
    add(stage, place.ellipse((0.0, 0.68), (0.16, 0.12)), light.on(0.40, 0.09, 35.0), 0.8);
    let wood = light.on(0.36, 0.06, 50.0);
    let turn = stage.knobs.pick(LeafKnob::Movement, 0.0f32, 0.45, 0.62);
    for quarter in 0..4 {
        let (sin, cos) = libm::sincosf(turn + quarter as f32 * std::f32::consts::FRAC_PI_2);
        let at = |along: f32, across: f32| (along * cos - across * sin, 0.70 + along * sin + across * cos);
        add(
            stage,
            place.polygon(&[at(0.0, -0.02), at(0.44, -0.02), at(0.44, 0.02), at(0.0, 0.02)]),
            wood,
            0.0,
        );
        let sail = place.polygon(&[at(0.12, 0.02), at(0.44, 0.02), at(0.44, 0.11), at(0.12, 0.11)]);
        add(stage, sail, light.on(0.88, 0.03, 85.0), 0.0);
    }
    if stage.knobs.pick(LeafKnob::TellingDetails, false, true, true) {
        add(stage, place.rectangle(-0.07, 0.0, 0.07, 0.18), light.on(0.28, 0.05, 45.0), 0.0);
    }
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        add(stage, place.rectangle(-0.05, 0.28, 0.05, 0.38), light.on(0.25, 0.05, 260.0), 0.0);
        add(stage, place.rectangle(-0.23, 0.225, 0.23, 0.255), light.on(0.45, 0.08, 45.0), 0.0);
        add(stage, place.ellipse((0.0, 0.70), (0.045, 0.045)), light.on(0.65, 0.15, 60.0), 0.5);
    }
}
