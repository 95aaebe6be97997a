//! The horizon or the table's far edge: its height and tilt, how steady it runs, and what lies above and below it.

use super::{
    Measures,
    planes::{N, Plane, Planes, hypotenuse, mean},
};

/// Tilts are searched to this many degrees on either side.
const STEEPEST: i32 = 12;
/// Bins of the distance between a horizontal step and the middle of the picture.
const FOLDS: usize = 10;
/// Bands of distance from the horizon, as shares of the side, negative above it.
const BANDS: [(f32, f32); 7] = [
    (-0.34, -0.20),
    (-0.20, -0.11),
    (-0.11, -0.05),
    (-0.05, -0.01),
    (0.01, 0.07),
    (0.07, 0.20),
    (0.20, 0.42),
];

/// The line across the picture at which values and colours change most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon {
    /// Where it crosses the middle column, as a share of the side from the top.
    pub height: f32,
    /// How much it drops per pixel to the right.
    pub slope: f32,
}

impl Horizon {
    /// How far below the horizon a point lies, as a share of the side; all as shares of the side.
    pub(super) fn below(self, x: f32, y: f32) -> f32 {
        y - self.height - self.slope * (x - 0.5)
    }
}

/// Finds and measures the horizon.
pub(super) fn measure(planes: &Planes, measures: &mut Measures) -> Horizon {
    let horizon = search(planes, measures);
    bands(planes, horizon, measures);
    steadiness(planes, horizon, measures);
    leaning(planes, measures);
    horizon
}

/// The strongest line, searched over heights and tilts.
fn search(planes: &Planes, measures: &mut Measures) -> Horizon {
    let pooled = [planes.l.halved(), planes.a.halved(), planes.b.halved()];
    let side = N / 2;
    let mut best = (0.0_f32, 0.5, 0_i32, 0.0);
    let mut steps_of_best = vec![0.0; side];
    let (mut by_tilt, mut level) = (Vec::new(), 0.0);
    for tilt in -STEEPEST..=STEEPEST {
        let slope = libm::tanf((tilt as f32).to_radians());
        let steps = steps(&pooled, slope);
        let mut strongest = 0.0_f32;
        for (row, step) in steps.iter().enumerate().take(side * 4 / 5).skip(side / 5) {
            strongest = strongest.max(*step);
            if *step > best.0 {
                best = (*step, row as f32 / side as f32, tilt, slope);
            }
        }
        if tilt == best.2 {
            steps_of_best = steps;
        }
        if tilt == 0 {
            level = strongest;
        }
        by_tilt.push(strongest);
    }
    let (strength, height, tilt, slope) = best;
    measures.push("horizon strength", strength);
    measures.push("horizon height", height);
    measures.push("horizon off the middle", (height - 0.5).abs());
    measures.push("horizon at a third", (height - 1.0 / 3.0).abs().min((height - 2.0 / 3.0).abs()));
    measures.push("horizon tilt", tilt.abs() as f32);
    measures.push("level against tilted", libm::logf(level.max(1e-3) / strength.max(1e-3)));
    let middle = STEEPEST as usize;
    let steep: Vec<f32> =
        (0..=middle).map(|tilt| by_tilt[middle - tilt].max(by_tilt[middle + tilt])).collect();
    for (name, tilts) in [("2 to 4", 2..5), ("5 to 7", 5..8), ("8 to 10", 8..11)] {
        let strongest = steep[tilts].iter().copied().fold(0.0, f32::max);
        measures
            .push(format!("lines tilted {name} degrees"), libm::logf(strongest.max(1e-3) / level.max(1e-3)));
    }
    // Where a picture has two strong lines the heights of both count.
    let total = steps_of_best.iter().sum::<f32>().max(1e-3);
    let mut folded = [0.0_f32; FOLDS];
    for (row, step) in steps_of_best.iter().enumerate() {
        let off = (row as f32 / side as f32 - 0.5).abs();
        folded[((off / 0.30 * FOLDS as f32) as usize).min(FOLDS - 1)] += step / total;
    }
    for (index, share) in folded.into_iter().enumerate() {
        measures.push(format!("steps {index} off the middle"), share);
    }
    Horizon { height, slope }
}

