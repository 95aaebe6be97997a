//! What all runs read first.

use super::required;
use crate::{
    buckets::Buckets,
    error::TrainError,
    framing::{Framing, FramingOptions, frame},
    imagefolder::{Example, ImageFolder, Split},
    latents::{Framed, LatentCache},
    options::TrainOptions,
    trainer::Events,
};
use atelier_core::pipeline::Pipeline;
use atelier_criteria::{CriteriaTree, Labels, prompt::Prompt};
use burn::tensor::Device;

/// Pictures with what is said of them.
pub(super) struct Data {
    pub folder: ImageFolder,
    pub framings: Vec<Framing>,
    pub captions: Vec<String>,
    /// Without those that the framing may have made wrong.
    pub labels: Vec<Labels>,
    pub prompts: Vec<Prompt>,
}

impl Data {
    /// Reads the metadata of `options.data`, and the sizes of its pictures. Sides of buckets are multiples of `multiple`.
    pub fn read(options: &TrainOptions, tree: &CriteriaTree, multiple: u32) -> Result<Self, TrainError> {
        required(&options.data, "--data")?;
        let framing = FramingOptions {
            buckets: if options.aspect_ratio_buckets {
                Buckets::of_area(options.size, multiple)?
            } else {
                Buckets::square(options.size)
            },
            crops: if options.random_crop { options.crop_variants } else { 1 },
            flips: options.random_flip,
        };
        let folder = ImageFolder::open(&options.data, Split::Train, tree)?;
        let examples = folder.examples();
        let pictures: Vec<_> =
            examples.iter().map(|example| (example.path.as_path(), example.text.as_str())).collect();
        let framings = frame(&pictures, &framing)?;
        warn_of_small_ones(examples, &framings);
        let labels = examples.iter().zip(&framings);
        let labels = labels.map(|(example, framing)| labels_in(framing, &example.labels, tree));
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        let lost = examples.iter().zip(&labels).filter(|(example, kept)| example.labels != **kept).count();
        if lost > 0 {
            tracing::warn!(
                pictures = lost,
                all = examples.len(),
                "pictures lose attributes about the frame, such as composition, because more than a twentieth of them is \
                 cut off; --aspect-ratio-buckets cuts less"
            );
        }
        let prompts =
            examples.iter().zip(&labels).map(|(example, labels)| labels.prompt(&example.text, tree));
        Ok(Self {
            prompts: prompts.collect::<Result<_, _>>()?,
            captions: examples.iter().map(|example| example.text.clone()).collect(),
            labels,
            framings,
            folder,
        })
    }

    /// The latents of all pictures, in the cache of `options` if there is one.
    pub fn latents(
        &self,
        pipeline: &Pipeline,
        options: &TrainOptions,
        device: &Device,
        events: &mut Events<'_>,
    ) -> Result<LatentCache, TrainError> {
        let examples = self.folder.examples().iter().zip(&self.framings);
        let pictures: Vec<Framed<'_>> =
            examples.map(|(example, framing)| Framed { path: &example.path, framing }).collect();
        LatentCache::encode(&pictures, pipeline, options.cache_dir.as_deref(), device, events)
    }
}

/// Says aloud which pictures have fewer pixels than they are trained with.
fn warn_of_small_ones(examples: &[Example], framings: &[Framing]) {
    let pictures = examples.iter().zip(framings);
    let is_enlarged = |framing: &Framing| (0..2).any(|axis| framing.part()[axis] < framing.target()[axis]);
    let enlarged: Vec<_> = pictures.filter(|(_, framing)| is_enlarged(framing)).collect();
    let pixels = |framing: &Framing| framing.part().into_iter().min();
    if let Some((example, framing)) = enlarged.iter().min_by_key(|(_, framing)| pixels(framing)) {
        let ([width, height], [wide, high]) = (framing.part(), framing.target());
        tracing::warn!(
            pictures = enlarged.len(),
            all = examples.len(),
            "pictures are smaller than they are trained at and are enlarged; of the smallest, {}, {width} x {height} pixels \
             become {wide} x {high}",
            example.path.display()
        );
    }
}

/// Those of a picture's labels that hold for every view of it.
fn labels_in(framing: &Framing, labels: &Labels, tree: &CriteriaTree) -> Result<Labels, TrainError> {
    let (cropped, flipped) = (framing.is_cropped(), framing.is_flipped());
    let holds = |changed_by_crop: bool, changed_by_flip: bool| {
        !(cropped && changed_by_crop || flipped && changed_by_flip)
    };
    Ok(labels.filter(tree, |leaf| holds(leaf.changed_by_crop, leaf.changed_by_flip))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = r#"id = "place"
name = "Place"
order = 1
summary = "Where things are."
changed-by-crop = ["frame"]
changed-by-flip = ["side"]

[nodes]
"frame" = "Frame"
"side" = "Side"
"paint" = "Paint"

[[leaf]]
id = "frame.middle"
name = "Middle"
positive = { phrase = "off the middle", explanation = "It stands apart from the middle." }
negative = { phrase = "in the middle", explanation = "It stands in the middle." }

[[leaf]]
id = "side.reading"
name = "Reading direction"
positive = { phrase = "read from left", explanation = "One enters from the left." }
negative = { phrase = "read from right", explanation = "One enters from the right." }

[[leaf]]
id = "paint.clean"
name = "Clean paint"
positive = { phrase = "clean paint", explanation = "It is clean." }
negative = { phrase = "dirty paint", explanation = "It is dirty." }
"#;

    #[test]
    fn crops_and_flips_take_the_labels_away_that_they_may_change() {
        let tree = CriteriaTree::from_sources([("place.toml", TREE)]).expect("a tree");
        let [middle, side, clean] = ["place.frame.middle", "place.side.reading", "place.paint.clean"];
        let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let labels = Labels { positive: own(&[clean, side]), negative: own(&[middle]) };
        let left = |size: [u32; 2], crops: u32, flips: bool| {
            let framing = Framing::new(size, [64, 64], crops, flips);
            let left = labels_in(&framing, &labels, &tree).expect("leaves of the tree");
            (left.positive, left.negative)
        };
        let (square, wide) = ([80, 80], [120, 80]);
        assert_eq!(left(square, 4, false), (own(&[clean, side]), own(&[middle])));
        assert_eq!(left(square, 1, true), (own(&[clean]), own(&[middle])));
        assert_eq!(left(wide, 1, false), (own(&[clean, side]), own(&[])));
        assert_eq!(left(wide, 4, true), (own(&[clean]), own(&[])));
    }
}
