//! What happens to the whole surface after the strokes: values, contours, relief, canvas and accidents.

use crate::buffer::AimBuffer;
use crate::canvas::{Canvas, PRIMING};
use crate::colour::Lab;
use crate::knobs::Knobs;
use crate::leaves::LeafKnob;
use crate::noise::{Purpose, ease, smooth_noise, stream, uniform};
use crate::scene::Scene;

/// Finishes a painted surface.
pub(crate) fn finish(canvas: &mut Canvas, aims: &AimBuffer, scene: &Scene, knobs: &Knobs, seed: u64) {
    soften(canvas, knobs);
    values(canvas, knobs);
    contours(canvas, aims, knobs);
    surface(canvas, scene, knobs);
    vignette(canvas, knobs);
    specks(canvas, knobs, seed);
}

/// Blurs fuzzy edges and sharpens hard ones.
fn soften(canvas: &mut Canvas, knobs: &Knobs) {
    let hard = knobs.pick(LeafKnob::LostAndFound, 0.9, 0.0, 0.0);
    if hard > 0.0 {
        let blurred = blur(&canvas.colours, canvas.size, 2);
        for (index, colour) in canvas.colours.iter_mut().enumerate() {
            *colour = blurred[index].mix(*colour, 1.0 + hard);
        }
    }
    if knobs.pick(LeafKnob::LivingSurface, true, false, false) {
        let blurred = blur(&canvas.colours, canvas.size, 1);
        for (colour, blurred) in canvas.colours.iter_mut().zip(blurred) {
            *colour = colour.mix(blurred, 0.8);
        }
    }
}

/// The mean of a square neighbourhood of `2 radius + 1` pixels a side.
fn blur(colours: &[Lab], size: usize, radius: usize) -> Vec<Lab> {
    let pass = |source: &[Lab], step: usize, other: usize| {
        let mut target = source.to_vec();
        for line in 0..size {
            for place in 0..size {
                let mut sum = Lab::default();
                for offset in 0..=2 * radius {
                    let neighbour = (place + offset).saturating_sub(radius).min(size - 1);
                    let colour = source[line * other + neighbour * step];
                    sum = Lab::new(sum.l + colour.l, sum.a + colour.a, sum.b + colour.b);
                }
                let scale = 1.0 / (2 * radius + 1) as f32;
                target[line * other + place * step] = Lab::new(sum.l * scale, sum.a * scale, sum.b * scale);
            }
        }
        target
    };
    pass(&pass(colours, 1, size), size, 1)
}

/// Stretches, compresses, crushes, bleaches or quantises the values.
fn values(canvas: &mut Canvas, knobs: &Knobs) {
    let mut sorted: Vec<f32> = canvas.colours.iter().map(|colour| colour.l).collect();
    sorted.sort_by(f32::total_cmp);
    let percentile = |share: f32| sorted[((sorted.len() - 1) as f32 * share) as usize];
    let (low, high) = (percentile(0.02), percentile(0.98));
    let (from, to, amount) =
        knobs.pick(LeafKnob::ValueRange, (0.60, 0.88, 1.0), (low, high, 0.0), (0.14, 0.96, 0.9));
    let remap = |l: f32| {
        let stretched = from + (to - from) * (l - low) / (high - low).max(0.05);
        l + (stretched - l) * amount
    };
    let (dark, bright) = (remap(percentile(0.22)), remap(percentile(0.80)));
    let crush = knobs.pick(LeafKnob::OpenDarks, 1.0, 0.0, 0.0);
    let floor = knobs.pick(LeafKnob::OpenDarks, 0.0, 0.0, 0.24);
    let bleach = knobs.pick(LeafKnob::HeldLights, 1.0, 0.0, 0.0);
    let ceiling = knobs.pick(LeafKnob::HeldLights, 2.0, 2.0, 0.90);
    let (bottom, top) = (remap(low), remap(high));
    let levels = 4.0;
    let quantise = knobs.pick(LeafKnob::GradualTransitions, 0.92, 0.0, 0.0);
    for colour in &mut canvas.colours {
        colour.l = remap(colour.l);
        if quantise > 0.0 {
            let t = ((colour.l - bottom) / (top - bottom).max(0.05)).clamp(0.0, 0.999);
            let step = ((t * levels).floor() + 0.5) / levels;
            colour.l += (bottom + step * (top - bottom) - colour.l) * quantise;
        }
        if crush > 0.0 {
            let crushed = ease((dark + 0.02 - colour.l) / 0.06);
            *colour = colour.mix(Lab::new(0.03, 0.0, 0.0), crushed);
        }
        if floor > 0.0 && colour.l < floor + 0.08 {
            colour.l = floor + 0.08 - (floor + 0.08 - colour.l) * 0.35;
        }
        if bleach > 0.0 {
            let bleached = ease((colour.l - bright + 0.02) / 0.06);
            *colour = colour.mix(Lab::new(1.0, 0.0, 0.0), bleached);
        }
        if colour.l > ceiling - 0.06 {
            colour.l = ceiling - 0.06 + (colour.l - ceiling + 0.06) * 0.35;
        }
    }
}