/// For every row, the step of lightness and colour across a line of this slope through the row's middle.
fn steps(pooled: &[Plane; 3], slope: f32) -> Vec<f32> {
    let side = N / 2;
    let drops: Vec<f32> = (0..side).map(|x| slope * (x as f32 + 0.5 - side as f32 / 2.0) + 0.5).collect();
    let profile: Vec<[f32; 3]> = (0..side)
        .map(|row| {
            let mut sums = [0.0_f32; 3];
            for (x, drop) in drops.iter().enumerate() {
                let index = (row as f32 + drop).clamp(0.0, side as f32 - 1.0) as usize * side + x;
                for (sum, plane) in sums.iter_mut().zip(pooled) {
                    *sum += plane.values[index];
                }
            }
            sums.map(|sum| sum / side as f32)
        })
        .collect();
    (0..side)
        .map(|row| {
            let at = |place: usize| profile[place.clamp(2, side + 1) - 2];
            let step = |channel: usize| {
                let above = at(row)[channel] + at(row + 1)[channel];
                let below = at(row + 2)[channel] + at(row + 3)[channel];
                (0.5 * (below - above)).powi(2)
            };
            (step(0) + step(1) + step(2)).sqrt()
        })
        .collect()
}

/// The means of what lies in bands above and below the horizon, and how far neighbouring bands differ.
fn bands(planes: &Planes, horizon: Horizon, measures: &mut Measures) {
    let around = planes.l.blurred(4);
    let contrast = Plane::from_fn(N, |x, y| (planes.l.at(x, y) - around.at(x, y)).abs());
    let wide = planes.l.blurred(1);
    let detail = Plane::from_fn(N, |x, y| (planes.l.at(x, y) - wide.at(x, y)).abs());
    let measured = [
        ("lightness", &planes.l),
        ("green-red", &planes.a),
        ("blue-yellow", &planes.b),
        ("chroma", &planes.chroma),
        ("contrast", &contrast),
        ("detail", &detail),
    ];
    let mut sums = [[0.0_f32; 6]; BANDS.len()];
    let mut squares = [0.0_f32; BANDS.len()];
    let mut counts = [0.0_f32; BANDS.len()];
    for y in 0..N {
        for x in 0..N {
            let below = horizon.below((x as f32 + 0.5) / N as f32, (y as f32 + 0.5) / N as f32);
            if let Some(band) = BANDS.iter().position(|(from, to)| (*from..*to).contains(&below)) {
                counts[band] += 1.0;
                squares[band] += planes.l.at(x, y).powi(2);
                for (sum, (_, plane)) in sums[band].iter_mut().zip(measured) {
                    *sum += plane.at(x, y);
                }
            }
        }
    }
    let means: Vec<[f32; 6]> =
        sums.iter().zip(counts).map(|(sums, count)| sums.map(|sum| sum / count.max(1.0))).collect();
    for (band, values) in means.iter().enumerate() {
        for (value, (name, _)) in values.iter().zip(measured) {
            measures.push(format!("{name} in band {band} of the horizon"), *value);
        }
        let variance = squares[band] / counts[band].max(1.0) - values[0].powi(2);
        measures.push(format!("variety in band {band} of the horizon"), variance.max(0.0).sqrt());
    }
    let distance = |first: usize, second: usize| {
        let difference = |channel: usize| (means[first][channel] - means[second][channel]).powi(2);
        (difference(0) + difference(1) + difference(2)).sqrt()
    };
    for (first, second) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (0, 3), (0, 4), (1, 5)] {
        measures.push(format!("step from band {first} to {second} of the horizon"), distance(first, second));
    }
    // The same light gives sky and ground related tints and values.
    let (sky, ground) = (means[1], means[5]);
    measures.push("tints of sky and ground agree", 100.0 * (sky[1] * ground[1] + sky[2] * ground[2]));
    measures.push("values of sky and ground differ", (sky[0] - ground[0] - 0.05).powi(2));
    measures.push(
        "warmth of sky and ground differs",
        (sky[2] - ground[2] + 0.02).powi(2) + (sky[1] - ground[1]).powi(2),
    );
}

