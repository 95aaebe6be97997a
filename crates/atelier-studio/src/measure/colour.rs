//! Hue, chroma and temperature: the palette, its purity and its accents.

use super::{
    Measures,
    planes::{N, Plane, Planes, correlation, hypotenuse, mean, percentile},
};

/// Hues are counted in twelve families, as on Itten's circle.
const FAMILIES: usize = 12;

pub(super) fn measure(planes: &Planes, measures: &mut Measures) {
    let Planes { l, a, b, chroma, .. } = planes;
    let sorted = chroma.sorted();
    for percent in [10.0, 30.0, 50.0, 70.0, 90.0, 97.0, 99.5] {
        measures.push(format!("chroma p{percent:.0}"), percentile(&sorted, percent));
    }
    measures.push("chroma deviation", chroma.deviation());
    measures.push("chroma outliers", percentile(&sorted, 99.5) - percentile(&sorted, 95.0));
    measures.push("share of grey", chroma.share(|c| c < 0.02));
    for (name, plane) in [("green-red", a), ("blue-yellow", b)] {
        measures.push(format!("{name} mean"), plane.mean());
        measures.push(format!("{name} deviation"), plane.deviation());
        measures.push(format!("{name} with lightness"), correlation(plane, l));
    }
    measures.push("chroma with lightness", correlation(chroma, l));
    hues(planes, measures);
    let values = l.sorted();
    let (dark, light) = (percentile(&values, 20.0), percentile(&values, 80.0));
    let within = |plane: &Plane, test: &dyn Fn(f32) -> bool| {
        mean(plane.values.iter().zip(&l.values).filter(|(_, l)| test(**l)).map(|(value, _)| *value))
    };
    for (name, plane) in [("chroma", chroma), ("green-red", a), ("blue-yellow", b)] {
        measures.push(format!("{name} of darks"), within(plane, &|l| l <= dark));
        measures.push(format!("{name} of middles"), within(plane, &|l| l > dark && l < light));
        measures.push(format!("{name} of lights"), within(plane, &|l| l >= light));
    }
    // Pink sweetness, brown mud, raw canvas and pure red, each as the share of pixels near it.
    let near = |target: [f32; 3], distance: f32| {
        let pixels = l.values.iter().zip(&a.values).zip(&b.values);
        let close = pixels.filter(|((l, a), b)| {
            let [x, y, z] = target;
            (*l - x).powi(2) + (*a - y).powi(2) + (*b - z).powi(2) < distance * distance
        });
        close.count() as f32 / l.values.len() as f32
    };
    measures.push("share of pink", near([0.80, 0.08, 0.0], 0.11));
    measures.push("share of mud", near([0.48, 0.015, 0.03], 0.12));
    measures.push("share of primed canvas", near([0.90, 0.008, 0.035], 0.05));
    measures.push("share of light haze", near([0.78, 0.0, 0.0], 0.09));
    accents(planes, measures);
}

/// The distribution of hues, weighted by chroma.
fn hues(planes: &Planes, measures: &mut Measures) {
    let mut families = [0.0_f32; FAMILIES];
    let (mut once, mut twice) = ([0.0_f32; 2], [0.0_f32; 2]);
    let mut total = 1e-6;
    for (a, b) in planes.a.values.iter().zip(&planes.b.values) {
        let chroma = (a * a + b * b).sqrt();
        let hue = libm::atan2f(*b, *a);
        let place = (hue / std::f32::consts::TAU).rem_euclid(1.0) * FAMILIES as f32;
        families[(place as usize).min(FAMILIES - 1)] += chroma;
        once = [once[0] + a, once[1] + b];
        // Cosine and sine of twice the angle.
        let (cosine, sine) = ((a * a - b * b) / chroma.max(1e-6), 2.0 * a * b / chroma.max(1e-6));
        twice = [twice[0] + cosine, twice[1] + sine];
        total += chroma;
    }
    let shares = families.map(|weight| weight / total);
    for (index, share) in shares.iter().enumerate() {
        measures.push(format!("hue family {index}"), *share);
    }
    let entropy =
        -shares.iter().filter(|share| **share > 0.0).map(|share| share * libm::logf(*share)).sum::<f32>();
    measures.push("hue entropy", entropy);
    measures.push("families of hue", shares.iter().filter(|share| **share > 0.06).count() as f32);
    measures.push("one hue", hypotenuse(once[0], once[1]) / total);
    measures.push("two opposite hues", hypotenuse(twice[0], twice[1]) / total);
}

