//! Explained pictures as one self-contained page, and as JSON.

use super::html::{STYLE, escape, image};
use crate::{
    error::TrainError,
    explanations::{PictureExplanation, in_words},
    output::{OutputFile, OutputPlace},
    picture,
};
use atelier_criteria::CriteriaTree;
use image::RgbImage;
use serde::Serialize;
use serde_json::Value;
use std::{fmt::Write, fs, path::Path};

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

/// The title of the page, by which it is known.
const TITLE: &str = "<title>Atelier: explanations</title>";

/// The places of `explanations.html` and `explanations.json` in a folder.
#[derive(Debug)]
pub struct ExplanationFiles {
    page: OutputFile,
    json: OutputFile,
}

impl ExplanationFiles {
    /// Looks whether both can be written into `folder`: nothing is there, or earlier ones.
    ///
    /// # Errors
    /// [`TrainError::Output`] for other files there, and for a place that cannot be written.
    pub fn prepare(folder: &Path) -> Result<Self, TrainError> {
        let is_page = |path: &Path| fs::read_to_string(path).is_ok_and(|page| page.contains(TITLE));
        let is_json = |path: &Path| {
            let found = fs::read(path).ok().and_then(|json| serde_json::from_slice(&json).ok());
            let of_picture = |found: &Value| found.get("picture").is_some() && found.get("leaves").is_some();
            found.is_some_and(|found: Vec<Value>| found.iter().all(of_picture))
        };
        // The folder itself may be what is wrong, so it is tried by its own name.
        let _folder = OutputPlace::prepare(folder)?;
        Ok(Self {
            page: OutputFile::prepare(&folder.join("explanations.html"), "page of explanations", is_page)?,
            json: OutputFile::prepare(&folder.join("explanations.json"), "file of explanations", is_json)?,
        })
    }
}

/// Writes `explanations.html`, with a map for every leaf, and `explanations.json` to their places.
///
/// # Errors
/// [`TrainError`] names the file that could not be written.
pub fn write_explanations(
    files: &ExplanationFiles,
    explained: &[ExplainedPicture],
    tree: &CriteriaTree,
) -> Result<(), TrainError> {
    let html = page(explained, tree)?;
    files.page.write(|writer| writer.write_all(html.as_bytes()))?;
    Ok(files.json.write(|writer| {
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
         {TITLE}<style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    ))
}