/// How far the horizon strays from its line, column by column.
fn steadiness(planes: &Planes, horizon: Horizon, measures: &mut Measures) {
    const REACH: usize = 7;
    let planes = [planes.l.blurred(1), planes.a.blurred(1), planes.b.blurred(1)];
    let mut places = Vec::with_capacity(N);
    for x in 0..N {
        let middle = N as f32 * (horizon.height + horizon.slope * ((x as f32 + 0.5) / N as f32 - 0.5));
        let middle = middle.clamp(REACH as f32 + 2.0, (N - REACH - 3) as f32) as usize;
        let (mut weights, mut sum) = (1e-6, 0.0);
        for y in middle - REACH..=middle + REACH {
            let step = |plane: &Plane| (plane.at(x, y + 1) - plane.at(x, y - 1)).powi(2);
            // The fourth power of the step picks the strongest without jumping between equals.
            let weight = planes.iter().map(step).sum::<f32>().powi(2);
            weights += weight;
            sum += weight * (y as f32 - middle as f32);
        }
        places.push(sum / weights);
    }
    let strays = places.windows(9).map(|window| (window[4] - 0.5 * (window[0] + window[8])).abs());
    let mut bends: Vec<f32> = strays.collect();
    bends.sort_unstable_by(f32::total_cmp);
    measures.push("bends of the horizon p25", bends[bends.len() / 4]);
    measures.push("bends of the horizon p50", bends[bends.len() / 2]);
    measures.push("bends of the horizon mean", mean(bends.iter().copied()));
    let centre = mean(places.iter().copied());
    measures.push("strays of the horizon", mean(places.iter().map(|place| (place - centre).powi(2))).sqrt());
}

/// How edges that are nearly level or nearly upright lean together, whichever way.
fn leaning(planes: &Planes, measures: &mut Measures) {
    const LEANS: usize = 8;
    for (name, radius, widest) in [("fine", 1_usize, 0.42_f32), ("broad", 3, 0.42)] {
        let planes = [planes.l.blurred(radius), planes.a.blurred(radius), planes.b.blurred(radius)];
        // Signed leans in bins, of level edges in the upper and the lower half, and of upright ones.
        let mut level = [[0.0_f32; 2 * LEANS]; 2];
        let mut upright = [0.0_f32; 2 * LEANS];
        let mut tensors = [[0.0_f32; 2]; 3];
        for y in 2..N - 2 {
            for x in 2..N - 2 {
                for plane in &planes {
                    let across = plane.at(x + 2, y) - plane.at(x - 2, y);
                    let down = plane.at(x, y + 2) - plane.at(x, y - 2);
                    let strength = hypotenuse(across, down);
                    if strength < 0.02 {
                        continue;
                    }
                    let is_level = across.abs() < down.abs();
                    let lean = if is_level { -across / down } else { -down / across };
                    if lean.abs() >= widest {
                        continue;
                    }
                    let bin = ((lean / widest + 1.0) * LEANS as f32) as usize;
                    let (bins, sums) = if is_level {
                        let half = usize::from(y > N / 2);
                        (&mut level[half], &mut tensors[half])
                    } else {
                        (&mut upright, &mut tensors[2])
                    };
                    bins[bin.min(2 * LEANS - 1)] += strength;
                    sums[0] += strength * lean;
                    sums[1] += strength;
                }
            }
        }
        let groups = [("level above", level[0]), ("level below", level[1]), ("upright", upright)];
        for ((group, bins), [lean, weight]) in groups.into_iter().zip(tensors) {
            let weight = weight.max(1e-3);
            measures.push(format!("{name} {group} edges lean"), (lean / weight).abs());
            for bin in 0..LEANS {
                let (one, other) = (bins[LEANS - 1 - bin] / weight, bins[LEANS + bin] / weight);
                measures.push(format!("{name} {group} edges in lean {bin}"), one + other);
                measures.push(format!("{name} {group} edges to one side in lean {bin}"), (one - other).abs());
            }
        }
        let together = tensors[0][0] / tensors[0][1].max(1e-3) + tensors[1][0] / tensors[1][1].max(1e-3);
        measures.push(format!("{name} level edges lean together"), together.abs());
    }
}
