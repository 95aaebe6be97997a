//! The scene as a painter sees it: for every pixel the colour to aim at, and what a stroke there should follow.

use crate::colour::Lab;
use crate::knobs::Knobs;
use crate::leaves::LeafKnob;
use crate::noise::{ease, lattice, smooth_noise};
use crate::scene::{Form, Grain, Layer, Scene};

/// What is known about one pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    pub colour: Lab,
    pub layer: Layer,
    /// 0 near, 1 far.
    pub depth: f32,
    /// The direction of strokes in radians.
    pub angle: f32,
    /// The form that the pixel shows: strokes do not cross from one form to another.
    pub form: u16,
    /// How much of a contour line runs through the pixel.
    pub contour: f32,
}

/// The aims of all pixels of a square picture, row by row.
#[derive(Debug, Clone)]
pub(crate) struct AimBuffer {
    pub size: usize,
    pub aims: Vec<Aim>,
}

impl AimBuffer {
    /// Draws the forms of a scene over each other.
    pub fn draw(scene: &Scene, knobs: &Knobs, size: usize) -> Self {
        let empty = Aim {
            colour: scene.light.low,
            layer: Layer::Backdrop,
            depth: 1.0,
            angle: 0.0,
            form: 0,
            contour: 0.0,
        };
        let mut buffer = Self { size, aims: vec![empty; size * size] };
        let drawing = Drawing::new(scene, knobs, size);
        for (index, form) in scene.forms.iter().enumerate() {
            drawing.draw(&mut buffer, form, index as u16 + 1);
        }
        buffer
    }

    /// The aim at a point in pixels, clamped to the picture.
    pub fn at(&self, x: f32, y: f32) -> &Aim {
        let last = self.size as i32 - 1;
        let column = (x as i32).clamp(0, last) as usize;
        let row = (y as i32).clamp(0, last) as usize;
        &self.aims[row * self.size + column]
    }
}

/// What the knobs say about drawing forms.
struct Drawing<'a> {
    scene: &'a Scene,
    size: usize,
    softness: f32,
    lost: f32,
    modelling: f32,
    direction: f32,
    highlight: f32,
    gradation: f32,
    subject_opacity: f32,
    subject_chroma: f32,
    scheme: i32,
    key_hue: f32,
    aspect_noise: u32,
}

impl<'a> Drawing<'a> {
    fn new(scene: &'a Scene, knobs: &Knobs, size: usize) -> Self {
        let focal_opacity = knobs.pick(LeafKnob::FocalPoint, 0.5, 1.0, 1.0);
        let focal_chroma = knobs.pick(LeafKnob::FocalPoint, 0.8, 1.0, 1.25);
        Self {
            scene,
            size,
            softness: knobs.pick(LeafKnob::ClearEdges, 0.06, 0.014, 0.007),
            lost: knobs.pick(LeafKnob::LostAndFound, 0.0, 0.02, 0.14),
            modelling: knobs.pick(LeafKnob::ModelledVolume, 0.0, 0.16, 0.27),
            direction: knobs.pick(LeafKnob::DirectionalLight, 0.0, 0.7, 1.25),
            highlight: knobs.pick(LeafKnob::Highlights, 0.0, 0.35, 1.0),
            gradation: knobs.pick(LeafKnob::ColourGradation, 0.0, 0.7, 1.15),
            subject_opacity: focal_opacity,
            subject_chroma: focal_chroma * knobs.pick(LeafKnob::TellingAccent, 0.6, 1.0, 1.0),
            scheme: knobs.pick(LeafKnob::RelatedHues, -1, 0, 1),
            key_hue: scene.light.low.hue(),
            aspect_noise: scene.layout.noise,
        }
    }

    /// The form's colour after the palette's scheme: hues gathered round the key, or torn apart.
    fn scheme(&self, colour: Lab, form: &Form, index: u16) -> Lab {
        if form.layer == Layer::Mark || form.layer == Layer::Shadow {
            return colour;
        }
        match self.scheme {
            1 => {
                let difference = (colour.hue() - self.key_hue + 540.0).rem_euclid(360.0) - 180.0;
                colour.turn_hue(-0.72 * difference)
            }
            -1 => {
                let turn = 360.0 * lattice(i32::from(index), 5, self.aspect_noise);
                Lab::lch(colour.l.clamp(0.35, 0.85), 0.15, turn)
            }
            _ => colour,
        }
    }

