//! A picture as planes of lightness and opponent colours, and the statistics of a plane.

use super::SIDE;
use crate::colour::Lab;

/// The side as a length.
pub(super) const N: usize = SIDE as usize;

/// One number for each pixel, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub side: usize,
    pub values: Vec<f32>,
}

/// The planes that measures share.
#[derive(Debug)]
pub(super) struct Planes {
    /// OKLab lightness, in `[0, 1]`.
    pub l: Plane,
    /// Green to red.
    pub a: Plane,
    /// Blue to yellow.
    pub b: Plane,
    /// Distance from grey.
    pub chroma: Plane,
    /// Change of lightness and colour per pixel.
    pub gradient: Plane,
}

impl Planes {
    pub(super) fn new(colours: &[Lab]) -> Self {
        let plane = |value: fn(&Lab) -> f32| Plane { side: N, values: colours.iter().map(value).collect() };
        let (l, a, b) = (plane(|c| c.l), plane(|c| c.a), plane(|c| c.b));
        let gradient = Plane::from_fn(N, |x, y| {
            let (right, below) = ((x + 1).min(N - 1), (y + 1).min(N - 1));
            let square = |plane: &Plane| {
                let here = plane.at(x, y);
                (plane.at(right, y) - here).powi(2) + (plane.at(x, below) - here).powi(2)
            };
            (square(&l) + square(&a) + square(&b)).sqrt()
        });
        Self { chroma: plane(|c| (c.a * c.a + c.b * c.b).sqrt()), l, a, b, gradient }
    }
}

impl Plane {
    pub(super) fn from_fn(side: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let values = (0..side * side).map(|index| value(index % side, index / side)).collect();
        Self { side, values }
    }

    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.side + x]
    }

    pub(super) fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self { side: self.side, values: self.values.iter().map(|value| change(*value)).collect() }
    }

    /// The mean of every square of `2 radius + 1` pixels a side; borders are continued.
    pub(super) fn blurred(&self, radius: usize) -> Self {
        let side = self.side;
        let scale = 1.0 / (2 * radius + 1) as f32;
        let mut across = vec![0.0; side * side];
        for (source, target) in self.values.chunks_exact(side).zip(across.chunks_exact_mut(side)) {
            let at = |place: usize| source[place.min(side - 1)];
            let mut sum = at(0) * (radius + 1) as f32 + (1..=radius).map(at).sum::<f32>();
            for (place, target) in target.iter_mut().enumerate() {
                *target = sum * scale;
                sum += at(place + radius + 1) - at(place.saturating_sub(radius));
            }
        }
        // Whole rows at a time: columns one by one would leap through memory.
        let row = |place: usize| &across[place.min(side - 1) * side..][..side];
        let mut sums: Vec<f32> = row(0).iter().map(|value| value * (radius + 1) as f32).collect();
        for place in 1..=radius {
            sums.iter_mut().zip(row(place)).for_each(|(sum, value)| *sum += value);
        }
        let mut values = Vec::with_capacity(side * side);
        for place in 0..side {
            values.extend(sums.iter().map(|sum| sum * scale));
            let (entering, leaving) = (row(place + radius + 1), row(place.saturating_sub(radius)));
            for ((sum, entering), leaving) in sums.iter_mut().zip(entering).zip(leaving) {
                *sum += entering - leaving;
            }
        }
        Self { side, values }
    }

    /// The largest or smallest value, as `choose` says, within a square that reaches this far on every side.
    pub(super) fn spread(&self, reach: usize, choose: impl Fn(f32, f32) -> f32 + Copy) -> Self {
        self.spread_across(reach, choose).spread_down(reach, choose)
    }

    /// The same within each row.
    pub(super) fn spread_across(&self, reach: usize, choose: impl Fn(f32, f32) -> f32 + Copy) -> Self {
        let side = self.side;
        let mut values = self.values.clone();
        let mut padded = vec![0.0; side + 2 * reach];
        for (source, target) in self.values.chunks_exact(side).zip(values.chunks_exact_mut(side)) {
            padded[..reach].fill(source[0]);
            padded[reach..reach + side].copy_from_slice(source);
            padded[reach + side..].fill(source[side - 1]);
            for offset in 0..=2 * reach {
                join(target, &padded[offset..offset + side], choose);
            }
        }
        Self { side, values }
    }

    /// The same within each column.
    pub(super) fn spread_down(&self, reach: usize, choose: impl Fn(f32, f32) -> f32 + Copy) -> Self {
        let side = self.side;
        let mut values = self.values.clone();
        for (place, target) in values.chunks_exact_mut(side).enumerate() {
            for other in place.saturating_sub(reach)..=(place + reach).min(side - 1) {
                join(target, &self.values[other * side..][..side], choose);
            }
        }
        Self { side, values }
    }

    /// Means of blocks of 2 x 2.
    pub(super) fn halved(&self) -> Self {
        Self::from_fn(self.side / 2, |x, y| {
            let (x, y) = (2 * x, 2 * y);
            0.25 * (self.at(x, y) + self.at(x + 1, y) + self.at(x, y + 1) + self.at(x + 1, y + 1))
        })
    }

    /// The mean over the columns and rows given as shares of the side.
    pub(super) fn mean_in(&self, (left, right): (f32, f32), (top, bottom): (f32, f32)) -> f32 {
        let edge = |share: f32| (share * self.side as f32) as usize;
        let rows = edge(top)..edge(bottom);
        mean(rows.flat_map(|y| {
            self.values[y * self.side + edge(left)..y * self.side + edge(right)].iter().copied()
        }))
    }

    pub(super) fn mean(&self) -> f32 {
        mean(self.values.iter().copied())
    }

    pub(super) fn deviation(&self) -> f32 {
        let center = self.mean();
        mean(self.values.iter().map(|value| (value - center).powi(2))).sqrt()
    }

    /// The share of pixels for which `test` holds.
    pub(super) fn share(&self, test: impl Fn(f32) -> bool) -> f32 {
        self.values.iter().filter(|value| test(**value)).count() as f32 / self.values.len() as f32
    }

    /// Values in rising order, of which percentiles are read.
    pub(super) fn sorted(&self) -> Vec<f32> {
        let mut values = self.values.clone();
        values.sort_unstable_by(f32::total_cmp);
        values
    }
}

