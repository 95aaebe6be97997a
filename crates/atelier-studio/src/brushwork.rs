//! From aims to a painted surface: under-painting, blocking in, drawing, and what the knobs ask of the brush
//! (after Hertzmann 1998, "Painterly rendering with curved brush strokes of multiple sizes").

use crate::buffer::{Aim, AimBuffer};
use crate::canvas::{Canvas, PRIMING, StrokeLayer, lay_layer};
use crate::colour::Lab;
use crate::knobs::Knobs;
use crate::leaves::LeafKnob;
use crate::noise::{Purpose, stream};
use crate::scene::{Layer, Scene};

/// Paints the aims.
pub(crate) fn paint_aims(aims: &AimBuffer, scene: &Scene, knobs: &Knobs, seed: u64) -> Canvas {
    let unit = aims.size as f32 / 128.0;
    let lively = knobs.pick(LeafKnob::LivelyBrushwork, 0.0, 0.45, 1.0);
    let broken = knobs.pick(LeafKnob::BrokenColour, 0.0, 0.25, 1.0);
    let widths = knobs.pick(LeafKnob::StrokeSizes, [5.0, 4.6, 4.6], [11.0, 6.5, 3.6], [17.0, 8.0, 2.6]);
    let form_stray = knobs.pick(LeafKnob::StrokesFollowForm, 1.6, 0.35, 0.08);
    let stray = form_stray + knobs.pick(LeafKnob::StrokeDirections, 0.0, 0.0, 0.25);
    let flow = knobs.pick(LeafKnob::Movement, 0.0, 0.35, 1.3);
    let bleed: f32 = knobs.pick(LeafKnob::ClearEdges, 0.9, 0.22, 0.06);
    let base = StrokeLayer {
        width: widths[0] * unit,
        slenderness: 2.8,
        spacing: 0.5,
        opacity: 0.92,
        threshold: 0.0,
        stray,
        value: 0.008 + 0.060 * lively,
        hue: 3.0 + 52.0 * broken,
        chroma: 0.06 + 0.6 * broken,
        bristle: 0.15 + 0.85 * lively,
        bleed: bleed.max(0.15),
        fixed: None,
        flow,
    };
    let blocking = StrokeLayer {
        width: widths[1] * unit,
        spacing: 0.62,
        threshold: 0.03,
        value: 0.8 * base.value,
        bleed,
        ..base
    };
    let drawing = StrokeLayer {
        width: widths[2] * unit,
        slenderness: 2.6,
        spacing: 0.66,
        threshold: 0.05,
        value: 0.6 * base.value,
        bristle: 0.7 * base.bristle,
        bleed: bleed * 0.7,
        ..base
    };
    let mut canvas = Canvas::toned(aims.size, scene.light.low.mix(PRIMING, 0.5));
    lay_layer(&mut canvas, aims, &base, &mut stream(seed, Purpose::Underpainting), |_| 1.0);
    lay_layer(&mut canvas, aims, &blocking, &mut stream(seed, Purpose::Blocking), |_| 1.0);
    let distant = knobs.pick(LeafKnob::SimplifiedDistance, 1.0, 0.7, 0.0);
    let share = |aim: &Aim| if aim.depth > 0.7 { distant } else { 1.0 };
    lay_layer(&mut canvas, aims, &drawing, &mut stream(seed, Purpose::Drawing), share);
    define(&mut canvas, aims, knobs);
    if knobs.pick(LeafKnob::SimplifiedDistance, true, false, false) {
        let busy = StrokeLayer { threshold: 0.0, spacing: 0.9, width: 2.6 * unit, value: 0.17, ..drawing };
        let far = |aim: &Aim| if aim.depth > 0.6 { 0.42 } else { 0.0 };
        lay_layer(&mut canvas, aims, &busy, &mut stream(seed, Purpose::Distance), far);
    }
    if knobs.pick(LeafKnob::StrokeDirections, true, false, false) {
        let hatching = StrokeLayer {
            width: 2.8 * unit,
            slenderness: 6.5,
            spacing: 1.05,
            threshold: 0.0,
            fixed: Some(-std::f32::consts::FRAC_PI_4),
            stray: 0.03,
            value: 0.10,
            opacity: 0.85,
            bleed: 0.35,
            ..drawing
        };
        lay_layer(&mut canvas, aims, &hatching, &mut stream(seed, Purpose::Hatching), |_| 1.0);
    }
    canvas
}

/// Brings edges that strokes left ragged back to their contour, and smooths what should be lifeless.
fn define(canvas: &mut Canvas, aims: &AimBuffer, knobs: &Knobs) {
    let size = canvas.size;
    let smooth = knobs.pick(LeafKnob::LivelyBrushwork, 0.85, 0.0, 0.0);
    for row in 0..size {
        for column in 0..size {
            let index = row * size + column;
            let aim = &aims.aims[index];
            let right = row * size + (column + 1).min(size - 1);
            let below = (row + 1).min(size - 1) * size + column;
            let at_edge = aims.aims[right].form != aim.form || aims.aims[below].form != aim.form;
            let thing = matches!(aim.layer, Layer::Subject | Layer::Prop | Layer::Mark);
            let amount: f32 = match (at_edge, thing) {
                (true, _) => 0.55,
                (false, true) => 0.30,
                (false, false) => 0.0,
            };
            let amount = amount.max(smooth);
            let target: Lab = aim.colour;
            canvas.colours[index] = canvas.colours[index].mix(target, amount);
            canvas.heights[index] *= 1.0 - smooth;
        }
    }
}