/// Small places that stand out in colour: the accent, and the red of a figure or a butterfly.
fn accents(planes: &Planes, measures: &mut Measures) {
    const BLOCK: usize = 4;
    let count = N / BLOCK;
    let pooled = |plane: &Plane| plane.halved().halved();
    let (l, a, b) = (pooled(&planes.l), pooled(&planes.a), pooled(&planes.b));
    let (around_l, around_a, around_b) = (l.blurred(4), a.blurred(4), b.blurred(4));
    let difference =
        |x: usize, y: usize| hypotenuse(a.at(x, y) - around_a.at(x, y), b.at(x, y) - around_b.at(x, y));
    let accent = Plane::from_fn(count, difference);
    let sorted = accent.sorted();
    measures.push("colour accent p90", percentile(&sorted, 90.0));
    measures.push("colour accent p99", percentile(&sorted, 99.0));
    measures.push("colour accent strongest", percentile(&sorted, 100.0));
    measures.push("colour accent alone", percentile(&sorted, 100.0) / percentile(&sorted, 90.0).max(0.01));
    let focal = Plane::from_fn(count, |x, y| difference(x, y) + (l.at(x, y) - around_l.at(x, y)).abs());
    let focal_sorted = focal.sorted();
    measures.push("focal contrast p97", percentile(&focal_sorted, 97.0));
    measures.push("focal contrast strongest", percentile(&focal_sorted, 100.0));
    measures.push(
        "focal contrast spread",
        percentile(&focal_sorted, 60.0) / percentile(&focal_sorted, 97.0).max(0.01),
    );
    for (name, rows) in [("top", 0..count / 2), ("bottom", count / 2..count)] {
        let red = rows.flat_map(|y| (0..count).map(move |x| (x, y))).map(|(x, y)| {
            let here = a.at(x, y) - around_a.at(x, y);
            here + 0.5 * (b.at(x, y) - around_b.at(x, y)).min(here)
        });
        measures.push(format!("red spot {name}"), red.fold(f32::MIN, f32::max));
    }
    turns(&a, &b, measures);
    let rise = |plane: &Plane| {
        let blurred = plane.blurred(3);
        mean((0..count).flat_map(|y| (1..count).map(move |x| (x, y))).map(|(x, y)| {
            (blurred.at(x, y) - blurred.at(x - 1, y)).abs() + (blurred.at(y, x) - blurred.at(y, x - 1)).abs()
        }))
    };
    measures.push("colour gradation", rise(&a) + rise(&b));
}

/// How hue and chroma turn from side to side within large planes: the top, the middle and the bottom of the picture.
fn turns(a: &Plane, b: &Plane, measures: &mut Measures) {
    let side = a.side;
    let mut together = 0.0;
    for (name, from, to) in
        [("top", 0, side / 4), ("middle", side * 3 / 8, side * 5 / 8), ("bottom", side * 3 / 4, side)]
    {
        let colour = |left: usize, right: usize| {
            let median = |plane: &Plane| {
                let mut values: Vec<f32> = (from..to)
                    .flat_map(|y| plane.values[y * side + left..y * side + right].iter().copied())
                    .collect();
                values.sort_unstable_by(f32::total_cmp);
                values[values.len() / 2]
            };
            (median(a), median(b))
        };
        let (left, middle, right) =
            (colour(0, side / 4), colour(side * 3 / 8, side * 5 / 8), colour(side * 3 / 4, side));
        let cross = left.0 * right.1 - left.1 * right.0;
        let dot = left.0 * right.0 + left.1 * right.1;
        let chroma = |colour: (f32, f32)| hypotenuse(colour.0, colour.1);
        // Greys have no hue to turn.
        let turn = libm::atan2f(cross, dot) * (chroma(left) * chroma(right)).sqrt() / 0.03;
        measures.push(format!("hue turns at the {name}"), turn.abs().min(3.0));
        measures.push(format!("colour crosses at the {name}"), 1000.0 * cross.abs());
        let distance = chroma((left.0 - right.0, left.1 - right.1));
        measures.push(format!("colour differs at the {name}"), distance);
        measures.push(
            format!("chroma at the ends of the {name}"),
            0.5 * (chroma(left) + chroma(right)) - chroma(middle),
        );
        together += turn.clamp(-1.0, 1.0);
    }
    measures.push("hues turn together", together.abs());
}
