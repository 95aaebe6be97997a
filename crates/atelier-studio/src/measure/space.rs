//! Where things are: weight, depth and borders.

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
