//! The table that still lifes and flower pieces stand on.

use super::{Form, Layer, Stage};
use crate::leaves::LeafKnob;
use crate::shape::Outline;

/// The wall's lower part and the table top.
pub(super) fn ground(stage: &mut Stage<'_>) {
    let (layout, light) = (stage.layout, stage.light);
    if stage.knobs.pick(LeafKnob::ThreePlanes, false, true, true) {
        // A half-lit curtain behind the table stands for the distance.
        let rough = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.0, 0.15, 0.5);
        let rise = stage.knobs.pick(LeafKnob::VariedSilhouette, 0.05, 0.10, 0.15);
        let sill = Outline::rolling(layout.horizon - 0.08, rise, 3.0, rough, layout.noise ^ 1);
        let cloth = light.low.mix(light.on(0.50, 0.08, 200.0), 0.45);
        stage.add(Form::new(sill, cloth, Layer::Far).at_depth(0.9).grained(0.3).soft(0.01));
    }
    let wood = light.on(0.64, 0.08, 60.0);
    stage.add(
        Form::new(Outline::level(layout.horizon), wood, Layer::Ground)
            .fading_to(light.on(0.52, 0.09, 50.0))
            .grained(0.04),
    );
    // The cloth's diagonal edge gives the table top its depth.
    let (h, side) = (layout.horizon, layout.open_side);
    let below = |t: f32| h + (1.0 - h) * t;
    let at = |x: f32, t: f32| (0.5 + side * x, below(t));
    let cloth = vec![at(-0.6, 0.16), at(0.10, 0.16), at(0.28, 1.3), at(-0.6, 1.3)];
    let linen = light.on(0.88, 0.02, 85.0);
    stage.add(
        Form::new(Outline::Polygon { points: cloth }, linen, Layer::Ground)
            .fading_to(linen.lighter(-0.10))
            .grained(0.25),
    );
}
