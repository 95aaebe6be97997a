//! Pictures for people: contact sheets, heat maps and PNG files.

use crate::atomic::{self, AtomicError};
use atelier_core::picture::encode_png;
use image::{GenericImage, Rgb, RgbImage};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A picture could not be written.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The picture cannot be a PNG: it has no pixels, or a keyword of its text is not 1 to 79 Latin-1 characters.
    #[error("{} cannot be encoded as PNG: {source}", path.display())]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// What the encoder said.
        source: png::EncodingError,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
}

/// A contact sheet on white: rows of `columns` pictures, `gap` pixels around each; cells are as large as the largest
/// picture. Without pictures it has no pixels.
pub fn grid(pictures: &[RgbImage], columns: usize, gap: u32) -> RgbImage {
    if pictures.is_empty() {
        return RgbImage::new(0, 0);
    }
    let columns = columns.clamp(1, pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let cell_width = pictures.iter().map(RgbImage::width).max().unwrap_or(0) + gap;
    let cell_height = pictures.iter().map(RgbImage::height).max().unwrap_or(0) + gap;
    let (width, height) = (columns as u32 * cell_width + gap, rows as u32 * cell_height + gap);
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    for (index, picture) in pictures.iter().enumerate() {
        let (column, row) = ((index % columns) as u32, (index / columns) as u32);
        sheet
            .copy_from(picture, column * cell_width + gap, row * cell_height + gap)
            .expect("cells are as large as the largest picture");
    }
    sheet
}

/// How much of the picture the strongest colour of a heat map hides.
const OVERLAY_OPACITY: f32 = 0.8;

/// Lays `map` (`[height, width]`, row by row) over `picture`: red where it is positive, blue where it is negative.
///
/// Colour and opacity grow with the distance from 0, where the picture shows unchanged; the scale is symmetric and ends at
/// the largest absolute value. The map is enlarged bilinearly. Values that are not finite count as 0.
///
/// # Panics
/// If `map` does not have `width * height` values.
pub fn overlay(picture: &RgbImage, map: &[f32], width: u32, height: u32) -> RgbImage {
    assert_eq!(map.len(), width as usize * height as usize, "a map has width * height values");
    let map: Vec<f32> = map.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect();
    let scale = map.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if scale == 0.0 {
        return picture.clone();
    }
    let mut result = picture.clone();
    let (step_x, step_y) = (width as f32 / picture.width() as f32, height as f32 / picture.height() as f32);
    for (x, y, pixel) in result.enumerate_pixels_mut() {
        let (map_x, map_y) = ((x as f32 + 0.5) * step_x - 0.5, (y as f32 + 0.5) * step_y - 0.5);
        let value = bilinear(&map, width as usize, height as usize, map_x, map_y) / scale;
        let strength = value.abs();
        let faded = 255.0 * (1.0 - strength);
        let colour = if value > 0.0 { [255.0, faded, faded] } else { [faded, faded, 255.0] };
        let opacity = OVERLAY_OPACITY * strength;
        for (channel, colour) in pixel.0.iter_mut().zip(colour) {
            *channel = (f32::from(*channel) * (1.0 - opacity) + colour * opacity).round() as u8;
        }
    }
    result
}

/// The value of `map` between its samples; beyond its border the border goes on.
fn bilinear(map: &[f32], width: usize, height: usize, x: f32, y: f32) -> f32 {
    let (x, y) = (x.clamp(0.0, (width - 1) as f32), y.clamp(0.0, (height - 1) as f32));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (across, down) = (x - left as f32, y - top as f32);
    let row = |row: usize| map[row * width + left] * (1.0 - across) + map[row * width + right] * across;
    row(top) * (1.0 - down) + row(bottom) * down
}

/// Writes [`encode_png`]'s bytes to `path` in one move; missing folders are created.
///
/// # Errors
/// [`PictureError`] names the path; an earlier file is untouched.
pub fn write_png(path: &Path, picture: &RgbImage, text: &[(&str, &str)]) -> Result<(), PictureError> {
    let bytes =
        encode_png(picture, text).map_err(|source| PictureError::Encode { path: path.to_owned(), source })?;
    Ok(atomic::write_file(path, |writer| writer.write_all(&bytes))?)
}

/// As [`write_png`], but only where there is nothing at `path` yet.
///
/// # Errors
/// [`AtomicError::Exists`] in [`PictureError::Write`] if the name is taken; otherwise as [`write_png`].
pub fn create_png(path: &Path, picture: &RgbImage, text: &[(&str, &str)]) -> Result<(), PictureError> {
    let bytes =
        encode_png(picture, text).map_err(|source| PictureError::Encode { path: path.to_owned(), source })?;
    Ok(atomic::create_file(path, |writer| writer.write_all(&bytes))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32, colour: [u8; 3]) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb(colour))
    }

    #[test]
    fn a_grid_places_pictures_row_by_row() {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let sheet = grid(&colours.map(|colour| plain(4, 3, colour)), 2, 1);
        assert_eq!(sheet.dimensions(), (2 * 4 + 3, 2 * 3 + 3));
        assert_eq!(sheet.get_pixel(1, 1).0, colours[0]);
        assert_eq!(sheet.get_pixel(6, 3).0, colours[1]);
        assert_eq!(sheet.get_pixel(4, 7).0, colours[2]);
        for (x, y) in [(0, 0), (5, 2), (2, 4), (8, 6)] {
            assert_eq!(sheet.get_pixel(x, y).0, [255; 3], "the gap and the empty cell are white");
        }
    }

    #[test]
    fn a_grid_is_no_wider_than_its_pictures() {
        assert_eq!(grid(&[plain(4, 4, [0; 3])], 8, 2).dimensions(), (8, 8));
        assert_eq!(grid(&[], 8, 2).dimensions(), (0, 0));
    }

    #[test]
    fn an_overlay_shows_the_sign_and_leaves_zero_alone() {
        let grey = plain(9, 3, [100; 3]);
        let shown = overlay(&grey, &[-2.0, 0.0, 1.0], 3, 1);
        let [red, green, blue] = shown.get_pixel(1, 1).0;
        assert!(blue > 200 && red == green && red < 100, "the strongest value is blue: {red} {green} {blue}");
        assert_eq!(shown.get_pixel(4, 1).0, [100; 3]);
        let [red, green, blue] = shown.get_pixel(7, 1).0;
        assert!(red > green && green == blue, "half the scale is a paler red: {red} {green} {blue}");
    }

    #[test]
    fn an_overlay_of_nothing_is_the_picture() {
        let grey = plain(4, 4, [100; 3]);
        assert_eq!(overlay(&grey, &[0.0, f32::NAN], 2, 1), grey);
    }

    #[test]
    fn bilinear_interpolation_goes_through_the_samples_and_their_middle() {
        let map = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(bilinear(&map, 2, 2, 1.0, 1.0), 3.0);
        assert_eq!(bilinear(&map, 2, 2, 0.5, 0.5), 1.5);
        assert_eq!(bilinear(&map, 2, 2, -5.0, 9.0), 2.0);
    }

    #[test]
    fn folders_are_made_for_a_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples/picture.png");
        let picture = plain(5, 4, [1, 2, 3]);
        write_png(&path, &picture, &[("Software", "atelier")]).expect("written");
        assert_eq!(image::open(&path).expect("a PNG").to_rgb8(), picture);
    }

    #[test]
    fn what_png_cannot_hold_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("empty.png");
        let error = write_png(&path, &RgbImage::new(0, 0), &[]).expect_err("no pixels");
        assert!(error.to_string().contains("empty.png"), "{error}");
        let error = write_png(&path, &plain(1, 1, [0; 3]), &[("", "text")]).expect_err("no keyword");
        assert!(matches!(error, PictureError::Encode { .. }), "{error}");
        assert!(!path.exists());
    }
}
