//! Directions: of strokes, of hatching, of edges that should stand upright.

use super::{
    Measures,
    planes::{N, Plane, Planes, hypotenuse, mean},
};

/// Directions of 10 degrees each.
const DIRECTIONS: usize = 18;

pub(super) fn measure(planes: &Planes, measures: &mut Measures) {
    let fine = Tensor::new(&planes.l, 2);
    measures.push("coherence", mean(fine.coherence()));
    let coarse = Tensor::new(&planes.l.blurred(1), 5);
    measures.push("coherence of areas", mean(coarse.coherence()));
    histogram(&planes.l, 0.0, 0..N, "strokes", measures);
    histogram(&planes.l.blurred(1), 0.10, 0..N, "edges", measures);
    histogram(&planes.l, 0.0, 0..N / 3, "strokes above", measures);
    flow(planes, measures);
    // Neighbouring directions agree where strokes follow the form.
    let agreement =
        (0..N - 8).step_by(4).flat_map(|y| (0..N - 8).step_by(4).map(move |x| (x, y))).map(|(x, y)| {
            let [here, right, below] = [(x, y), (x + 6, y), (x, y + 6)].map(|(x, y)| fine.direction(x, y));
            here[0] * right[0] + here[1] * right[1] + here[0] * below[0] + here[1] * below[1]
        });
    measures.push("agreement of directions", mean(agreement));
}

/// Directions of strokes from place to place, as cosine and sine of twice the angle, and how straight strong edges run.
fn flow(planes: &Planes, measures: &mut Measures) {
    const CELLS: usize = 5;
    let around = planes.l.blurred(3);
    let fine = Plane::from_fn(N, |x, y| planes.l.at(x, y) - around.at(x, y));
    let tensor = Tensor::new(&fine, 0);
    for row in 0..CELLS {
        for column in 0..CELLS {
            let share = |cell: usize| (cell as f32 / CELLS as f32, (cell + 1) as f32 / CELLS as f32);
            let sum = |plane: &Plane| plane.mean_in(share(column), share(row));
            let (xx, xy, yy) = (sum(&tensor.xx), sum(&tensor.xy), sum(&tensor.yy));
            let energy = (xx + yy).max(1e-7);
            measures.push(format!("strokes {row} {column} upright"), (xx - yy) / energy);
            measures.push(format!("strokes {row} {column} diagonal"), 2.0 * xy / energy);
        }
    }
    for (blur, radius) in [(0, 1), (1, 2), (1, 4), (2, 7)] {
        let tensor = Tensor::new(&planes.l.blurred(blur), radius);
        let (mut straight, mut total) = (0.0, 1e-6);
        for (index, coherence) in tensor.coherence().enumerate() {
            let energy = tensor.xx.values[index] + tensor.yy.values[index];
            straight += coherence * energy;
            total += energy;
        }
        measures.push(format!("straightness of edges {blur} {radius}"), straight / total);
    }
}

/// The structure tensor (Bigün and Granlund 1987), smoothed over a neighbourhood.
struct Tensor {
    xx: Plane,
    xy: Plane,
    yy: Plane,
}

impl Tensor {
    fn new(plane: &Plane, radius: usize) -> Self {
        let across =
            Plane::from_fn(N, |x, y| plane.at((x + 1).min(N - 1), y) - plane.at(x.saturating_sub(1), y));
        let down =
            Plane::from_fn(N, |x, y| plane.at(x, (y + 1).min(N - 1)) - plane.at(x, y.saturating_sub(1)));
        let product =
            |p: &Plane, q: &Plane| Plane::from_fn(N, |x, y| p.at(x, y) * q.at(x, y)).blurred(radius);
        Self { xx: product(&across, &across), xy: product(&across, &down), yy: product(&down, &down) }
    }

    /// Cosine and sine of twice the angle, scaled by how clear the direction is.
    fn direction(&self, x: usize, y: usize) -> [f32; 2] {
        let (xx, xy, yy) = (self.xx.at(x, y), self.xy.at(x, y), self.yy.at(x, y));
        let energy = (xx + yy).max(1e-6);
        [(xx - yy) / energy, 2.0 * xy / energy]
    }

    fn coherence(&self) -> impl Iterator<Item = f32> {
        (0..N * N).map(|index| {
            let [cosine, sine] = self.direction(index % N, index / N);
            hypotenuse(cosine, sine)
        })
    }
}

/// The angle of a line along (`across`, `down`) in `[0, π]`, to a third of a degree: `atan2` to the last digit would take
/// as long as all other measures of directions.
fn direction(down: f32, across: f32) -> f32 {
    let (x, y) = (across.abs(), down.abs());
    let ratio = x.min(y) / x.max(y).max(1e-12);
    let octant = ratio * (0.9724 - 0.1919 * ratio * ratio);
    let quadrant = if y > x { std::f32::consts::FRAC_PI_2 - octant } else { octant };
    if (across < 0.0) == (down < 0.0) { quadrant } else { std::f32::consts::PI - quadrant }
}

/// Shares of gradient energy by direction, of gradients above `least`, in the given rows.
fn histogram(plane: &Plane, least: f32, rows: std::ops::Range<usize>, name: &str, measures: &mut Measures) {
    let mut shares = [0.0_f32; DIRECTIONS];
    let mut total = 1e-6;
    for y in rows.start.max(1)..rows.end.min(N - 1) {
        for x in 1..N - 1 {
            let across = plane.at(x + 1, y) - plane.at(x - 1, y);
            let down = plane.at(x, y + 1) - plane.at(x, y - 1);
            let strength = hypotenuse(across, down);
            if strength > least {
                // Angles of the edge, not of its gradient: 0 is upright.
                let angle = direction(down, across);
                let place = (angle / std::f32::consts::PI * DIRECTIONS as f32 + 0.5) as usize % DIRECTIONS;
                shares[place] += strength;
                total += strength;
            }
        }
    }
    let shares = shares.map(|share| share / total);
    for (index, share) in shares.iter().enumerate() {
        measures.push(format!("{name} at {} degrees", index * 180 / DIRECTIONS), *share);
    }
    let entropy =
        -shares.iter().filter(|share| **share > 0.0).map(|share| share * libm::logf(*share)).sum::<f32>();
    measures.push(format!("{name} entropy"), entropy);
    // Upright edges beside leaning ones, whichever way they lean.
    let leaning = (shares[1] - shares[17]).abs() + (shares[2] - shares[16]).abs();
    measures.push(format!("{name} leaning"), leaning / (shares[0] + shares[1] + shares[17]).max(0.01));
}
