//! What stands out: its size and place, whether the border cuts it, its modelling, details and shadow.

use super::{
    Measures,
    horizon::Horizon,
    planes::{N, Plane, Planes, hypotenuse, larger, mean, percentile, smaller},
};

/// Cells from the middle to the border in the map of the picture's fuller half.
const COLUMNS: usize = 4;
/// Cells from a fifth above the horizon to the lower edge.
const ROWS: usize = 6;

pub(super) fn measure(planes: &Planes, horizon: Horizon, measures: &mut Measures) {
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
    extent(&mask, measures);
    placement(&salient, &mask, measures);
    modelling([&l, &a, &b], &mask, measures);
    details(planes, &mask, measures);
    shadows(planes, horizon, measures);
    fuller_half([&l, &a, &b], horizon, measures);
}

/// The size and the proportions of the mask.
fn extent(mask: &Plane, measures: &mut Measures) {
    let side = mask.side;
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
    let (width, tallness) = (moment(&|x, _| (x - middle.0).abs()), moment(&|_, y| (y - middle.1).abs()));
    measures.push("subject width", width);
    measures.push("subject tallness", tallness);
    let proportion = libm::logf(width.max(0.02) / tallness.max(0.02));
    measures.push("subject proportion", proportion);
    measures.push("subject proportion unlike others", proportion.powi(2));
    let touching = |row: usize| (0..side).map(|x| mask.at(x, row)).sum::<f32>() / side as f32;
    measures.push("subject at the bottom", touching(side - 1).max(touching(side - 2)));
    measures.push("subject at the top", touching(0).max(touching(1)));
    for row in 0..8 {
        let rows = row * side / 8..(row + 1) * side / 8;
        let filled = mean(rows.flat_map(|y| (0..side).map(move |x| (x, y))).map(|(x, y)| mask.at(x, y)));
        measures.push(format!("subject in band {row}"), filled);
    }
    let runs = |y: usize| (1..side).filter(|x| mask.at(*x, y) > mask.at(x - 1, y)).count() as f32;
    measures.push("things side by side", mean((side / 3..side * 7 / 8).map(runs)));
}

/// How far from the middle column things stand, whichever way.
fn placement(salient: &Plane, mask: &Plane, measures: &mut Measures) {
    const FOLDS: usize = 8;
    let side = mask.side;
    let columns = |plane: &Plane, rows: std::ops::Range<usize>| -> Vec<f32> {
        (0..side).map(|x| mean(rows.clone().map(|y| plane.at(x, y)))).collect()
    };
    let filled = columns(mask, 0..side);
    let best = (0..side - 6).map(|x| filled[x..x + 6].iter().sum::<f32>()).enumerate();
    let best = best.fold((0, 0.0_f32), |best, now| if now.1 > best.1 { now } else { best });
    measures.push("subject axis off the middle", ((best.0 as f32 + 3.0) / side as f32 - 0.5).abs());
    for (name, rows) in [("above", side / 5..side / 2), ("below", side / 2..side * 7 / 8)] {
        let salience = columns(salient, rows);
        let half = side / 2;
        for fold in 0..FOLDS {
            let places = fold * half / FOLDS..(fold + 1) * half / FOLDS;
            let sums = [
                mean(places.clone().map(|off| salience[half - 1 - off])),
                mean(places.map(|off| salience[half + off])),
            ];
            measures.push(format!("salience {name} {fold} off the middle"), sums[0] + sums[1]);
            measures.push(
                format!("salience {name} {fold} off the middle on one side"),
                (sums[0] - sums[1]).abs(),
            );
        }
    }
}

/// How lightness and colour change within the mask: light falls on the upper left or the upper right of round forms.
fn modelling([l, a, b]: [&Plane; 3], mask: &Plane, measures: &mut Measures) {
    let side = mask.side;
    let (mut count, mut down, mut across, mut change, mut colour) = (1e-3, 0.0, 0.0_f32, 0.0, 0.0);
    for y in 1..side - 1 {
        for x in 1..side - 1 {
            let around = [(x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)];
            if around.iter().any(|(x, y)| mask.at(*x, *y) < 0.5) {
                continue;
            }
            count += 1.0;
            let slopes = |plane: &Plane| {
                (plane.at(x + 1, y) - plane.at(x - 1, y), plane.at(x, y + 1) - plane.at(x, y - 1))
            };
            let slope = slopes(l);
            across += slope.0;
            down += slope.1;
            change += hypotenuse(slope.0, slope.1);
            colour += [a, b].map(slopes).iter().map(|slope| hypotenuse(slope.0, slope.1)).sum::<f32>();
        }
    }
    measures.push("lightness falls within the subject", down / count);
    measures.push("lightness turns within the subject", (across / count).abs());
    measures.push("lightness changes within the subject", change / count);
    measures.push("colour changes within the subject", colour / count);
}

