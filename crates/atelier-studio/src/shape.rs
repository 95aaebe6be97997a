//! The outlines that a scene is built of, in picture coordinates: `[0, 1]` on both axes, `y` downwards.

use crate::noise::{ease, smooth_noise};

/// A closed outline.
#[derive(Debug, Clone)]
pub(crate) enum Outline {
    /// Everything below a ridge whose heights are given at equal steps from the left edge to the right one.
    Below { ridge: Vec<f32> },
    /// An ellipse, turned by `angle` radians.
    Ellipse { centre: (f32, f32), radii: (f32, f32), angle: f32 },
    /// An elliptic ring.
    Ring { centre: (f32, f32), radii: (f32, f32), thickness: f32 },
    /// A body of revolution about a vertical axis: half widths at equal steps from its foot to its top.
    Lathe { axis: f32, foot: f32, top: f32, profile: Vec<f32> },
    /// A polygon.
    Polygon { points: Vec<(f32, f32)> },
}

/// What an outline knows about a point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The distance to the outline, positive inside, approximately in picture units.
    pub inside: f32,
    /// How far the surface turns to the right (1) or the left (-1).
    pub normal_x: f32,
    /// How far the surface turns down (1) or up (-1).
    pub normal_y: f32,
}

impl Outline {
    /// A straight horizontal ridge.
    pub fn level(height: f32) -> Self {
        Self::Below { ridge: vec![height; 2] }
    }

    /// A ridge that rises `height` above `base` with `waves` noise cells across the picture.
    pub fn rolling(base: f32, height: f32, waves: f32, roughness: f32, seed: u32) -> Self {
        let ridge = (0..=48)
            .map(|step| {
                let x = step as f32 / 48.0;
                let broad = 0.5 + 0.5 * smooth_noise(x * waves, 0.0, seed);
                let fine = smooth_noise(x * waves * 3.7, 3.0, seed);
                base - height * (broad + roughness * fine)
            })
            .collect();
        Self::Below { ridge }
    }

    /// An upright rectangle.
    pub fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self::Polygon { points: vec![(left, top), (right, top), (right, bottom), (left, bottom)] }
    }

    /// The smallest upright rectangle round the outline: left, top, right, bottom.
    pub fn bounds(&self) -> (f32, f32, f32, f32) {
        match self {
            Self::Below { ridge } => (0.0, ridge.iter().copied().fold(f32::MAX, f32::min), 1.0, 1.0),
            Self::Ellipse { centre, radii, .. } => {
                let reach = radii.0.max(radii.1);
                (centre.0 - reach, centre.1 - reach, centre.0 + reach, centre.1 + reach)
            }
            Self::Ring { centre, radii, thickness } => {
                let (x, y) = (radii.0 + thickness, radii.1 + thickness);
                (centre.0 - x, centre.1 - y, centre.0 + x, centre.1 + y)
            }
            Self::Lathe { axis, foot, top, profile } => {
                let reach = profile.iter().copied().fold(0.0, f32::max);
                (axis - reach, *top, axis + reach, *foot)
            }
            Self::Polygon { points } => points
                .iter()
                .fold((f32::MAX, f32::MAX, f32::MIN, f32::MIN), |(left, top, right, bottom), &(x, y)| {
                    (left.min(x), top.min(y), right.max(x), bottom.max(y))
                }),
        }
    }

    /// What the outline knows about a point.
    pub fn sample(&self, x: f32, y: f32) -> Sample {
        match self {
            Self::Below { ridge } => {
                let (height, slope) = between(ridge, x);
                Sample { inside: y - height, normal_x: (slope * 1.6).clamp(-1.0, 1.0), normal_y: -0.2 }
            }
            Self::Ellipse { centre, radii, angle } => {
                let (sin, cos) = libm::sincosf(*angle);
                let (dx, dy) = (x - centre.0, y - centre.1);
                let (u, v) = ((dx * cos + dy * sin) / radii.0, (dy * cos - dx * sin) / radii.1);
                let distance = (u * u + v * v).sqrt();
                let (nx, ny) = (u * cos - v * sin, u * sin + v * cos);
                Sample { inside: (1.0 - distance) * radii.0.min(radii.1), normal_x: nx, normal_y: ny }
            }
            Self::Ring { centre, radii, thickness } => {
                let (u, v) = ((x - centre.0) / radii.0, (y - centre.1) / radii.1);
                let distance = (u * u + v * v).sqrt();
                let off = (distance - 1.0) * radii.0.min(radii.1);
                let across = (off / thickness).clamp(-1.0, 1.0);
                Sample {
                    inside: 0.5 * thickness - off.abs(),
                    normal_x: u * across / distance.max(1e-3),
                    normal_y: v * across / distance.max(1e-3),
                }
            }
            Self::Lathe { axis, foot, top, profile } => {
                let along = (foot - y) / (foot - top);
                let (half, slope) = between(profile, along);
                let across = x - axis;
                let inside = (half - across.abs()).min(y - top).min(foot - y);
                let tilt = (slope / (foot - top)).clamp(-1.0, 1.0);
                Sample {
                    inside,
                    normal_x: (across / half.max(1e-3)).clamp(-1.0, 1.0),
                    normal_y: 0.5 * tilt + 0.3 * (0.5 - along),
                }
            }
            Self::Polygon { points } => {
                let (left, top, right, bottom) = self.bounds();
                Sample {
                    inside: polygon_distance(points, x, y),
                    normal_x: (2.0 * (x - left) / (right - left).max(1e-3) - 1.0).clamp(-1.0, 1.0),
                    normal_y: 0.6 * (2.0 * (y - top) / (bottom - top).max(1e-3) - 1.0).clamp(-1.0, 1.0),
                }
            }
        }
    }
}

