//! Explained pictures as one self-contained page, and as JSON.

use super::html::{STYLE, escape, image};
use crate::{
    atomic,
    error::TrainError,
    explanations::{PictureExplanation, in_words},
    picture,
};
use atelier_criteria::CriteriaTree;
use image::RgbImage;
use serde::Serialize;
use std::{fmt::Write, path::Path};

/// A picture and what was found in it.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedPicture {
    /// Its file.
    pub picture: String,
    /// The picture at the model's size.
    #[serde(skip)]
    pub image: RgbImage,
    /// What was found in it.
    #[serde(flatten)]
    pub explanation: PictureExplanation,
}

/// Writes `explanations.html`, with a map for every leaf, and `explanations.json` into `folder`.
///
/// # Errors
/// [`TrainError`] names the file that could not be written.
pub fn write_explanations(
    folder: &Path,
    explained: &[ExplainedPicture],
    tree: &CriteriaTree,
) -> Result<(), TrainError> {
    let html = page(explained, tree)?;
    atomic::write_file(&folder.join("explanations.html"), |writer| writer.write_all(html.as_bytes()))?;
    Ok(atomic::write_file(&folder.join("explanations.json"), |writer| {
        serde_json::to_writer_pretty(&mut *writer, explained)?;
        writer.write_all(b"\n")
    })?)
}

fn page(explained: &[ExplainedPicture], tree: &CriteriaTree) -> Result<String, TrainError> {
    let mut body = String::from(
        "<h1>Explanations</h1><p>Which attributes the auxiliary model reads in each picture, the most decisive first, with \
         the range of one standard error, and where: <span class=\"plus\">red</span> speaks for the positive side of an \
         attribute, <span class=\"minus\">blue</span> for the negative one.</p>",
    );
    for ExplainedPicture { picture, image: shown, explanation } in explained {
        let name = escape(picture);
        let _ = write!(
            body,
            "<section class=\"explained\"><h2>{name}</h2><p>{}</p>{}<div class=\"pairs\">",
            escape(&explanation.caption),
            image(shown, &name)?
        );
        for found in &explanation.leaves {
            let [height, width] = found.map_size.map(|side| side as u32);
            let map = picture::overlay(shown, &found.map, width, height);
            let leaf = tree.require_leaf(&found.leaf)?;
            let _ = write!(
                body,
                "<figure>{}<figcaption>{}</figcaption></figure>",
                image(&map, &format!("where {} is read", escape(&leaf.name)))?,
                escape(&in_words(found, leaf))
            );
        }
        body.push_str("</div></section>");
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>Atelier: explanations</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    ))
}
