//! Seascapes: cliffs, a beach or rocks, with a boat or a lighthouse.

use super::{Form, Layer, Place, Stage};
use crate::captions::{Companion, Motif};
use crate::colour::Lab;
use crate::leaves::LeafKnob;
use crate::shape::Outline;

/// The water and the coast.
pub(super) fn ground(stage: &mut Stage<'_>) {
    let (layout, light) = (stage.layout, stage.light);
    let (h, side) = (layout.horizon, layout.open_side);
    let rough = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.0, 0.15, 0.5);
    let rise = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.2, 0.8, 1.2);
    if stage.knobs.pick(LeafKnob::ThreePlanes, false, true, true) {
        let coast = Outline::rolling(h + 0.01, 0.09 * rise, 3.0, rough, layout.noise ^ 1);
        stage.add(Form::new(coast, light.on(0.56, 0.05, 230.0), Layer::Far).at_depth(1.0).grained(0.2));
    }
    let sea = light.on(0.58, 0.09, 225.0).mix(light.low, 0.25);
    stage.add(
        Form::new(Outline::level(h), sea.mix(light.low, 0.25), Layer::Ground)
            .fading_to(light.on(0.40, 0.10, 235.0)),
    );
    let below = |t: f32| h + (1.0 - h) * t;
    match stage.spec.companion {
        Companion::Cliffs => {
            let stone = light.on(0.70, 0.06, 65.0);
            let uneven = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.0, 0.7, 1.0);
            for (reach, top, shade, depth) in [(0.46, 0.17, -0.06, 0.75), (0.30, 0.30, 0.0, 0.6)] {
                let edge = |x: f32| 0.5 + side * (0.5 - x);
                let top = h - top;
                let cliff = vec![
                    (edge(-0.05), top),
                    (edge(reach * 0.35), top + 0.05 * uneven),
                    (edge(reach * 0.6), top - 0.03 * uneven),
                    (edge(reach * 0.8), top + 0.04 * uneven),
                    (edge(reach), below(0.05)),
                    (edge(reach * 0.7), below(0.12)),
                    (edge(-0.05), below(0.14)),
                ];
                let form =
                    Form::new(Outline::Polygon { points: cliff }, stone.lighter(shade + 0.06), Layer::Prop)
                        .fading_to(stone.lighter(shade - 0.12))
                        .at_depth(depth)
                        .round(0.6)
                        .grained(1.4);
                stage.add(form);
            }
        }
        Companion::Beach => {
            let sand = light.on(0.80, 0.07, 80.0);
            let shore = |x: f32, t: f32| (0.5 + side * (x - 0.5), below(t));
            let line = |lift: f32| {
                vec![
                    shore(1.05, 0.34 - lift),
                    shore(0.75, 0.50 - lift),
                    shore(0.40, 0.62 - lift),
                    shore(-0.05, 0.72 - lift),
                    shore(-0.05, 1.2),
                    shore(1.05, 1.2),
                ]
            };
            stage.add(Form::new(
                Outline::Polygon { points: line(0.05) },
                light.on(0.92, 0.02, 200.0),
                Layer::Ground,
            ));
            let form = Form::new(Outline::Polygon { points: line(0.0) }, sand, Layer::Ground);
            stage.add(form.fading_to(sand.lighter(-0.12)).grained(0.15));
        }
        _ => {
            let stone = light.on(0.36, 0.04, 50.0);
            for (x, t, size) in [(0.40, 0.22, 0.09), (0.30, 0.34, 0.14), (0.46, 0.46, 0.08)] {
                let (cx, cy) = (0.5 + side * x * 0.9, below(t));
                let points = vec![
                    (cx - size, cy + 0.02),
                    (cx - size * 0.7, cy - size * 0.6),
                    (cx - size * 0.1, cy - size),
                    (cx + size * 0.5, cy - size * 0.55),
                    (cx + size, cy + 0.02),
                ];
                let foam =
                    Outline::Ellipse { centre: (cx, cy + 0.02), radii: (size * 1.25, 0.02), angle: 0.0 };
                stage.add(
                    Form::new(Outline::Polygon { points }, stone.lighter(0.08), Layer::Prop)
                        .fading_to(stone.lighter(-0.08))
                        .round(0.8)
                        .grained(1.0),
                );
                stage.add(Form::new(foam, light.on(0.92, 0.02, 210.0), Layer::Ground));
            }
        }
    }
}

/// The boat or the lighthouse at the focal point.
pub(super) fn subject(stage: &mut Stage<'_>, place: Place) {
    match stage.spec.motif {
        Motif::Lighthouse => lighthouse(stage, place),
        Motif::RowingBoat => rowing_boat(stage, place),
        _ => sailing_boat(stage, place),
    }
}

