//! The palette's knobs: what happens to the colours of the aims before any stroke is laid.

use crate::buffer::{Aim, AimBuffer};
use crate::colour::Lab;
use crate::knobs::Knobs;
use crate::leaves::LeafKnob;
use crate::noise::{ease, smooth_noise};
use crate::scene::{Layer, Scene};

/// Changes the aims' colours to what the knobs ask of depth, value and colour.
pub(crate) fn grade(buffer: &mut AimBuffer, scene: &Scene, knobs: &Knobs) {
    separate_planes(buffer, knobs);
    let size = buffer.size as f32;
    let mean = buffer.aims.iter().map(|aim| aim.colour.l).sum::<f32>() / buffer.aims.len() as f32;
    let grade = Grade::new(scene, knobs, mean);
    for (index, aim) in buffer.aims.iter_mut().enumerate() {
        let x = ((index % buffer.size) as f32 + 0.5) / size;
        let y = ((index / buffer.size) as f32 + 0.5) / size;
        grade.recede(aim, y);
        grade.light(aim, x, y);
        if aim.layer != Layer::Mark {
            grade.colour(aim, y);
        }
        aim.colour.l = aim.colour.l.clamp(0.04, 1.0);
    }
}

fn is_behind(layer: Layer) -> bool {
    matches!(layer, Layer::Backdrop | Layer::Sky | Layer::Far)
}

/// Pulls the values of backdrop and ground together or apart.
fn separate_planes(buffer: &mut AimBuffer, knobs: &Knobs) {
    let mean = |behind: bool| {
        let values = buffer.aims.iter().filter(|aim| is_behind(aim.layer) == behind).map(|aim| aim.colour.l);
        let (sum, count) = values.fold((0.0, 0.0f32), |(sum, count), value| (sum + value, count + 1.0));
        sum / count.max(1.0)
    };
    let (back, front) = (mean(true), mean(false));
    let gap = back - front;
    let wanted = knobs.pick(
        LeafKnob::SeparatedPlanes,
        0.0,
        gap,
        if gap >= 0.0 { gap.max(0.30) } else { gap.min(-0.30) },
    );
    let change = 0.5 * (wanted - gap);
    let calm = knobs.pick(LeafKnob::SeparatedPlanes, 0.6, 1.0, 1.0);
    let middle = 0.5 * (back + front);
    for aim in &mut buffer.aims {
        aim.colour.l += if is_behind(aim.layer) { change } else { -change };
        if matches!(aim.layer, Layer::Backdrop | Layer::Sky | Layer::Far | Layer::Ground) {
            aim.colour.l = middle + (aim.colour.l - middle) * calm;
        }
    }
}

struct Grade {
    mean: f32,
    light_side: f32,
    noise: u32,
    air: Lab,
    source: Lab,
    source_at: (f32, f32),
    fading: f32,
    distance_tint: (f32, f32),
    spots: f32,
    masses: f32,
    slope: f32,
    mood: f32,
    indifference: f32,
    agreement: f32,
    mud: f32,
    chroma: f32,
    balance: f32,
    one_sided: Option<Lab>,
    shadow_chroma: f32,
    sweetness: f32,
}

impl Grade {
    fn new(scene: &Scene, knobs: &Knobs, mean: f32) -> Self {
        let layout = &scene.layout;
        let one_sided = if layout.variant { Lab::lch(0.0, 0.11, 65.0) } else { Lab::lch(0.0, 0.10, 250.0) };
        Self {
            mean,
            light_side: layout.light_side,
            noise: layout.noise,
            air: scene.light.low,
            source: scene.light.source,
            source_at: (0.5 + 0.3 * layout.light_side, layout.horizon * 0.6),
            fading: knobs.pick(LeafKnob::AtmosphericDistance, -0.35, 0.25, 0.68),
            distance_tint: knobs.pick(
                LeafKnob::CoolingDistance,
                (0.075, 0.075),
                (0.0, 0.0),
                (-0.018, -0.085),
            ),
            spots: knobs.pick(LeafKnob::MassedValues, 0.20, 0.0, 0.0),
            masses: knobs.pick(LeafKnob::MassedValues, 0.0, 0.0, 1.0),
            slope: knobs.pick(LeafKnob::DirectionalLight, 0.0, 0.04, 0.12),
            mood: knobs.pick(LeafKnob::Mood, 0.0, 0.08, 0.42),
            indifference: knobs.pick(LeafKnob::Mood, 0.52, 0.0, 0.0),
            agreement: knobs.pick(LeafKnob::ConvincingTime, 0.0, 0.05, 0.16),
            mud: knobs.pick(LeafKnob::CleanMixtures, 0.52, 0.06, 0.0),
            chroma: knobs.pick(LeafKnob::RestrainedIntensity, 2.1, 1.0, 0.72)
                * knobs.pick(LeafKnob::CleanMixtures, 1.0, 1.0, 1.12),
            balance: knobs.pick(LeafKnob::WarmCool, 0.0, 0.15, 1.0),
            one_sided: knobs.pick(LeafKnob::WarmCool, Some(one_sided), None, None),
            shadow_chroma: knobs.pick(LeafKnob::ColouredShadows, -1.0, 0.0, 1.0),
            sweetness: knobs.pick(LeafKnob::SoberSentiment, 0.48, 0.04, 0.0),
        }
    }

