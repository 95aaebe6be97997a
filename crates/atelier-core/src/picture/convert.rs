//! Pictures and the tensors that stand for them.

use crate::finite::NotFinite;
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};
use image::{Rgb, RgbImage};
use thiserror::Error;

/// Pictures could not be read back from a device.
#[derive(Debug, Error)]
pub enum ReadBackError {
    /// The device failed.
    #[error("the device did not return the picture: {0}")]
    Device(String),
    /// The autoencoder gave NaN or an infinity.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

impl From<ExecutionError> for ReadBackError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error.to_string())
    }
}

/// A picture from planes of red, green and blue, `[3, height, width]` in `[-1, 1]`; values outside are clamped, NaN is black.
///
/// # Panics
/// If `chw` has fewer than `3 * height * width` values.
pub fn from_chw(chw: &[f32], width: u32, height: u32) -> RgbImage {
    let plane = width as usize * height as usize;
    RgbImage::from_fn(width, height, |x, y| {
        let index = y as usize * width as usize + x as usize;
        Rgb([0, 1, 2].map(|channel| to_byte(chw[channel * plane + index])))
    })
}

/// Planes of red, green and blue, `[3, height, width]` in `[-1, 1]`.
pub fn to_chw(picture: &RgbImage) -> Vec<f32> {
    (0..3)
        .flat_map(|channel| picture.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0))
        .collect()
}

fn to_byte(value: f32) -> u8 {
    // `as` saturates and takes NaN to 0.
    ((value + 1.0) * 127.5).round() as u8
}

/// Pictures of one size as a tensor, `[batch, 3, height, width]` in `[-1, 1]`.
///
/// # Panics
/// If there is no picture, or if sizes differ.
pub fn to_tensor<'a>(pictures: impl IntoIterator<Item = &'a RgbImage>, device: &Device) -> Tensor<4> {
    let mut pictures = pictures.into_iter().peekable();
    let (width, height) = pictures.peek().expect("at least one picture").dimensions();
    let values: Vec<f32> = pictures.flat_map(to_chw).collect();
    let batch = values.len() / (3 * height as usize * width as usize);
    Tensor::from_data(TensorData::new(values, [batch, 3, height as usize, width as usize]), device)
}

/// Reads pictures `[batch, 3, height, width]` in `[-1, 1]` back from the device; values outside are clamped.
///
/// # Errors
/// [`ReadBackError::NotFinite`] for values that are no colours: they would be black. Otherwise the device's.
pub async fn from_tensor(pictures: Tensor<4>) -> Result<Vec<RgbImage>, ReadBackError> {
    let [_, channels, height, width] = pictures.dims();
    let values: Vec<f32> = pictures.into_data_async().await?.iter::<f32>().collect();
    if values.iter().any(|value| !value.is_finite()) {
        return Err(NotFinite::Autoencoder.into());
    }
    let planes = values.chunks(channels * height * width);
    Ok(planes.map(|chw| from_chw(chw, width as u32, height as u32)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn planes_become_pixels_and_are_clamped() {
        let chw = [-1.0, 1.0, 0.0, 7.0, -7.0, f32::NAN, 1.0, -1.0, 0.5, 0.5, 0.5, 0.5];
        let picture = from_chw(&chw, 2, 2);
        assert_eq!(picture.get_pixel(0, 0).0, [0, 0, 191]);
        assert_eq!(picture.get_pixel(1, 0).0, [255, 0, 191]);
        assert_eq!(picture.get_pixel(0, 1).0, [128, 255, 191]);
        assert_eq!(picture.get_pixel(1, 1).0, [255, 0, 191]);
    }

    #[test]
    fn what_is_no_colour_is_no_picture() {
        let device = Device::flex();
        for bad in [f32::NAN, f32::INFINITY] {
            let pixels = Tensor::<4>::from_floats([[[[0.0, bad]], [[0.0, 0.0]], [[0.0, 0.0]]]], &device);
            let read = futures_lite::future::block_on(from_tensor(pixels));
            assert!(matches!(read, Err(ReadBackError::NotFinite(NotFinite::Autoencoder))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn bytes_survive_the_way_through_planes(bytes in prop::collection::vec(any::<u8>(), 4 * 4 * 3)) {
            let picture = RgbImage::from_raw(4, 4, bytes).expect("4 x 4 pixels");
            prop_assert_eq!(from_chw(&to_chw(&picture), picture.width(), picture.height()), picture);
        }
    }
}
