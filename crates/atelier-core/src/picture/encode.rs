//! PNG files with text in them.

use image::RgbImage;

/// The bytes of a PNG with `(keyword, value)` texts, such as the prompt that a picture was painted from.
///
/// # Errors
/// The encoder's: no pixels, or a keyword that is not 1 to 79 Latin-1 characters.
pub fn encode_png(picture: &RgbImage, text: &[(&str, &str)]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    for (keyword, value) in text {
        // tEXt is read by more programs, but holds Latin-1 only.
        if value.chars().all(|character| u32::from(character) < 256) {
            encoder.add_text_chunk((*keyword).to_owned(), (*value).to_owned())?;
        } else {
            encoder.add_itxt_chunk((*keyword).to_owned(), (*value).to_owned())?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.as_raw())?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use std::io::Cursor;

    #[test]
    fn a_png_keeps_pixels_and_texts() {
        let picture = RgbImage::from_pixel(5, 4, Rgb([1, 2, 3]));
        let texts = [("Software", "atelier"), ("prompt", "a café by the sea"), ("note", "色 harmony")];
        let bytes = encode_png(&picture, &texts).expect("encoded");
        let reader = png::Decoder::new(Cursor::new(&bytes)).read_info().expect("a PNG");
        let info = reader.info();
        let mut found: Vec<(String, String)> = info
            .uncompressed_latin1_text
            .iter()
            .map(|chunk| (chunk.keyword.clone(), chunk.text.clone()))
            .collect();
        for chunk in &info.utf8_text {
            found.push((chunk.keyword.clone(), chunk.get_text().expect("text")));
        }
        assert_eq!(found, texts.map(|(keyword, value)| (keyword.to_owned(), value.to_owned())));
        assert_eq!(image::load_from_memory(&bytes).expect("a PNG").to_rgb8(), picture);
    }
}
