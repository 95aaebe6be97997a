//! What the measured annotator finds in painted pictures: #A_neg and #A_pos of the paper, by dimension.

use atelier_criteria::{CriteriaTree, Labels};
use atelier_studio::Annotator;
use image::{RgbImage, imageops};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// A mean over pictures with its 95 % confidence interval (1.96 standard errors).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// The mean of `values` and its interval.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let margin = 1.96 * (squares / (count - 1.0).max(1.0) / count).sqrt();
        Self { mean, low: mean - margin, high: mean + margin }
    }
}

/// Attributes per picture within one dimension.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DimensionEvaluation {
    /// The dimension's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Negative attributes per picture.
    pub negatives: Estimate,
    /// Positive attributes per picture.
    pub positives: Estimate,
}

/// What was found in a set of pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many pictures.
    pub pictures: usize,
    /// Negative attributes per picture (#A_neg); lower is better.
    pub negatives: Estimate,
    /// Positive attributes per picture (#A_pos).
    pub positives: Estimate,
    /// Negative attributes per picture if the sides that cannot be judged are counted too.
    pub negatives_with_unjudged: Estimate,
    /// The same for each dimension, in tree order.
    pub dimensions: Vec<DimensionEvaluation>,
    /// Mean distance between two of the pictures; see [`mean_pairwise_distance`].
    pub mean_pairwise_distance: f64,
    /// What was found in each picture and can be judged.
    #[serde(skip)]
    pub labels: Vec<Labels>,
}

/// Sides of leaves that cannot be judged on pictures which an autoencoder has painted.
///
/// What a decoder cannot paint, such as the weave of the canvas, looks like the absence of it in every picture, whatever the
/// denoiser does. So paintings are sent through the autoencoder: a side that the annotator finds in more than
/// [`FALSE_FINDINGS`] of the `reconstructed` pictures without finding it in the `originals` is the autoencoder's doing.
pub fn unjudged_sides(originals: &[RgbImage], reconstructed: &[RgbImage]) -> Labels {
    let (before, after) = (annotate(originals), annotate(reconstructed));
    let often = |ids: fn(&Labels) -> &[String]| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (before, after) in before.iter().zip(&after) {
            for id in ids(after).iter().filter(|id| !ids(before).contains(id)) {
                *counts.entry(id).or_default() += 1;
            }
        }
        let limit = FALSE_FINDINGS * originals.len() as f64;
        counts.into_iter().filter(|(_, count)| *count as f64 > limit).map(|(id, _)| id.to_owned()).collect()
    };
    Labels { positive: often(|labels| &labels.positive), negative: often(|labels| &labels.negative) }
}

/// The share of pictures on which an autoencoder may call forth a side that was not there before.
pub const FALSE_FINDINGS: f64 = 0.1;

fn annotate(pictures: &[RgbImage]) -> Vec<Labels> {
    let annotator = Annotator::embedded();
    pictures.par_iter().map(|picture| annotator.annotate(picture)).collect()
}

/// Annotates `pictures` and counts, without the `unjudged` sides.
pub fn evaluate(pictures: &[RgbImage], unjudged: &Labels, tree: &CriteriaTree) -> Evaluation {
    let mut labels = annotate(pictures);
    let all: Vec<f64> = labels.iter().map(|labels| labels.negative.len() as f64).collect();
    for labels in &mut labels {
        labels.positive.retain(|id| !unjudged.positive.contains(id));
        labels.negative.retain(|id| !unjudged.negative.contains(id));
    }
    let counts = |ids: fn(&Labels) -> &[String], dimension: Option<&str>| {
        let belongs = |id: &&String| dimension.is_none_or(|wanted| id.split('.').next() == Some(wanted));
        let values: Vec<f64> =
            labels.iter().map(|labels| ids(labels).iter().filter(belongs).count() as f64).collect();
        Estimate::of(&values)
    };
    let dimensions = tree.dimensions().iter().map(|dimension| DimensionEvaluation {
        id: dimension.id.clone(),
        name: dimension.name.clone(),
        negatives: counts(|labels| &labels.negative, Some(&dimension.id)),
        positives: counts(|labels| &labels.positive, Some(&dimension.id)),
    });
    Evaluation {
        pictures: pictures.len(),
        negatives: counts(|labels| &labels.negative, None),
        positives: counts(|labels| &labels.positive, None),
        negatives_with_unjudged: Estimate::of(&all),
        dimensions: dimensions.collect(),
        mean_pairwise_distance: mean_pairwise_distance(pictures),
        labels,
    }
}

