//! The report as one self-contained page: no script, no request.

use super::{ExplainedPair, Report, chart};
use crate::{
    error::TrainError,
    evaluation::FALSE_FINDINGS,
    explanations::{PictureExplanation, in_words},
    picture,
};
use atelier_core::picture::encode_png;
use atelier_criteria::{CriteriaTree, Leaf, Node};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{RgbImage, imageops};
use std::fmt::Write;

pub(super) const STYLE: &str = include_str!("page.css");
/// Pairs that are shown.
const PAIRS: usize = 24;

/// The page.
pub(super) fn page(
    report: &Report,
    tree: &CriteriaTree,
    before: &[RgbImage],
    after: &[RgbImage],
) -> Result<String, TrainError> {
    let mut body = String::new();
    summary(report, &mut body);
    pairs(report, before, after, &mut body)?;
    dimensions(report, tree, &mut body);
    explanations(report, tree, before, after, &mut body)?;
    training(report, &mut body);
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>Atelier: alignment report</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    ))
}

fn summary(report: &Report, body: &mut String) {
    let change = |share: f64| format!("{:+.0} %", -100.0 * share);
    let kind = if report.quick { "quick demo" } else { "demo" };
    let positives = report.aligned.positives.mean / report.base.positives.mean.max(1e-9) - 1.0;
    let _ = write!(
        body,
        "<h1>Before and after alignment</h1>\
         <p>The base model paints good and bad paintings alike, as it was taught. Complex Preference Optimization pulled it \
         toward positive and away from negative attributes of painting. Both models painted the same {} held-out captions from \
         the same seeds; the measured annotator counted what it found.</p>\
         <dl class=\"figures\">\
         <div><dt>negative attributes per picture</dt><dd>{:.2} → {:.2} <b>{}</b></dd></div>\
         <div><dt>positive attributes per picture</dt><dd>{:.2} → {:.2} <b>{}</b></dd></div>\
         <div><dt>difference between pictures</dt><dd>{:.0} % of the base's</dd></div>\
         </dl><p class=\"note\">{kind}, seed {}, {:.0} seconds.</p>",
        report.base.pictures,
        report.base.negatives.mean,
        report.aligned.negatives.mean,
        change(report.reduction()),
        report.base.positives.mean,
        report.aligned.positives.mean,
        change(-positives),
        100.0 * report.diversity(),
        report.seed,
        report.seconds,
    );
}

fn pairs(
    report: &Report,
    before: &[RgbImage],
    after: &[RgbImage],
    body: &mut String,
) -> Result<(), TrainError> {
    body.push_str("<h2>Pairs</h2><p>Left the base model, right the aligned one.</p><div class=\"pairs\">");
    for index in 0..before.len().min(PAIRS) {
        let caption = escape(&report.captions[index]);
        let counts = [&report.base, &report.aligned].map(|found| {
            let labels = &found.labels[index];
            format!(
                "<span class=\"minus\">−{}</span> <span class=\"plus\">+{}</span>",
                labels.negative.len(),
                labels.positive.len()
            )
        });
        let _ = write!(
            body,
            "<figure><div>{}{}</div><figcaption>{caption}<br>{} → {}</figcaption></figure>",
            image(&before[index], &format!("base: {caption}"))?,
            image(&after[index], &format!("aligned: {caption}"))?,
            counts[0],
            counts[1],
        );
    }
    body.push_str("</div>");
    Ok(())
}

fn dimensions(report: &Report, tree: &CriteriaTree, body: &mut String) {
    let (base, aligned) = (&report.base.dimensions, &report.aligned.dimensions);
    let _ = write!(
        body,
        "<h2>By dimension</h2><p><span class=\"key base\"></span> base <span class=\"key aligned\"></span> aligned; \
         means per picture with 95 % confidence intervals.</p>\
         <div class=\"charts\"><section><h3>Negative attributes (#A<sub>neg</sub>)</h3>{}</section>\
         <section><h3>Positive attributes (#A<sub>pos</sub>)</h3>{}</section></div>",
        chart::bars(base, aligned, |found| found.negatives),
        chart::bars(base, aligned, |found| found.positives),
    );
    unjudged(report, tree, body);
}

/// Says what was left out of the counts, and what they would be with it.
fn unjudged(report: &Report, tree: &CriteriaTree, body: &mut String) {
    let phrases = |ids: &[String], phrase: fn(&Leaf) -> &str| {
        ids.iter().filter_map(|id| tree.leaf(id)).map(|leaf| escape(phrase(leaf))).collect::<Vec<_>>()
    };
    let mut left_out = phrases(&report.unjudged.negative, |leaf| &leaf.negative.phrase);
    left_out.extend(phrases(&report.unjudged.positive, |leaf| &leaf.positive.phrase));
    if !left_out.is_empty() {
        let _ = write!(
            body,
            "<p class=\"note\">Not counted, because the autoencoder alone makes the annotator find it in more than {:.0} % of \
             paintings that do not show it: {}. With it, negative attributes go from {:.2} to {:.2} per picture.</p>",
            100.0 * FALSE_FINDINGS,
            left_out.join(", "),
            report.base.negatives_with_unjudged.mean,
            report.aligned.negatives_with_unjudged.mean,
        );
    }
}

