//! Contact sheets.

use image::{Rgb, RgbImage, imageops};

/// The gap between pictures in pixels.
const GAP: u32 = 4;

/// Pictures side by side, `columns` in a row (at least one), on a dark ground; every cell has the largest picture's size.
#[must_use]
pub fn contact_sheet(images: &[RgbImage], columns: u32) -> RgbImage {
    let columns = columns.max(1);
    let width = images.iter().map(RgbImage::width).max().unwrap_or(0) + GAP;
    let height = images.iter().map(RgbImage::height).max().unwrap_or(0) + GAP;
    let rows = (images.len() as u32).div_ceil(columns).max(1);
    let mut sheet = RgbImage::from_pixel(columns * width + GAP, rows * height + GAP, Rgb([40, 40, 42]));
    for (index, image) in (0u32..).zip(images) {
        let (x, y) = (GAP + index % columns * width, GAP + index / columns * height);
        imageops::replace(&mut sheet, image, i64::from(x), i64::from(y));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_reading_order() {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let images = colours.map(|colour| RgbImage::from_pixel(2, 2, Rgb(colour)));
        let sheet = contact_sheet(&images, 2);
        assert_eq!(sheet.dimensions(), (GAP + 2 * (2 + GAP), GAP + 2 * (2 + GAP)));
        assert_eq!(sheet.get_pixel(GAP, GAP).0, colours[0]);
        assert_eq!(sheet.get_pixel(2 * GAP + 2, GAP).0, colours[1]);
        assert_eq!(sheet.get_pixel(GAP, 2 * GAP + 2).0, colours[2]);
    }

    #[test]
    fn no_pictures_make_an_empty_sheet() {
        assert_eq!(contact_sheet(&[], 0).dimensions(), (2 * GAP, 2 * GAP));
    }
}