    fn recede(&self, aim: &mut Aim, y: f32) {
        let colour = &mut aim.colour;
        let far = if aim.layer == Layer::Sky { 0.0 } else { ease(aim.depth * 1.3 - 0.35) };
        if self.fading >= 0.0 {
            if aim.layer != Layer::Backdrop {
                *colour = colour.mix(self.air, self.fading * far);
            }
        } else if aim.layer != Layer::Backdrop {
            // Airless distance keeps more contrast than nature gives it.
            *colour = colour.mix(self.air, self.fading * far);
            colour.l -= 0.08 * far;
        }
        let (a, b) = self.distance_tint;
        let tinted = if aim.layer == Layer::Backdrop { 0.45 * far * ease(2.2 * y) } else { far };
        *colour = colour.tint(a * tinted, b * tinted);
    }

    fn light(&self, aim: &mut Aim, x: f32, y: f32) {
        let colour = &mut aim.colour;
        colour.l += self.slope * (2.0 * x - 1.0) * self.light_side;
        if self.spots > 0.0 {
            let spot = smooth_noise(x * 9.0, y * 9.0, self.noise ^ 0x71);
            colour.l += self.spots * (2.2 * spot).clamp(-1.0, 1.0);
        }
        if self.masses > 0.0 {
            let pattern = ease(0.5 + 0.9 * (0.62 - y) + 0.5 * (x - 0.5) * self.light_side) * 2.0 - 1.0;
            colour.l += 0.14 * pattern * self.masses;
        }
        if aim.layer != Layer::Mark {
            if self.mood > 0.0 {
                let (dx, dy) = (x - self.source_at.0, y - self.source_at.1);
                let near = ease(1.0 - (dx * dx + dy * dy).sqrt() / 0.8);
                let tint = self.source.scale_chroma(1.3);
                *colour =
                    Lab::new(colour.l, colour.a, colour.b).mix(Lab::new(colour.l, tint.a, tint.b), self.mood);
                colour.l += self.mood * 0.55 * (near - 0.55);
            }
            if self.indifference > 0.0 {
                *colour = colour.mix(Lab::new(0.62 + 0.35 * (colour.l - 0.62), 0.0, 0.0), self.indifference);
            }
            if !is_behind(aim.layer) {
                *colour = colour.mix(Lab::new(colour.l, self.air.a, self.air.b), self.agreement);
            }
        }
    }

    fn colour(&self, aim: &mut Aim, y: f32) {
        let colour = &mut aim.colour;
        *colour = colour.scale_chroma(self.chroma);
        if self.balance > 0.0 {
            let warmth = ((colour.l - self.mean) / 0.18).clamp(-1.0, 1.0) * self.balance;
            *colour = colour.tint(0.014 * warmth, 0.052 * warmth);
        }
        if self.shadow_chroma != 0.0 {
            let dark = ease((self.mean + 0.02 - colour.l) / 0.16);
            *colour = if self.shadow_chroma > 0.0 {
                colour.mix(Lab::lch(colour.l + 0.02, 0.115, 290.0), 0.72 * dark)
            } else {
                colour.scale_chroma(1.0 - dark)
            };
        }
        if let Some(tint) = self.one_sided {
            *colour = Lab::new(colour.l, colour.a * 0.35 + tint.a, colour.b * 0.35 + tint.b);
        }
        *colour = colour.mix(Lab::new(0.25 + 0.45 * colour.l, 0.012, 0.03), self.mud);
        let candy = Lab::lch(0.84, 0.115, if (y * 3.0) as i32 % 2 == 0 { 350.0 } else { 325.0 });
        *colour = colour.mix(Lab::new(0.55 * colour.l + 0.45 * candy.l, candy.a, candy.b), self.sweetness);
    }
}
