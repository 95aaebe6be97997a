//! Picture files: PNG, JPEG and WebP, recognised by their content.

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage, imageops};
use std::io::{BufRead, Seek};

/// The picture in `file`, upright.
///
/// # Errors
/// [`ImageError`] for what is no picture, and for one that claims more pixels than memory should be given for.
pub fn decode(file: impl BufRead + Seek + 'static) -> Result<RgbImage, ImageError> {
    let mut decoder = decoder(file)?;
    // `into_decoder` does not count the pixels themselves.
    limits().reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// Width and height of the picture in `file`, upright; only its header is read.
///
/// # Errors
/// As [`decode`].
pub fn dimensions(file: impl BufRead + Seek + 'static) -> Result<[u32; 2], ImageError> {
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let mut decoder = decoder(file)?;
    let (width, height) = decoder.dimensions();
    Ok(match decoder.orientation()? {
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => [height, width],
        _ => [width, height],
    })
}

/// A side of 32,768 pixels and half a gibibyte are beyond any scan of a painting, and within any computer.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(1 << 15);
    limits.max_image_height = Some(1 << 15);
    limits.max_alloc = Some(1 << 29);
    limits
}

fn decoder(file: impl BufRead + Seek + 'static) -> Result<impl ImageDecoder, ImageError> {
    let mut reader = ImageReader::new(file).with_guessed_format()?;
    reader.limits(limits());
    reader.into_decoder()
}

/// The part of `picture` from `origin`, `[left, top]`, of the given size, at the size `target`; sizes are
/// `[width, height]`.
pub fn resized_part(picture: &RgbImage, origin: [u32; 2], size: [u32; 2], target: [u32; 2]) -> RgbImage {
    let part = imageops::crop_imm(picture, origin[0], origin[1], size[0], size[1]).to_image();
    if size == target {
        return part;
    }
    // Lanczos would ring around the edges of enlarged pictures.
    let is_enlarged = size[0] < target[0] || size[1] < target[1];
    let filter = if is_enlarged { imageops::FilterType::Triangle } else { imageops::FilterType::Lanczos3 };
    imageops::resize(&part, target[0], target[1], filter)
}

/// The largest square in the centre of `picture`, at `size` pixels a side: how models of squares see it.
pub fn centre_square(picture: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let side = width.min(height);
    resized_part(picture, [(width - side) / 2, (height - side) / 2], [side; 2], [size; 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::encode_png;
    use image::Rgb;
    use std::io::Cursor;

    /// A PNG of `width` by `height` black pixels that has a header and nothing else worth mentioning.
    fn bomb(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encode_png(&RgbImage::new(1, 1), &[]).expect("a PNG");
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = png_checksum(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// CRC-32 of ISO 3309, which PNG uses.
    fn png_checksum(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        for bytes in [Vec::new(), b"a text".to_vec(), bomb(8, 8)[..30].to_vec()] {
            assert!(decode(Cursor::new(bytes.clone())).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_picture_that_claims_too_much_is_refused_before_memory_is_taken() {
        for size in [50_000, 30_000] {
            let bytes = bomb(size, size);
            let error = decode(Cursor::new(bytes)).expect_err("too large");
            assert!(matches!(error, ImageError::Limits(_)), "{error}");
        }
        assert_eq!(dimensions(Cursor::new(bomb(30_000, 20_000))).expect("a header"), [30_000, 20_000]);
    }

    #[test]
    fn the_square_is_the_middle() {
        let picture = RgbImage::from_fn(8, 4, |x, _| Rgb([x as u8; 3]));
        let square = centre_square(&picture, 4);
        assert_eq!(square.get_pixel(0, 0).0, [2; 3]);
        assert_eq!(square.get_pixel(3, 3).0, [5; 3]);
        assert_eq!(centre_square(&picture, 16).dimensions(), (16, 16));
    }
}