/// Draws black lines round forms.
fn contours(canvas: &mut Canvas, aims: &AimBuffer, knobs: &Knobs) {
    let weight = knobs.pick(LeafKnob::UnlinedForms, 0.85, 0.06, 0.0);
    for (colour, aim) in canvas.colours.iter_mut().zip(&aims.aims) {
        *colour = colour.mix(Lab::new(0.10, 0.0, 0.0), weight * aim.contour);
    }
}

/// The body of the paint, the canvas under it, and where there is none.
fn surface(canvas: &mut Canvas, scene: &Scene, knobs: &Knobs) {
    let size = canvas.size;
    let unit = 128.0 / size as f32;
    let noise = scene.layout.noise;
    let relief = knobs.pick(LeafKnob::PaintBody, 0.0, 0.07, 0.24);
    let starved = knobs.pick(LeafKnob::PaintBody, 0.40, 0.0, 0.0);
    let weave = knobs.pick(LeafKnob::LivingSurface, 0.0, 0.014, 0.050);
    let bare = knobs.pick(LeafKnob::Coverage, 0.42, 2.0, 2.0);
    let heights = canvas.heights.clone();
    for row in 0..size {
        for column in 0..size {
            let index = row * size + column;
            let (x, y) = (column as f32 * unit, row as f32 * unit);
            let threads = if ((column / 2) + (row / 2)) % 2 == 0 { 1.0 } else { -1.0 };
            let ground = PRIMING.lighter(0.02 * threads);
            let colour = &mut canvas.colours[index];
            if starved > 0.0 {
                let thin = starved * (0.75 + 0.5 * smooth_noise(x * 0.10, y * 0.28, noise ^ 0x91));
                *colour = colour.mix(ground, thin);
            }
            let left = heights[row * size + column.saturating_sub(1)];
            let above = heights[row.saturating_sub(1) * size + column];
            let slope = 2.0 * heights[index] - left - above;
            colour.l += (relief * slope).clamp(-0.13, 0.13) + weave * threads;
            let patch = smooth_noise(x * 0.075, y * 0.075, noise ^ 0x95)
                + 0.35 * smooth_noise(x * 0.3, y * 0.3, noise ^ 0x96);
            *colour = colour.mix(ground, ease((patch - bare) / 0.10));
        }
    }
}

/// Darkens the corners a little, or lights them up.
fn vignette(canvas: &mut Canvas, knobs: &Knobs) {
    let size = canvas.size as f32;
    let amount = knobs.pick(LeafKnob::Containment, 0.26, -0.03, -0.18);
    for (index, colour) in canvas.colours.iter_mut().enumerate() {
        let x = 2.0 * ((index % canvas.size) as f32 + 0.5) / size - 1.0;
        let y = 2.0 * ((index / canvas.size) as f32 + 0.5) / size - 1.0;
        let corner = ease(((x * x + y * y).sqrt() - 0.72) / 0.62);
        *colour = if amount > 0.0 {
            colour.mix(Lab::new(0.97, 0.0, 0.01), (2.2 * amount * corner).min(0.7))
        } else {
            colour.lighter(amount * corner)
        };
    }
}

/// Scatters dark and light dirt.
fn specks(canvas: &mut Canvas, knobs: &Knobs, seed: u64) {
    let rng = &mut stream(seed, Purpose::Specks);
    let count = knobs.pick(LeafKnob::CleanPassages, 50, 0, 0);
    let size = canvas.size as f32;
    for index in 0..count {
        let (x, y) = (uniform(rng, 0.0, size), uniform(rng, 0.0, size));
        let radius = uniform(rng, 0.7, 1.35) * size / 128.0;
        let colour = if index % 3 == 0 { Lab::new(0.95, 0.0, 0.01) } else { Lab::new(0.14, 0.01, 0.02) };
        for row in (y - radius - 1.0).max(0.0) as usize..((y + radius + 2.0).min(size) as usize) {
            for column in (x - radius - 1.0).max(0.0) as usize..((x + radius + 2.0).min(size) as usize) {
                let (dx, dy) = (column as f32 + 0.5 - x, row as f32 + 0.5 - y);
                let cover = ease(radius + 0.5 - (dx * dx + dy * dy).sqrt());
                let pixel = &mut canvas.colours[row * canvas.size + column];
                *pixel = pixel.mix(colour, 0.9 * cover);
            }
        }
    }
}