/// Small things on the subject, and small lights on anything.
fn details(planes: &Planes, mask: &Plane, measures: &mut Measures) {
    let inside = |x: usize, y: usize| mask.at(x / 4, y / 4) > 0.5;
    let pixels = || (0..N * N).map(|index| (index % N, index / N)).filter(|(x, y)| inside(*x, *y));
    for (radius, name) in [(1, "fine"), (3, "small")] {
        let [l, a, b] = [&planes.l, &planes.a, &planes.b].map(|plane| plane.blurred(radius));
        let value = |(x, y): (usize, usize)| (planes.l.at(x, y) - l.at(x, y)).abs();
        let colour = |(x, y): (usize, usize)| {
            hypotenuse(planes.a.at(x, y) - a.at(x, y), planes.b.at(x, y) - b.at(x, y))
        };
        let mut values: Vec<f32> = pixels().map(value).collect();
        values.push(0.0);
        values.sort_unstable_by(f32::total_cmp);
        for percent in [50.0, 85.0, 97.0] {
            measures.push(format!("{name} details p{percent:.0}"), percentile(&values, percent));
        }
        measures.push(format!("{name} details in colour"), mean(pixels().map(colour)));
    }
    let calm = planes.l.blurred(1);
    for (reach, name) in [(3, "small"), (6, "larger")] {
        let opened = calm.spread(reach, smaller).spread(reach, larger);
        let closed = calm.spread(reach, larger).spread(reach, smaller);
        let light = Plane::from_fn(N, |x, y| calm.at(x, y) - opened.at(x, y));
        // Highlights are white: light that keeps its colour is none.
        let white = Plane::from_fn(N, |x, y| light.at(x, y) * (1.0 - planes.chroma.at(x, y) / 0.10).max(0.0));
        let dark = Plane::from_fn(N, |x, y| closed.at(x, y) - calm.at(x, y));
        for (kind, plane) in [("lights", light), ("whites", white), ("darks", dark)] {
            let sorted = plane.sorted();
            for percent in [90.0, 98.0, 99.6] {
                measures.push(format!("{name} {kind} p{percent:.1}"), percentile(&sorted, percent));
            }
        }
    }
}

/// Flat dark shapes below the horizon, as cast shadows are.
fn shadows(planes: &Planes, horizon: Horizon, measures: &mut Measures) {
    let calm = planes.l.halved();
    let (a, b) = (planes.a.halved(), planes.b.halved());
    let side = calm.side;
    let flat = calm.spread_down(3, larger).spread_down(3, smaller);
    let tall = calm.spread_across(4, larger).spread_across(4, smaller);
    let ground: Vec<(usize, usize)> = (0..side * side)
        .map(|index| (index % side, index / side))
        .filter(|(x, y)| {
            horizon.below((*x as f32 + 0.5) / side as f32, (*y as f32 + 0.5) / side as f32) > 0.03
        })
        .collect();
    for (name, closed) in [("flat", flat), ("tall", tall)] {
        let mut depths: Vec<f32> = ground.iter().map(|(x, y)| closed.at(*x, *y) - calm.at(*x, *y)).collect();
        let cool = ground.iter().map(|(x, y)| {
            let depth = closed.at(*x, *y) - calm.at(*x, *y);
            depth * (0.05 + a.at(*x, *y) - b.at(*x, *y)).max(0.0)
        });
        measures.push(format!("{name} cool darks on the ground"), 100.0 * mean(cool));
        depths.push(0.0);
        depths.sort_unstable_by(f32::total_cmp);
        for percent in [60.0, 85.0, 96.0] {
            measures.push(format!("{name} darks on the ground p{percent:.0}"), percentile(&depths, percent));
        }
    }
}

/// A map of the half that is fuller at its border, from the horizon down: pictures and their mirror images measure the same.
fn fuller_half([l, a, b]: [&Plane; 3], horizon: Horizon, measures: &mut Measures) {
    let side = l.side;
    let top = ((horizon.height - 0.2) * side as f32).max(0.0) as usize;
    let middles: Vec<[f32; 3]> = (0..side)
        .map(|y| {
            [l, a, b].map(|plane| {
                let mut row = plane.values[y * side..(y + 1) * side].to_vec();
                row.sort_unstable_by(f32::total_cmp);
                row[side / 2]
            })
        })
        .collect();
    let differing = |x: usize, y: usize| {
        let [l0, a0, b0] = middles[y];
        [l.at(x, y) - l0, hypotenuse(a.at(x, y) - a0, b.at(x, y) - b0)]
    };
    let filled = |columns: std::ops::Range<usize>| {
        mean(columns.flat_map(|x| (top..side).map(move |y| (x, y))).map(|(x, y)| {
            let [value, colour] = differing(x, y);
            value.abs() + colour
        }))
    };
    let right = filled(side * 5 / 8..side) > filled(0..side * 3 / 8);
    let mut cells = [[0.0_f32; 4]; COLUMNS * ROWS];
    for y in top..side {
        let depth = horizon.below(0.5, (y as f32 + 0.5) / side as f32);
        let scaled = (depth + 0.2) / (1.2 - horizon.height).max(0.1);
        let row = ((scaled.max(0.0) * ROWS as f32) as usize).min(ROWS - 1);
        for off in 0..side / 2 {
            let x = if right { side / 2 + off } else { side / 2 - 1 - off };
            let [value, colour] = differing(x, y);
            let cell = &mut cells[row * COLUMNS + off * COLUMNS * 2 / side];
            *cell = [cell[0] + value, cell[1] + value.abs(), cell[2] + colour, cell[3] + 1.0];
        }
    }
    for (index, [value, contrast, colour, count]) in cells.into_iter().enumerate() {
        let (row, column) = (index / COLUMNS, index % COLUMNS);
        for (name, sum) in [("value", value), ("contrast", contrast), ("colour", colour)] {
            measures.push(format!("{name} of the fuller half {row} {column}"), sum / count.max(1.0));
        }
    }
}
