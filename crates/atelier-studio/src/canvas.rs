//! The painted surface: colour and height of the paint, and the strokes that put it there.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::buffer::{Aim, AimBuffer};
use crate::colour::Lab;
use crate::noise::{ease, lattice};

/// The colour of the primed canvas.
pub(crate) const PRIMING: Lab = Lab::new(0.88, 0.006, 0.035);

/// A square surface with paint on it, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub size: usize,
    pub colours: Vec<Lab>,
    /// The height of the paint in units of one body of paint.
    pub heights: Vec<f32>,
}

/// One stroke of a brush, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stroke {
    pub x: f32,
    pub y: f32,
    pub angle: f32,
    pub length: f32,
    pub width: f32,
    /// How far the stroke bends aside at its ends, as a fraction of its length.
    pub bend: f32,
    pub colour: Lab,
    pub opacity: f32,
    /// How much the bristles' traces differ in value.
    pub bristle: f32,
    /// The form it belongs to; pixels of other forms take only `bleed` of it.
    pub form: u16,
    pub bleed: f32,
    pub seed: u32,
}

impl Canvas {
    /// A surface toned with one colour.
    pub fn toned(size: usize, colour: Lab) -> Self {
        Self { size, colours: vec![colour; size * size], heights: vec![0.0; size * size] }
    }

    /// Lays one stroke.
    pub fn lay(&mut self, stroke: &Stroke, aims: &AimBuffer) {
        let (sin, cos) = libm::sincosf(stroke.angle);
        let (half_length, half_width) = (0.5 * stroke.length, 0.5 * stroke.width);
        let reach_x = (cos * half_length).abs() + stroke.width;
        let reach_y = (sin * half_length).abs() + stroke.width;
        let last = self.size as f32;
        let columns = (stroke.x - reach_x).clamp(0.0, last) as usize
            ..(stroke.x + reach_x + 1.0).clamp(0.0, last) as usize;
        let rows = (stroke.y - reach_y).clamp(0.0, last) as usize
            ..(stroke.y + reach_y + 1.0).clamp(0.0, last) as usize;
        for row in rows {
            let dy = row as f32 + 0.5 - stroke.y;
            for column in columns.clone() {
                let dx = column as f32 + 0.5 - stroke.x;
                let along = (dx * cos + dy * sin) / half_length;
                if along.abs() >= 1.0 {
                    continue;
                }
                let across = (dy * cos - dx * sin) / half_width
                    + stroke.bend * stroke.length * along * along / half_width;
                if across.abs() >= 1.0 {
                    continue;
                }
                let edge = ease(2.6 * (1.0 - across.abs())) * ease(3.0 * (1.0 - along.abs()));
                // Hairs pick up unequal paint: a trace along the stroke for each of them.
                let hair = lattice((across * half_width * 1.1 + 40.0) as i32, 0, stroke.seed) - 0.5;
                let index = row * self.size + column;
                let kept = if aims.aims[index].form == stroke.form { 1.0 } else { stroke.bleed };
                let cover = edge * stroke.opacity * (1.0 - 0.5 * stroke.bristle * (hair + 0.5)) * kept;
                let colour = stroke.colour.lighter(0.09 * stroke.bristle * hair);
                self.colours[index] = self.colours[index].mix(colour, cover);
                let ridge = 0.55 + 0.9 * stroke.bristle * hair + 0.35 * across * across;
                self.heights[index] += (ridge - self.heights[index]) * cover;
            }
        }
    }
}

/// How one layer of strokes is laid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StrokeLayer {
    /// Width in pixels.
    pub width: f32,
    /// Length in widths.
    pub slenderness: f32,
    /// Distance between neighbouring strokes in widths.
    pub spacing: f32,
    pub opacity: f32,
    /// Only where the canvas is farther from the aim than this does the layer paint.
    pub threshold: f32,
    /// How far the direction strays from the form's, in radians.
    pub stray: f32,
    /// How far value, hue (in degrees) and chroma differ from stroke to stroke.
    pub value: f32,
    pub hue: f32,
    pub chroma: f32,
    pub bristle: f32,
    pub bleed: f32,
    /// A direction for all strokes.
    pub fixed: Option<f32>,
    /// The amplitude of a flow that turns the direction from place to place, in radians.
    pub flow: f32,
}

/// Lays a layer of strokes in random order; every stroke takes the same numbers from `rng`, painted or not.
pub(crate) fn lay_layer(
    canvas: &mut Canvas,
    aims: &AimBuffer,
    layer: &StrokeLayer,
    rng: &mut ChaCha8Rng,
    choose: impl Fn(&Aim) -> f32,
) {
    let size = canvas.size as f32;
    let per_side = (size / (layer.width * layer.spacing)).ceil() as usize;
    let cell = size / per_side as f32;
    let mut cells: Vec<u32> = (0..(per_side * per_side) as u32).collect();
    for index in (1..cells.len()).rev() {
        cells.swap(index, rng.random_range(0..=index));
    }
    for cell_index in cells {
        let (column, row) = (cell_index as usize % per_side, cell_index as usize / per_side);
        let dice: [f32; 9] = std::array::from_fn(|_| rng.random());
        let seed = rng.random();
        let x = (column as f32 + 0.1 + 0.8 * dice[0]) * cell;
        let y = (row as f32 + 0.1 + 0.8 * dice[1]) * cell;
        let aim = aims.at(x, y);
        let share = choose(aim);
        if dice[8] >= share {
            continue;
        }
        let here = canvas.colours
            [(y as usize).min(canvas.size - 1) * canvas.size + (x as usize).min(canvas.size - 1)];
        if layer.threshold > 0.0 && here.distance(aim.colour) < layer.threshold {
            continue;
        }
        let swirl = if layer.flow > 0.0 {
            layer.flow * crate::noise::smooth_noise(x / size * 2.6, y / size * 2.6, 0x0f10)
        } else {
            0.0
        };
        let angle = layer.fixed.unwrap_or(aim.angle + swirl) + layer.stray * (2.0 * dice[2] - 1.0);
        let colour = aim
            .colour
            .lighter(layer.value * (2.0 * dice[3] - 1.0))
            .turn_hue(layer.hue * (2.0 * dice[4] - 1.0))
            .scale_chroma(1.0 + layer.chroma * (2.0 * dice[5] - 1.0));
        let colour = colour.tint(
            0.25 * layer.chroma * 0.1 * (2.0 * dice[4] - 1.0),
            0.25 * layer.chroma * 0.1 * (2.0 * dice[5] - 1.0),
        );
        let width = layer.width * (0.8 + 0.4 * dice[6]);
        canvas.lay(
            &Stroke {
                x,
                y,
                angle,
                length: width * layer.slenderness * (0.8 + 0.4 * dice[7]),
                width,
                bend: 0.12 * (2.0 * dice[6] - 1.0),
                colour,
                opacity: layer.opacity,
                bristle: layer.bristle,
                form: aim.form,
                bleed: layer.bleed,
                seed,
            },
            aims,
        );
    }
}
