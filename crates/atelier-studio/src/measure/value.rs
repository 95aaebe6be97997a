//! Lights and darks: range, clipping, steps and masses.

use super::{
    Measures,
    planes::{Planes, mean, percentile},
};

pub(super) fn measure(planes: &Planes, measures: &mut Measures) {
    let lightness = &planes.l;
    let sorted = lightness.sorted();
    for percent in [1.0, 5.0, 15.0, 30.0, 50.0, 70.0, 85.0, 95.0, 99.0] {
        measures.push(format!("lightness p{percent:.0}"), percentile(&sorted, percent));
    }
    measures.push("lightness range", percentile(&sorted, 98.0) - percentile(&sorted, 2.0));
    measures.push("lightness deviation", lightness.deviation());
    measures.push("share of black", lightness.share(|l| l < 0.10));
    measures.push("share of dark", lightness.share(|l| l < 0.28));
    measures.push("share of white", lightness.share(|l| l > 0.97));
    measures.push("share of bright", lightness.share(|l| l > 0.90));
    // Posterised values crowd in a few bins of the histogram.
    const BINS: usize = 48;
    let (low, high) = (percentile(&sorted, 1.0), percentile(&sorted, 99.0));
    let mut histogram = [0.0_f32; BINS];
    let calm = lightness.blurred(1);
    for value in &calm.values {
        let place = (value - low) / (high - low).max(0.02) * BINS as f32;
        histogram[(place.max(0.0) as usize).min(BINS - 1)] += 1.0 / calm.values.len() as f32;
    }
    measures.push(
        "value histogram peakiness",
        histogram.iter().map(|share| share * share).sum::<f32>() * BINS as f32,
    );
    let roughness = mean(histogram.windows(3).map(|bins| (2.0 * bins[1] - bins[0] - bins[2]).abs()));
    measures.push("value histogram roughness", roughness * BINS as f32);
    // Massed values survive a strong blur, scattered ones do not.
    for radius in [4, 10, 20] {
        let blurred = lightness.blurred(radius);
        measures
            .push(format!("mass of values {radius}"), blurred.deviation() / lightness.deviation().max(0.01));
    }
    let local = lightness.blurred(8);
    let crisp = lightness.values.iter().zip(&local.values).map(|(l, around)| (l - around).max(0.0));
    measures.push("highlights", mean(crisp.map(|above| (above - 0.12).max(0.0))));
    let subject: Vec<f32> =
        (44..100).flat_map(|y| (30..98).map(move |x| (x, y))).map(|(x, y)| lightness.at(x, y)).collect();
    let mut central = subject;
    central.sort_by(f32::total_cmp);
    for percent in [2.0, 98.0, 99.6] {
        measures.push(format!("central lightness p{percent:.1}"), percentile(&central, percent));
    }
}