/// The value and the slope of equally spaced samples at `t` in `[0, 1]`.
fn between(samples: &[f32], t: f32) -> (f32, f32) {
    let last = samples.len() - 1;
    let position = t.clamp(0.0, 1.0) * last as f32;
    let index = (position as usize).min(last - 1);
    let (start, end) = (samples[index], samples[index + 1]);
    (start + (end - start) * ease(position - index as f32), (end - start) * last as f32)
}

/// The signed distance to a polygon, positive inside.
fn polygon_distance(points: &[(f32, f32)], x: f32, y: f32) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let mut previous = points[points.len() - 1];
    for &current in points {
        let (ex, ey) = (current.0 - previous.0, current.1 - previous.1);
        let (wx, wy) = (x - previous.0, y - previous.1);
        let t = ((wx * ex + wy * ey) / (ex * ex + ey * ey).max(1e-12)).clamp(0.0, 1.0);
        let (dx, dy) = (wx - ex * t, wy - ey * t);
        nearest = nearest.min(dx * dx + dy * dy);
        if (current.1 > y) != (previous.1 > y) && x < current.0 + (y - current.1) * ex / ey {
            inside = !inside;
        }
        previous = current;
    }
    let distance = nearest.sqrt();
    if inside { distance } else { -distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inside_is_positive_for_every_outline() {
        let shapes = [
            (Outline::level(0.5), (0.3, 0.8), (0.3, 0.2)),
            (Outline::Ellipse { centre: (0.5, 0.5), radii: (0.3, 0.1), angle: 0.0 }, (0.7, 0.5), (0.5, 0.7)),
            (
                Outline::Ring { centre: (0.5, 0.5), radii: (0.3, 0.3), thickness: 0.05 },
                (0.8, 0.5),
                (0.5, 0.5),
            ),
            (
                Outline::Lathe { axis: 0.5, foot: 0.9, top: 0.1, profile: vec![0.3, 0.1] },
                (0.7, 0.88),
                (0.7, 0.12),
            ),
            (Outline::rectangle(0.2, 0.2, 0.4, 0.6), (0.3, 0.3), (0.5, 0.3)),
        ];
        for (shape, inner, outer) in shapes {
            assert!(shape.sample(inner.0, inner.1).inside > 0.0, "{shape:?}");
            assert!(shape.sample(outer.0, outer.1).inside < 0.0, "{shape:?}");
        }
    }
}
