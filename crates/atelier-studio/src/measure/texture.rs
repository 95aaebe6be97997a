//! Strokes, relief, weave, specks and smoothness: energy by scale and direction.

use super::{
    Measures,
    planes::{N, Plane, Planes, mean, percentile},
};

/// Halvings of the resolution: from 2 to 64 pixels.
const SCALES: usize = 6;

pub(super) fn measure(planes: &Planes, measures: &mut Measures) {
    scales(&planes.l, "lightness", measures);
    for (name, plane) in [("green-red", &planes.a), ("blue-yellow", &planes.b)] {
        let mut plane = plane.clone();
        for scale in 0..SCALES - 1 {
            let details = details(&plane, 0..plane.side / 2);
            measures.push(format!("{name} energy {}", 2 << scale), log(details.iter().sum()));
            plane = plane.halved();
        }
    }
    for (name, from, to) in [("top", 0, N / 3), ("middle", N / 3, 2 * N / 3), ("bottom", 2 * N / 3, N)] {
        let mut plane = planes.l.clone();
        for scale in 0..3 {
            let rows = (from >> (scale + 1))..(to >> (scale + 1));
            measures.push(format!("{name} energy {}", 2 << scale), log(details(&plane, rows).iter().sum()));
            plane = plane.halved();
        }
    }
    weave(&planes.l, measures);
    specks(&planes.l, measures);
    // A smooth plane has hardly any difference from its blurred self in most places.
    let blurred = planes.l.blurred(1);
    let residue = Plane::from_fn(N, |x, y| (planes.l.at(x, y) - blurred.at(x, y)).abs());
    let sorted = residue.sorted();
    for percent in [20.0, 50.0, 80.0, 95.0, 99.0] {
        measures.push(format!("fine detail p{percent:.0}"), log(percentile(&sorted, percent).powi(2)));
    }
    let relief = Plane::from_fn(N, |x, y| {
        let around = planes.l.at(x.saturating_sub(1), y) + planes.l.at(x, y.saturating_sub(1));
        2.0 * planes.l.at(x, y) - around
    });
    let cube = mean(relief.values.iter().map(|value| value.powi(3)));
    measures.push("relief", cube / relief.deviation().powi(3).max(1e-6));
    measures.push(
        "peakedness of detail",
        mean(relief.values.iter().map(|v| v.powi(4))) / relief.deviation().powi(4).max(1e-9),
    );
}

/// Logarithms make factors of energy into differences.
fn log(energy: f32) -> f32 {
    libm::logf(energy + 1e-7)
}

/// Mean squared horizontal, vertical and diagonal differences within blocks of 2 x 2 in `rows` of blocks (Haar wavelets).
fn details(plane: &Plane, rows: std::ops::Range<usize>) -> [f32; 3] {
    let mut sums = [0.0_f32; 3];
    let columns = plane.side / 2;
    let count = (rows.len() * columns).max(1) as f32;
    for y in rows {
        for x in 0..columns {
            let [p, q, r, s] =
                [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| plane.at(2 * x + dx, 2 * y + dy));
            sums[0] += (p - q + r - s).powi(2);
            sums[1] += (p + q - r - s).powi(2);
            sums[2] += (p - q - r + s).powi(2);
        }
    }
    sums.map(|sum| sum / count)
}

fn scales(plane: &Plane, name: &str, measures: &mut Measures) {
    let mut plane = plane.clone();
    for scale in 0..SCALES {
        let found = details(&plane, 0..plane.side / 2);
        for (direction, energy) in ["across", "down", "diagonal"].into_iter().zip(found) {
            measures.push(format!("{name} {direction} {}", 2 << scale), log(energy));
        }
        plane = plane.halved();
    }
}

/// How strongly threads of two pixels show, in whatever phase.
fn weave(plane: &Plane, measures: &mut Measures) {
    let blurred = plane.blurred(2);
    let fine = Plane::from_fn(N, |x, y| plane.at(x, y) - blurred.at(x, y));
    const BLOCK: usize = 16;
    let mut strengths = Vec::new();
    for top in (0..N - BLOCK + 1).step_by(BLOCK) {
        for left in (0..N - BLOCK + 1).step_by(BLOCK) {
            let strongest = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| {
                let pixels = (0..BLOCK).flat_map(|y| (0..BLOCK).map(move |x| (x, y)));
                let sum: f32 = pixels
                    .map(|(x, y)| {
                        let sign = if ((x + dx) / 2 + (y + dy) / 2) % 2 == 0 { 1.0 } else { -1.0 };
                        sign * fine.at(left + x, top + y)
                    })
                    .sum();
                sum.abs() / (BLOCK * BLOCK) as f32
            });
            strengths.push(strongest.into_iter().fold(0.0, f32::max));
        }
    }
    strengths.sort_by(f32::total_cmp);
    measures.push("weave p20", percentile(&strengths, 20.0));
    measures.push("weave p50", percentile(&strengths, 50.0));
    measures.push("weave p90", percentile(&strengths, 90.0));
}

/// Spots of one to three pixels that differ from everything around them.
fn specks(plane: &Plane, measures: &mut Measures) {
    let inner = plane.blurred(1);
    const RING: [(isize, isize); 8] = [(-4, 0), (4, 0), (0, -4), (0, 4), (-3, -3), (3, -3), (-3, 3), (3, 3)];
    let (mut dark, mut light) = (0.0, 0.0);
    for y in 4..N - 4 {
        for x in 4..N - 4 {
            let ring =
                RING.map(|(dx, dy)| plane.at(x.saturating_add_signed(dx), y.saturating_add_signed(dy)));
            let lowest = ring.into_iter().fold(f32::MAX, f32::min);
            let highest = ring.into_iter().fold(f32::MIN, f32::max);
            dark += f32::from(u8::from(inner.at(x, y) < lowest - 0.10));
            light += f32::from(u8::from(inner.at(x, y) > highest + 0.10));
        }
    }
    measures.push("dark specks", libm::logf(1.0 + dark));
    measures.push("light specks", libm::logf(1.0 + light));
}
