//! Directions: of strokes, of hatching, of edges that should stand upright.

use super::{
    Measures,
    planes::{N, Plane, Planes, mean},
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
    // Neighbouring directions agree where strokes follow the form.
    let agreement =
        (0..N - 8).step_by(4).flat_map(|y| (0..N - 8).step_by(4).map(move |x| (x, y))).map(|(x, y)| {
            let [here, right, below] = [(x, y), (x + 6, y), (x, y + 6)].map(|(x, y)| fine.direction(x, y));
            here[0] * right[0] + here[1] * right[1] + here[0] * below[0] + here[1] * below[1]
        });
    measures.push("agreement of directions", mean(agreement));
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
            libm::hypotf(cosine, sine)
        })
    }
}

/// Shares of gradient energy by direction, of gradients above `least`, in the given rows.
fn histogram(plane: &Plane, least: f32, rows: std::ops::Range<usize>, name: &str, measures: &mut Measures) {
    let mut shares = [0.0_f32; DIRECTIONS];
    let mut total = 1e-6;
    for y in rows.start.max(1)..rows.end.min(N - 1) {
        for x in 1..N - 1 {
            let across = plane.at(x + 1, y) - plane.at(x - 1, y);
            let down = plane.at(x, y + 1) - plane.at(x, y - 1);
            let strength = libm::hypotf(across, down);
            if strength > least {
                // Angles of the edge, not of its gradient: 0 is upright.
                let angle = libm::atan2f(down, across).rem_euclid(std::f32::consts::PI);
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