fn explanations(
    report: &Report,
    tree: &CriteriaTree,
    before: &[RgbImage],
    after: &[RgbImage],
    body: &mut String,
) -> Result<(), TrainError> {
    body.push_str(
        "<h2>Explanations</h2><p>How likely the auxiliary model finds the positive side of each attribute in a picture, with \
         the range of one standard error, and where it reads it: <span class=\"plus\">red</span> speaks for the positive \
         side, <span class=\"minus\">blue</span> for the negative one.",
    );
    if let Some(error) = report.calibration_error {
        let _ = write!(
            body,
            " On held-out studio paintings these probabilities are off by {:.0} points on average.",
            100.0 * error
        );
    }
    body.push_str("</p>");
    for pair in &report.explained {
        explained_pair(pair, tree, [&before[pair.index], &after[pair.index]], body)?;
    }
    Ok(())
}

fn explained_pair(
    pair: &ExplainedPair,
    tree: &CriteriaTree,
    pictures: [&RgbImage; 2],
    body: &mut String,
) -> Result<(), TrainError> {
    let _ = write!(
        body,
        "<section class=\"explained\"><h3>{}</h3><div class=\"row\">{}{}</div><ul class=\"tree\">",
        escape(&pair.base.caption),
        image(pictures[0], "base")?,
        image(pictures[1], "aligned")?,
    );
    for root in tree.roots() {
        branch(root, pair, pictures, body)?;
    }
    body.push_str("</ul></section>");
    Ok(())
}

/// A node with everything below it that was explained; nodes without are left out.
fn branch(
    node: Node<'_>,
    pair: &ExplainedPair,
    pictures: [&RgbImage; 2],
    body: &mut String,
) -> Result<(), TrainError> {
    if let Some(leaf) = node.leaf() {
        let of = |explanation: &PictureExplanation| {
            explanation.leaves.iter().find(|found| found.leaf == leaf.id).cloned()
        };
        let (Some(base), Some(aligned)) = (of(&pair.base), of(&pair.aligned)) else { return Ok(()) };
        let _ = write!(
            body,
            "<li class=\"leaf\"><b>{}</b> <span class=\"plus\">{}</span> or <span class=\"minus\">{}</span><div class=\"row\">",
            escape(&leaf.name),
            escape(&leaf.positive.phrase),
            escape(&leaf.negative.phrase)
        );
        for (found, picture) in [(&base, pictures[0]), (&aligned, pictures[1])] {
            let map =
                picture::overlay(picture, &found.map, found.map_size[1] as u32, found.map_size[0] as u32);
            let _ = write!(
                body,
                "<figure>{}<figcaption>{}</figcaption></figure>",
                image(&map, "map")?,
                escape(&in_words(found, leaf))
            );
        }
        body.push_str("</div></li>");
        return Ok(());
    }
    let below = format!("{}.", node.id());
    if !pair.base.leaves.iter().any(|leaf| leaf.leaf.starts_with(&below)) {
        return Ok(());
    }
    let score = |explanation: &PictureExplanation| {
        explanation.nodes.iter().find(|found| found.id == node.id()).map_or(0.0, |found| found.score)
    };
    let open = if node.depth() <= 4 { " open" } else { "" };
    let _ = write!(
        body,
        "<li><details{open}><summary>{} <span class=\"note\">{:+.2} → {:+.2}</span></summary><ul>",
        escape(node.name()),
        score(&pair.base),
        score(&pair.aligned)
    );
    for child in node.children() {
        branch(child, pair, pictures, body)?;
    }
    body.push_str("</ul></details></li>");
    Ok(())
}

fn training(report: &Report, body: &mut String) {
    body.push_str("<h2>Training</h2><div class=\"charts\">");
    for curve in &report.curves {
        let _ = write!(body, "<section><h3>{}</h3>{}</section>", escape(&curve.title), chart::line(curve));
    }
    body.push_str("</div><table><tr><th>part</th><th>seconds</th></tr>");
    for timing in &report.timings {
        let _ = write!(body, "<tr><td>{}</td><td>{:.1}</td></tr>", escape(&timing.what), timing.seconds);
    }
    body.push_str("</table>");
}

/// A picture inside the page, at twice its size.
pub(super) fn image(picture: &RgbImage, alternative: &str) -> Result<String, TrainError> {
    let (width, height) = picture.dimensions();
    let enlarged = imageops::resize(picture, 2 * width, 2 * height, imageops::FilterType::CatmullRom);
    let bytes = encode_png(&enlarged, &[])
        .map_err(|source| picture::PictureError::Encode { path: "report.html".into(), source })?;
    Ok(format!("<img src=\"data:image/png;base64,{}\" alt=\"{alternative}\">", STANDARD.encode(bytes)))
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