/// Side of the thumbnails that are compared: layout and colour count, single strokes do not.
const THUMBNAIL: u32 = 32;

/// The mean root-mean-square difference of two of the pictures' thumbnails, of values in `[0, 1]`: a model that paints one
/// picture again and again has 0.
pub fn mean_pairwise_distance(pictures: &[RgbImage]) -> f64 {
    let thumbnails: Vec<RgbImage> = pictures
        .iter()
        .map(|picture| imageops::resize(picture, THUMBNAIL, THUMBNAIL, imageops::FilterType::Triangle))
        .collect();
    let distance = |first: &RgbImage, second: &RgbImage| {
        let squares = first.as_raw().iter().zip(second.as_raw()).map(|(a, b)| {
            let difference = (f64::from(*a) - f64::from(*b)) / 255.0;
            difference * difference
        });
        (squares.sum::<f64>() / first.as_raw().len() as f64).sqrt()
    };
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (index, first) in thumbnails.iter().enumerate() {
        for second in &thumbnails[index + 1..] {
            sum += distance(first, second);
            pairs += 1.0;
        }
    }
    if pairs == 0.0 { 0.0 } else { sum / pairs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_studio::Studio;
    use image::Rgb;

    #[test]
    fn an_interval_holds_its_mean_and_shrinks_with_the_root_of_the_count() {
        let few = Estimate::of(&[1.0, 3.0, 1.0, 3.0]);
        let many = Estimate::of(&[1.0, 3.0].repeat(200));
        assert_eq!((few.mean, many.mean), (2.0, 2.0));
        let ratio = (few.high - few.low) / (many.high - many.low);
        // sqrt(400 / 4), and the correction of the small sample's deviation.
        assert!((ratio - 10.0 * (4.0_f64 / 3.0).sqrt()).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn equal_pictures_have_no_distance_and_black_and_white_the_largest() {
        let plain = |value| RgbImage::from_pixel(8, 8, Rgb([value; 3]));
        assert_eq!(mean_pairwise_distance(&[plain(9), plain(9), plain(9)]), 0.0);
        assert!((mean_pairwise_distance(&[plain(0), plain(255)]) - 1.0).abs() < 1e-6);
        assert_eq!(mean_pairwise_distance(&[plain(0)]), 0.0);
    }

    #[test]
    fn dimensions_add_up_to_the_whole() {
        let studio = Studio { seed: 3, size: 128 };
        let pictures: Vec<RgbImage> = (0..8).map(|index| studio.painting(index).image).collect();
        let found = evaluate(&pictures, &Labels::default(), CriteriaTree::embedded());
        let sum: f64 = found.dimensions.iter().map(|dimension| dimension.negatives.mean).sum();
        assert!((sum - found.negatives.mean).abs() < 1e-9);
        assert!(found.negatives.mean > 0.0 && found.mean_pairwise_distance > 0.0);
        assert_eq!(found.negatives, found.negatives_with_unjudged);
    }

    #[test]
    fn what_a_codec_blurs_away_is_not_judged() {
        let studio = Studio { seed: 5, size: 128 };
        let pictures: Vec<RgbImage> = (0..16).map(|index| studio.painting(index).image).collect();
        assert_eq!(unjudged_sides(&pictures, &pictures), Labels::default());
        let blurred: Vec<RgbImage> = pictures.iter().map(|picture| imageops::blur(picture, 2.0)).collect();
        let unjudged = unjudged_sides(&pictures, &blurred);
        assert!(!unjudged.negative.is_empty());
        let tree = CriteriaTree::embedded();
        let (all, judged) =
            (evaluate(&blurred, &Labels::default(), tree), evaluate(&blurred, &unjudged, tree));
        assert_eq!(all.negatives.mean, judged.negatives_with_unjudged.mean);
        assert!(judged.negatives.mean < all.negatives.mean);
    }
}