/// Replaces every value by the one of the two that `choose` takes.
fn join(values: &mut [f32], others: &[f32], choose: impl Fn(f32, f32) -> f32) {
    values.iter_mut().zip(others).for_each(|(value, other)| *value = choose(*value, *other));
}

/// The value below which `percent` of the sorted `values` lie.
pub(super) fn percentile(values: &[f32], percent: f32) -> f32 {
    values[((values.len() - 1) as f32 * percent / 100.0) as usize]
}

/// The mean; not a number for nothing.
pub(super) fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (mut sum, mut count) = (0.0_f64, 0.0_f64);
    for value in values {
        sum += f64::from(value);
        count += 1.0;
    }
    (sum / count) as f32
}

/// The larger of two numbers; unlike `f32::max` it need not look out for what is not a number.
pub(super) fn larger(one: f32, other: f32) -> f32 {
    if one > other { one } else { other }
}

/// The smaller of two numbers.
pub(super) fn smaller(one: f32, other: f32) -> f32 {
    if one < other { one } else { other }
}

/// The length of a vector; colours are far from the overflow that `hypot` guards against, at ten times the cost.
pub(super) fn hypotenuse(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Pearson's correlation of two planes.
pub(super) fn correlation(first: &Plane, second: &Plane) -> f32 {
    let (of_first, of_second) = (first.mean(), second.mean());
    let pairs = first.values.iter().zip(&second.values);
    let product = mean(pairs.map(|(x, y)| (x - of_first) * (y - of_second)));
    product / (first.deviation() * second.deviation()).max(1e-6)
}
