//! Edges: how sharp, how many, and whether black lines run along them.

use super::{
    Measures,
    planes::{N, Plane, Planes, hypotenuse, larger, mean, percentile, smaller},
};

pub(super) fn measure(planes: &Planes, measures: &mut Measures) {
    let sorted = planes.gradient.sorted();
    for percent in [50.0, 80.0, 95.0, 99.0, 99.8] {
        measures.push(format!("gradient p{percent:.1}"), percentile(&sorted, percent));
    }
    // A sharp edge loses more by blurring than a soft one.
    let edge = |radius: usize| {
        let plane = planes.l.blurred(radius);
        let gradient = Plane::from_fn(N, |x, y| {
            let (right, below) = ((x + 1).min(N - 1), (y + 1).min(N - 1));
            hypotenuse(plane.at(right, y) - plane.at(x, y), plane.at(x, below) - plane.at(x, y))
        });
        gradient.sorted()
    };
    let (sharp, soft, softest) = (edge(0), edge(1), edge(3));
    for percent in [90.0, 98.0, 99.7] {
        let [first, second, third] =
            [&sharp, &soft, &softest].map(|sorted| percentile(sorted, percent).max(1e-3));
        measures.push(format!("sharpness p{percent:.1}"), libm::logf(first / second));
        measures.push(format!("softness p{percent:.1}"), libm::logf(second / third));
        measures.push(format!("edge strength p{percent:.1}"), libm::logf(third));
    }
    lines(&planes.l, measures);
    let overshoot = planes.l.blurred(2);
    let halo = planes.l.values.iter().zip(&overshoot.values).zip(&planes.gradient.values);
    measures.push(
        "contrast at edges",
        mean(halo.map(|((l, around), gradient)| (l - around).abs() * gradient)) * 100.0,
    );
}

/// Thin dark lines: what a closing by 5 pixels fills up.
fn lines(plane: &Plane, measures: &mut Measures) {
    let closed = plane.spread(2, larger).spread(2, smaller);
    let opened = plane.spread(2, smaller).spread(2, larger);
    let filled = Plane::from_fn(N, |x, y| closed.at(x, y) - plane.at(x, y));
    let cut = Plane::from_fn(N, |x, y| plane.at(x, y) - opened.at(x, y));
    measures.push("dark lines", filled.share(|depth| depth > 0.22));
    measures.push(
        "black lines",
        mean(
            filled
                .values
                .iter()
                .zip(&plane.values)
                .map(|(depth, l)| f32::from(u8::from(*depth > 0.15 && *l < 0.32))),
        ),
    );
    measures.push("light lines", cut.share(|height| height > 0.18));
    let (filled, cut) = (filled.sorted(), cut.sorted());
    for percent in [80.0, 97.0] {
        measures.push(format!("filled p{percent:.0}"), percentile(&filled, percent));
        measures.push(format!("cut p{percent:.0}"), percentile(&cut, percent));
    }
}