    fn draw(&self, buffer: &mut AimBuffer, form: &Form, index: u16) {
        let layout = &self.scene.layout;
        let size = self.size as f32;
        let (left, top, right, bottom) = form.outline.bounds();
        let is_thing = matches!(form.layer, Layer::Prop | Layer::Subject | Layer::Mark);
        let lean = if form.foot.is_some() { layout.lean } else { 0.0 };
        let soft = form.softness + if form.layer == Layer::Sky { 0.02 } else { self.softness };
        let margin = soft + self.lost + layout.wobble + 0.02;
        let reach = layout.tilt.abs() * 0.55 + margin;
        let stray = lean.abs() * (bottom - top) + margin;
        let columns = span(left - stray, right + stray, self.size);
        let rows = span(top - reach, bottom + reach, self.size);
        let opacity = form.opacity * if form.layer == Layer::Subject { self.subject_opacity } else { 1.0 };
        let chroma = if form.layer == Layer::Subject { self.subject_chroma } else { 1.0 };
        let upper = self.scheme(form.upper, form, index).scale_chroma(chroma);
        let lower = self.scheme(form.lower, form, index).scale_chroma(chroma);
        let middle = upper.mix(lower, 0.5);
        let is_plane = matches!(form.layer, Layer::Backdrop | Layer::Far | Layer::Ground);
        let line = 0.9 / size;
        for row in rows {
            let y = (row as f32 + 0.5) / size;
            for column in columns.clone() {
                let x = (column as f32 + 0.5) / size;
                let mut px = x;
                let mut py = y - layout.tilt * (x - 0.5);
                if layout.wobble > 0.0 {
                    px += layout.wobble * smooth_noise(x * 17.0, y * 17.0, layout.noise ^ 0x51);
                    py += layout.wobble * smooth_noise(x * 17.0, y * 17.0, layout.noise ^ 0x52);
                }
                if let Some(foot) = form.foot {
                    px -= lean * (foot - py);
                }
                let sample = form.outline.sample(px, py);
                let facing = sample.normal_x * layout.light_side;
                let width = if is_thing { soft + self.lost * ease(-facing * 1.4) } else { soft };
                let coverage = ease(0.5 + sample.inside / width.max(0.6 / size)) * opacity;
                if coverage <= 0.004 {
                    continue;
                }
                let aim = &mut buffer.aims[row * self.size + column];
                let along = ((py - top) / (bottom - top)).clamp(0.0, 1.0);
                let mut colour = if is_plane {
                    let graded = middle.mix(upper, (1.0 - 2.0 * along) * self.gradation);
                    // Beyond the sky's own gradient, graded planes turn in hue from side to side.
                    let turn = 36.0 * (self.gradation - 0.7).max(0.0) / 0.45 * (x - 0.5) * layout.light_side;
                    if turn == 0.0 {
                        graded
                    } else {
                        graded.turn_hue(turn).scale_chroma(1.0 + (0.5 - x).abs())
                    }
                } else {
                    upper.mix(lower, along)
                };
                if form.volume > 0.0 {
                    let lit = (0.75 * facing * self.direction - 0.55 * sample.normal_y).clamp(-1.0, 1.0);
                    colour.l += form.volume * self.modelling * lit * if is_plane { 0.5 } else { 1.0 };
                    if is_thing && form.volume >= 0.8 && self.highlight > 0.0 {
                        let (dx, dy) = (sample.normal_x - 0.42 * layout.light_side, sample.normal_y + 0.34);
                        let shine = ease(1.4 - (dx * dx + dy * dy).sqrt() / 0.20) * self.highlight;
                        colour = colour.mix(Lab::new(0.99, 0.0, 0.012), shine * 0.9);
                    }
                }
                aim.colour = aim.colour.mix(colour, coverage);
                if form.layer == Layer::Shadow {
                    continue;
                }
                aim.contour *= 1.0 - coverage;
                if is_thing || form.layer == Layer::Far {
                    aim.contour = aim.contour.max(ease(1.6 - sample.inside.abs() / line) * form.opacity);
                }
                if coverage > 0.45 * opacity && form.opacity > 0.6 {
                    aim.layer = form.layer;
                    aim.form = index;
                    aim.depth = if form.layer == Layer::Ground {
                        0.75 * (1.0 - (py - layout.horizon) / (1.0 - layout.horizon)).clamp(0.0, 1.0)
                    } else {
                        form.depth
                    };
                    aim.angle = match form.grain {
                        Grain::Along(angle) => angle,
                        Grain::Around => libm::atan2f(sample.normal_x, -sample.normal_y),
                    };
                }
            }
        }
    }
}

/// The pixels between two picture coordinates.
fn span(low: f32, high: f32, size: usize) -> std::ops::Range<usize> {
    let clamp = |value: f32| (value * size as f32).clamp(0.0, size as f32);
    clamp(low).floor() as usize..clamp(high).ceil() as usize
}
