//! Where things are: weight, horizon, subject, depth and borders.

use super::{
    Measures,
    planes::{N, Plane, Planes, mean, percentile},
};

/// Cells of the coarse map of a picture.
const CELLS: usize = 5;

pub(super) fn measure(planes: &Planes, measures: &mut Measures) {
    let maps = [
        ("lightness", &planes.l),
        ("green-red", &planes.a),
        ("blue-yellow", &planes.b),
        ("chroma", &planes.chroma),
        ("gradient", &planes.gradient),
    ];
    for (name, plane) in maps {
        let cells = cells(plane);
        for row in 0..CELLS {
            let line: Vec<f32> = (0..CELLS).map(|column| cells[row * CELLS + column]).collect();
            measures.push(format!("{name} row {row}"), mean(line.iter().copied()));
            // A picture and its mirror image are the same to these measures.
            measures.push(format!("{name} row {row} sides"), (line[0] - line[CELLS - 1]).abs());
            measures.push(format!("{name} row {row} middle"), line[2] - 0.5 * (line[0] + line[CELLS - 1]));
            measures.push(
                format!("{name} row {row} inner"),
                0.5 * (line[1] + line[3]) - 0.5 * (line[0] + line[CELLS - 1]),
            );
        }
        let corners = [0, CELLS - 1, CELLS * (CELLS - 1), CELLS * CELLS - 1].map(|index| cells[index]);
        let edges = [2, 2 * CELLS, 3 * CELLS - 1, CELLS * CELLS - 3].map(|index| cells[index]);
        measures.push(
            format!("{name} corners"),
            corners.iter().sum::<f32>() / 4.0 - edges.iter().sum::<f32>() / 4.0,
        );
        measures.push(format!("{name} darkest corner"), corners.into_iter().fold(f32::MAX, f32::min));
    }
    weight(planes, measures);
    horizon(planes, measures);
    subject(planes, measures);
    depth(planes, measures);
    let light = planes.l.blurred(12);
    let across = mean((0..N).map(|y| light.at(N - 12, y) - light.at(11, y)));
    measures.push("light from one side", across.abs());
    measures.push("light on forms", lit_side(planes));
}

fn cells(plane: &Plane) -> Vec<f32> {
    let share = |cell: usize| cell as f32 / CELLS as f32;
    (0..CELLS * CELLS)
        .map(|index| {
            let (x, y) = (index % CELLS, index / CELLS);
            plane.mean_in((share(x), share(x + 1)), (share(y), share(y + 1)))
        })
        .collect()
}

/// Visual weight after Arnheim: darkness, colour and detail pull.
fn weight(planes: &Planes, measures: &mut Measures) {
    let lightest = percentile(&planes.l.sorted(), 95.0);
    let pull = Plane::from_fn(N, |x, y| (lightest - planes.l.at(x, y)).max(0.0));
    let centre = |pull: &Plane| {
        let total: f32 = pull.values.iter().sum::<f32>().max(1e-3);
        let across: f32 = (0..N * N).map(|index| pull.values[index] * ((index % N) as f32 + 0.5)).sum();
        let down: f32 = (0..N * N).map(|index| pull.values[index] * ((index / N) as f32 + 0.5)).sum();
        [across / total / N as f32 - 0.5, down / total / N as f32 - 0.5]
    };
    let [x, y] = centre(&pull);
    measures.push("lateral weight", x.abs());
    measures.push("weight below", y);
    let heavy = pull.map(|value| (value - 0.35).max(0.0));
    let [x, y] = centre(&heavy);
    measures.push("lateral weight of darks", x.abs());
    measures.push("darks below", y);
}

