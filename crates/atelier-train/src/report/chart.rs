//! Charts as inline SVG.

use super::LossCurve;
use crate::evaluation::{DimensionEvaluation, Estimate};
use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 150.0;
const MARGIN: f64 = 44.0;

/// A quantity over the steps: every value as a thin line, their running mean as a strong one.
pub(super) fn line(curve: &LossCurve) -> String {
    let Some(last) = curve.points.last() else { return String::new() };
    let values = || curve.points.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let span = (high - low).max(1e-12);
    let place = |step: f64, value: f64| {
        let x = MARGIN + (WIDTH - MARGIN - 8.0) * step / last.0.max(1.0);
        (x, 8.0 + (HEIGHT - 30.0) * (1.0 - (value - low) / span))
    };
    let path = |points: &[(f64, f64)]| {
        points.iter().fold(String::new(), |mut path, (step, value)| {
            let (x, y) = place(*step, *value);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
            path
        })
    };
    let mut mean = curve.points.first().map_or(0.0, |(_, value)| *value);
    let smooth: Vec<(f64, f64)> = curve
        .points
        .iter()
        .map(|(step, value)| {
            mean += 0.1 * (value - mean);
            (*step, mean)
        })
        .collect();
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
         <text x=\"{left}\" y=\"14\" class=\"tick\" text-anchor=\"end\">{high:.3}</text>\
         <text x=\"{left}\" y=\"{bottom}\" class=\"tick\" text-anchor=\"end\">{low:.3}</text>\
         <text x=\"{right}\" y=\"{base}\" class=\"tick\" text-anchor=\"end\">step {steps}</text>\
         <path d=\"{raw}\" class=\"raw\"/><path d=\"{smooth}\" class=\"smooth\"/></svg>",
        title = curve.title,
        left = MARGIN - 6.0,
        bottom = HEIGHT - 22.0,
        base = HEIGHT - 4.0,
        right = WIDTH - 8.0,
        steps = last.0,
        raw = path(&curve.points),
        smooth = path(&smooth),
    )
}

/// Two bars for each dimension, base above aligned, with their confidence intervals.
pub(super) fn bars(
    base: &[DimensionEvaluation],
    aligned: &[DimensionEvaluation],
    value: fn(&DimensionEvaluation) -> Estimate,
) -> String {
    const LABEL: f64 = 170.0;
    const ROW: f64 = 34.0;
    let largest = base.iter().chain(aligned).map(|found| value(found).high).fold(0.1, f64::max);
    let x = |number: f64| LABEL + (560.0 - LABEL) * (number / largest).clamp(0.0, 1.0);
    let height = ROW * base.len() as f64 + 6.0;
    let mut svg =
        format!("<svg viewBox=\"0 0 600 {height}\" role=\"img\" aria-label=\"attributes per dimension\">");
    for (row, (base, aligned)) in base.iter().zip(aligned).enumerate() {
        let top = ROW * row as f64 + 4.0;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LABEL - 8.0,
            top + 17.0,
            base.name
        );
        for (offset, class, found) in [(0.0, "base", base), (13.0, "aligned", aligned)] {
            let Estimate { mean, low, high } = value(found);
            let (from, to, middle) = (x(low.max(0.0)), x(high), top + offset + 5.5);
            let _ = write!(
                svg,
                "<rect x=\"{LABEL}\" y=\"{}\" width=\"{:.1}\" height=\"11\" class=\"{class}\"/>\
                 <path d=\"M{from:.1} {middle}H{to:.1}\" class=\"interval\"/>\
                 <text x=\"{:.1}\" y=\"{}\" class=\"tick\">{mean:.2}</text>",
                top + offset,
                x(mean) - LABEL,
                to + 4.0,
                top + offset + 9.5,
            );
        }
    }
    svg + "</svg>"
}