fn sailing_boat(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let way = stage.layout.open_side;
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32, grain: f32| {
        let form =
            Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume).grained(grain);
        stage.add(form);
    };
    let p = |u: f32, v: f32| (way * u, v);
    let belly = stage.knobs.pick(LeafKnob::Movement, 0.0, 0.03, 0.10);
    let main =
        place.polygon(&[p(-0.02, 0.16), p(-0.02, 1.0), p(-0.26 - belly, 0.55), p(-0.44 - belly, 0.18)]);
    add(stage, main, light.on(0.93, 0.03, 85.0), 0.8, 1.2);
    let jib = place.polygon(&[p(0.03, 0.17), p(0.03, 0.88), p(0.20 + belly, 0.45), p(0.36 + belly, 0.19)]);
    add(stage, jib, light.on(0.85, 0.06, 70.0), 0.8, 1.9);
    add(stage, place.rectangle(-0.015, 0.08, 0.02, 1.04), light.on(0.34, 0.06, 50.0), 0.0, 1.57);
    let hull = place.polygon(&[p(-0.46, 0.13), p(0.52, 0.15), p(0.36, 0.0), p(-0.36, 0.0)]);
    add(stage, hull, light.on(0.38, 0.11, 35.0), 0.7, 0.0);
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        let dark = light.on(0.30, 0.05, 50.0);
        add(
            stage,
            place.polygon(&[p(0.0, 1.02), p(0.20, 0.96), p(0.0, 0.90)]),
            light.on(0.58, 0.19, 28.0),
            0.0,
            0.0,
        );
        add(
            stage,
            place.polygon(&[p(-0.44, 0.125), p(0.50, 0.145), p(0.48, 0.105), p(-0.43, 0.09)]),
            light.on(0.95, 0.02, 90.0),
            0.0,
            0.0,
        );
        for v in [0.38, 0.58] {
            let w = 0.40 * (1.0 - v);
            add(
                stage,
                place.polygon(&[
                    p(-0.02, v),
                    p(-w - 0.06, v - 0.02),
                    p(-w - 0.06, v + 0.01),
                    p(-0.02, v + 0.03),
                ]),
                dark.lighter(0.2),
                0.0,
                0.0,
            );
        }
    }
}

fn rowing_boat(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        let form = Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume).grained(0.1);
        stage.add(form);
    };
    let hull =
        place.polygon(&[(-1.0, 0.78), (-0.6, 0.66), (0.6, 0.66), (1.0, 0.82), (0.72, 0.0), (-0.66, 0.0)]);
    add(stage, place.ellipse((0.0, 0.70), (0.86, 0.17)), light.on(0.32, 0.06, 45.0), 0.3);
    add(stage, hull, light.on(0.50, 0.13, 32.0), 0.8);
    add(
        stage,
        place.polygon(&[
            (-1.0, 0.80),
            (-0.6, 0.68),
            (0.6, 0.68),
            (1.0, 0.84),
            (0.96, 0.70),
            (0.58, 0.54),
            (-0.58, 0.54),
            (-0.95, 0.66),
        ]),
        light.on(0.90, 0.03, 85.0),
        0.0,
    );
    if stage.knobs.pick(LeafKnob::TellingDetails, false, true, true) {
        add(
            stage,
            place.polygon(&[(-0.2, 0.62), (0.95, 1.10), (1.0, 1.04), (-0.14, 0.56)]),
            light.on(0.66, 0.08, 65.0),
            0.0,
        );
    }
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        add(
            stage,
            place.polygon(&[(-0.85, 0.42), (0.84, 0.42), (0.80, 0.28), (-0.80, 0.28)]),
            light.on(0.55, 0.12, 245.0),
            0.0,
        );
        for u in [-0.4, 0.1, 0.55] {
            add(stage, place.rectangle(u - 0.04, 0.66, u + 0.06, 0.84), light.on(0.74, 0.08, 70.0), 0.0);
        }
    }
}

fn lighthouse(stage: &mut Stage<'_>, place: Place) {
    let light = stage.light;
    let add = |stage: &mut Stage<'_>, outline, colour, volume: f32| {
        let form = Form::new(outline, colour, Layer::Subject).upright(place.foot).round(volume).grained(1.5);
        stage.add(form);
    };
    let island = place.polygon(&[
        (-0.46, -0.03),
        (-0.34, 0.10),
        (-0.1, 0.17),
        (0.16, 0.15),
        (0.36, 0.08),
        (0.50, -0.03),
    ]);
    add(stage, island, light.on(0.40, 0.04, 55.0), 0.8);
    let half = |v: f32| 0.135 - 0.055 * (v - 0.1) / 0.7;
    add(stage, place.lathe(0.0, 0.1, 0.80, &[half(0.1), half(0.8)]), light.on(0.92, 0.02, 85.0), 1.0);
    for v in [0.24, 0.52] {
        let band = place.lathe(0.0, v, v + 0.14, &[half(v), half(v + 0.14)]);
        add(stage, band, light.on(0.54, 0.18, 28.0), 1.0);
    }
    add(stage, place.rectangle(-0.11, 0.79, 0.11, 0.82), light.on(0.30, 0.03, 50.0), 0.0);
    add(stage, place.rectangle(-0.06, 0.82, 0.06, 0.92), Lab::lch(0.94, 0.10, 95.0), 0.4);
    add(stage, place.polygon(&[(-0.09, 0.91), (0.09, 0.91), (0.0, 1.0)]), light.on(0.48, 0.15, 28.0), 0.4);
    if stage.knobs.pick(LeafKnob::TellingDetails, false, false, true) {
        let dark = light.on(0.24, 0.04, 260.0);
        for v in [0.18, 0.43, 0.70] {
            add(stage, place.rectangle(-0.03, v, 0.03, v + 0.07), dark, 0.0);
        }
        add(stage, place.rectangle(0.16, 0.10, 0.40, 0.24), light.on(0.90, 0.03, 85.0), 0.0);
        add(
            stage,
            place.polygon(&[(0.12, 0.23), (0.44, 0.23), (0.28, 0.35)]),
            light.on(0.50, 0.13, 35.0),
            0.0,
        );
    }
}