/// The strongest line across the picture, searched over heights and tilts.
fn horizon(planes: &Planes, measures: &mut Measures) {
    let pooled = |plane: &Plane| plane.halved();
    let planes = [pooled(&planes.l), pooled(&planes.a), pooled(&planes.b)];
    let side = N / 2;
    let (mut best, mut level) = ((0.0_f32, 0.5, 0_i32), 0.0_f32);
    let mut by_tilt = Vec::new();
    for tilt in -12_i32..=12 {
        let slope = libm::tanf((tilt as f32).to_radians());
        let mut strongest = 0.0_f32;
        let profile: Vec<[f32; 3]> = (0..side)
            .map(|row| {
                let mut sums = [0.0_f32; 3];
                for x in 0..side {
                    let y = row as f32 + slope * (x as f32 + 0.5 - side as f32 / 2.0);
                    let y = (y + 0.5).clamp(0.0, side as f32 - 1.0) as usize;
                    for (sum, plane) in sums.iter_mut().zip(&planes) {
                        *sum += plane.at(x, y) / side as f32;
                    }
                }
                sums
            })
            .collect();
        for row in side / 5..side * 4 / 5 {
            let step: f32 = (0..3)
                .map(|channel| {
                    let above = profile[row - 2][channel] + profile[row - 1][channel];
                    let below = profile[row][channel] + profile[row + 1][channel];
                    (0.5 * (below - above)).powi(2)
                })
                .sum::<f32>()
                .sqrt();
            strongest = strongest.max(step);
            if step > best.0 {
                best = (step, row as f32 / side as f32, tilt);
            }
        }
        if tilt == 0 {
            level = strongest;
        }
        by_tilt.push(strongest);
    }
    let (strength, height, tilt) = best;
    measures.push("horizon strength", strength);
    measures.push("horizon height", height);
    measures.push("horizon off the middle", (height - 0.5).abs());
    measures.push("horizon at a third", (height - 1.0 / 3.0).abs().min((height - 2.0 / 3.0).abs()));
    measures.push("horizon tilt", tilt.abs() as f32);
    measures.push("level against tilted", libm::logf(level.max(1e-3) / strength.max(1e-3)));
    let leaning = by_tilt[4..8].iter().chain(&by_tilt[17..21]).copied().fold(0.0, f32::max);
    measures.push("tilted lines", libm::logf(leaning.max(1e-3) / level.max(1e-3)));
}

/// The thing that stands out: its size, its place, whether the border cuts it.
fn subject(planes: &Planes, measures: &mut Measures) {
    let pooled = |plane: &Plane| plane.halved().halved();
    let [l, a, b] = [&planes.l, &planes.a, &planes.b].map(pooled);
    let side = l.side;
    // Each row's own border is its background: skies, walls and tables run from side to side.
    let salient = Plane::from_fn(side, |x, y| {
        let border = |plane: &Plane| {
            let ends = [0, 1, 2, side - 3, side - 2, side - 1].map(|x| plane.at(x, y));
            let nearest = ends.map(|end| (plane.at(x, y) - end).abs());
            nearest.into_iter().fold(f32::MAX, f32::min)
        };
        border(&l) + 1.5 * (border(&a) + border(&b))
    });
    let sorted = salient.sorted();
    for percent in [50.0, 80.0, 95.0] {
        measures.push(format!("salience p{percent:.0}"), percentile(&sorted, percent));
    }
    let mask = salient.map(|value| f32::from(u8::from(value > 0.16)));
    measures.push("subject area", mask.mean());
    let total: f32 = mask.values.iter().sum::<f32>().max(1.0);
    let moment = |value: &dyn Fn(f32, f32) -> f32| {
        (0..side * side)
            .map(|index| mask.values[index] * value((index % side) as f32 + 0.5, (index / side) as f32 + 0.5))
            .sum::<f32>()
            / total
            / side as f32
    };
    let (x, y) = (moment(&|x, _| x), moment(&|_, y| y));
    measures.push("subject off the middle", (x - 0.5).abs());
    measures.push("subject height", y);
    let middle = (x * side as f32, y * side as f32);
    measures.push("subject width", moment(&|x, _| (x - middle.0).abs()));
    measures.push("subject tallness", moment(&|_, y| (y - middle.1).abs()));
    measures.push(
        "subject proportion",
        moment(&|x, _| (x - middle.0).abs()) / moment(&|_, y| (y - middle.1).abs()).max(0.02),
    );
    let touching = |row: usize| (0..side).map(|x| mask.at(x, row)).sum::<f32>() / side as f32;
    measures.push("subject at the bottom", touching(side - 1).max(touching(side - 2)));
    measures.push("subject at the top", touching(0).max(touching(1)));
    for row in 0..8 {
        let rows = row * side / 8..(row + 1) * side / 8;
        let filled = mean(rows.flat_map(|y| (0..side).map(move |x| (x, y))).map(|(x, y)| mask.at(x, y)));
        measures.push(format!("subject in band {row}"), filled);
    }
    let columns: Vec<f32> = (0..side).map(|x| mean((0..side).map(|y| mask.at(x, y)))).collect();
    let best = (0..side - 6).map(|x| columns[x..x + 6].iter().sum::<f32>()).enumerate();
    let best = best.fold((0, 0.0_f32), |best, now| if now.1 > best.1 { now } else { best });
    measures.push("subject axis off the middle", ((best.0 as f32 + 3.0) / side as f32 - 0.5).abs());
    let runs = |y: usize| (1..side).filter(|x| mask.at(*x, y) > mask.at(x - 1, y)).count() as f32;
    measures.push("things side by side", mean((side / 3..side * 7 / 8).map(runs)));
}

