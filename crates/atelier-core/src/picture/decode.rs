//! Picture files: PNG, JPEG and WebP, recognised by their content.

use super::jpeg::check_jpeg;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
    error::{DecodingError, ImageFormatHint},
    imageops,
};
use std::io::{BufRead, Cursor, Seek};

/// The picture in `file`, upright.
///
/// # Errors
/// [`ImageError`] for what is no picture, for one that is cut off or damaged, and for one that claims more pixels than memory
/// should be given for.
pub fn decode(file: impl BufRead + Seek) -> Result<RgbImage, ImageError> {
    decode_whole(file).map_err(in_one_line)
}

fn decode_whole(file: impl BufRead + Seek) -> Result<RgbImage, ImageError> {
    let reader = ImageReader::new(file).with_guessed_format()?;
    let format = format_of(&reader)?;
    let mut bytes = Vec::new();
    reader.into_inner().read_to_end(&mut bytes)?;
    let mut decoder = decoder(ImageReader::with_format(Cursor::new(&bytes), format))?;
    // `into_decoder` does not count the pixels themselves.
    limits().reserve(decoder.total_bytes())?;
    check_whole(&bytes, format)?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// Width and height of the picture in `file`, upright; only its header is read.
///
/// # Errors
/// As [`decode`], but whether the file is whole is not looked at.
pub fn dimensions(file: impl BufRead + Seek) -> Result<[u32; 2], ImageError> {
    read_dimensions(file).map_err(in_one_line)
}

fn read_dimensions(file: impl BufRead + Seek) -> Result<[u32; 2], ImageError> {
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let reader = ImageReader::new(file).with_guessed_format()?;
    format_of(&reader)?;
    let mut decoder = decoder(reader)?;
    let (width, height) = decoder.dimensions();
    Ok(match decoder.orientation()? {
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => [height, width],
        _ => [width, height],
    })
}

/// `error` without the ends of lines that some decoders put into theirs.
fn in_one_line(error: ImageError) -> ImageError {
    match error {
        ImageError::Decoding(inner) if inner.to_string().contains('\n') => {
            let reason =
                std::error::Error::source(&inner).map_or_else(|| inner.to_string(), ToString::to_string);
            let reason = reason.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
            ImageError::Decoding(DecodingError::new(inner.format_hint(), reason))
        }
        error => error,
    }
}

/// The format of a file, by its first bytes, if it can be read.
fn format_of<R: BufRead + Seek>(reader: &ImageReader<R>) -> Result<ImageFormat, ImageError> {
    match reader.format() {
        Some(format) if format.reading_enabled() => Ok(format),
        Some(format) => Err(ImageError::Unsupported(ImageFormatHint::Exact(format).into())),
        None => Err(ImageError::Unsupported(ImageFormatHint::Unknown.into())),
    }
}

/// Whether nothing is missing that the decoder would make up: those of JPEG fill it with grey.
fn check_whole(bytes: &[u8], format: ImageFormat) -> Result<(), ImageError> {
    let damaged = |reason: Box<dyn std::error::Error + Send + Sync>| {
        ImageError::Decoding(DecodingError::new(ImageFormatHint::Exact(format), reason))
    };
    match format {
        ImageFormat::Jpeg => check_jpeg(bytes).map_err(|error| damaged(error.into())),
        ImageFormat::WebP => match bytes.get(4..).and_then(<[u8]>::first_chunk) {
            // The last byte may be the filling of a chunk with an odd length, which some programs leave out.
            Some(length) if bytes.len() as u64 + 1 < u64::from(u32::from_le_bytes(*length)) + 8 => {
                Err(damaged("the file is cut off: its header says that it is longer".into()))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// A side of 32,768 pixels and half a gibibyte are beyond any scan of a painting, and within any computer.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(1 << 15);
    limits.max_image_height = Some(1 << 15);
    limits.max_alloc = Some(1 << 29);
    limits
}

fn decoder<'a>(
    mut reader: ImageReader<impl BufRead + Seek + 'a>,
) -> Result<impl ImageDecoder + 'a, ImageError> {
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
    fn a_file_that_is_cut_off_or_damaged_is_no_picture() {
        let picture =
            RgbImage::from_fn(64, 48, |x, y| Rgb([(x * 37 + y) as u8, (x ^ (y * 5)) as u8, (x * y) as u8]));
        let mut webp = Vec::new();
        let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
        encoder.encode(picture.as_raw(), 64, 48, image::ExtendedColorType::Rgb8).expect("a WebP");
        let png = encode_png(&picture, &[]).expect("a PNG");
        for (bytes, spared) in [(&webp, 1), (&png, 16)] {
            assert_eq!(decode(Cursor::new(bytes.clone())).expect("whole"), picture);
            for length in (0..bytes.len() - spared).step_by(7) {
                assert!(
                    decode(Cursor::new(bytes[..length].to_vec())).is_err(),
                    "{length} of {}",
                    bytes.len()
                );
            }
        }
        // Decoders of JPEG speak in several lines.
        let error = dimensions(Cursor::new(b"\xff\xd8\xff\xe0\0\x10J")).expect_err("no header").to_string();
        assert!(!error.contains('\n'), "{error:?}");
        // A bit that has changed in the pixels of a PNG, which have a checksum.
        let mut changed = png.clone();
        let middle = png.len() / 2;
        changed[middle] ^= 1;
        assert!(decode(Cursor::new(changed)).is_err());
    }

    #[test]
    fn a_format_that_is_not_read_is_named() {
        for (bytes, name) in [(&b"BM\0\0\0\0\0\0\0\0"[..], "Bmp"), (b"GIF89a\0\0\0\0", "Gif")] {
            for error in [
                decode(Cursor::new(bytes)).map(|_| ()).expect_err("not read"),
                dimensions(Cursor::new(bytes)).map(|_| ()).expect_err("not read"),
            ] {
                assert!(matches!(error, ImageError::Unsupported(_)), "{error}");
                assert!(error.to_string().contains(name), "{error}");
            }
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