/// Contrast, colour and detail far away (above the middle) against near (the bottom).
fn depth(planes: &Planes, measures: &mut Measures) {
    let local = planes.l.blurred(6);
    let contrast = Plane::from_fn(N, |x, y| (planes.l.at(x, y) - local.at(x, y)).abs());
    let all = (0.0, 1.0);
    let (far, near) = ((0.30, 0.48), (0.78, 1.0));
    measures.push("contrast far to near", contrast.mean_in(all, far) - contrast.mean_in(all, near));
    for (name, plane) in [
        ("lightness", &planes.l),
        ("green-red", &planes.a),
        ("blue-yellow", &planes.b),
        ("chroma", &planes.chroma),
        ("gradient", &planes.gradient),
    ] {
        measures.push(format!("{name} far"), plane.mean_in(all, far));
        measures.push(format!("{name} far to near"), plane.mean_in(all, far) - plane.mean_in(all, near));
    }
    let lowest = (0.88, 1.0);
    measures.push("foreground lightness", planes.l.mean_in(all, lowest) - planes.l.mean_in(all, (0.6, 0.8)));
    measures.push(
        "foreground detail",
        planes.gradient.mean_in(all, lowest) - planes.gradient.mean_in(all, (0.6, 0.8)),
    );
    let bands: Vec<f32> =
        (0..16).map(|band| planes.l.mean_in(all, (band as f32 / 16.0, (band + 1) as f32 / 16.0))).collect();
    measures.push("value steps in depth", bands.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum());
    let sky = (0.0, 0.3);
    let wide = planes.l.blurred(3);
    let top: Vec<f32> =
        (0..N * 3 / 10).flat_map(|y| (0..N).map(move |x| (x, y))).map(|(x, y)| wide.at(x, y)).collect();
    let middle = mean(top.iter().copied());
    measures.push("drama above", mean(top.iter().map(|value| (value - middle).powi(2))).sqrt());
    measures.push("chroma above", planes.chroma.mean_in(all, sky));
}

/// Whether forms have a light and a dark side: the mean product of neighbouring slopes across the central part.
fn lit_side(planes: &Planes) -> f32 {
    let wide = planes.l.blurred(2);
    let slopes = (40..104).flat_map(|y| (24..104).map(move |x| (x, y)));
    mean(slopes.map(|(x, y)| wide.at(x + 4, y) - wide.at(x - 4, y))).abs()
}
