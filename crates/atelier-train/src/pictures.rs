//! Pictures in memory, read once.

use crate::{
    error::TrainError,
    imagefolder::{self, ImageFolder, ImageFolderError},
    trainer::{Events, TrainEvent},
};
use atelier_core::{noise::NoiseSource, picture};
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rayon::prelude::*;
use std::path::Path;

/// All pictures of a folder, 8 bits a value, planes of red, green and blue.
#[derive(Debug, Clone)]
pub struct PictureCache {
    planes: Vec<Vec<u8>>,
    size: u32,
}

/// Pictures read between two progress events.
const CHUNK: usize = 64;

impl PictureCache {
    /// Reads every picture of `folder`, resized and cropped to a square of `size` pixels.
    ///
    /// # Errors
    /// [`TrainError::ImageFolder`] names a picture that cannot be read; [`TrainError::Cancelled`] on a break.
    pub fn read(folder: &ImageFolder, size: u32, events: &mut Events<'_>) -> Result<Self, TrainError> {
        let total = folder.examples().len();
        let mut planes = Vec::with_capacity(total);
        for start in (0..total).step_by(CHUNK) {
            let chunk = (start..total.min(start + CHUNK)).into_par_iter().map(|index| {
                let values = folder.load_image(index, size)?;
                Ok(values.iter().map(|v| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect())
            });
            let chunk = chunk.collect::<Result<Vec<Vec<u8>>, ImageFolderError>>();
            planes.extend(chunk.map_err(|first| all_broken(first, folder))?);
            let event =
                TrainEvent::Preparing { what: "reading pictures".to_owned(), done: planes.len(), total };
            if events(event).is_break() {
                return Err(TrainError::cancelled());
            }
        }
        Ok(Self { planes, size })
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.planes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.planes.is_empty()
    }

    /// Whole pictures, `[batch, 3, size, size]` in `[-1, 1]`.
    pub fn batch(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        let side = self.size as usize;
        let values: Vec<f32> =
            indices.iter().flat_map(|&i| self.planes[i].iter().map(|&v| to_unit(v))).collect();
        Tensor::from_data(TensorData::new(values, [indices.len(), 3, side, side]), device)
    }

    /// A random crop of `crop` pixels a side from each picture, `[batch, 3, crop, crop]` in `[-1, 1]`.
    pub fn crops(&self, indices: &[usize], crop: u32, noise: &mut NoiseSource, device: &Device) -> Tensor<4> {
        let (size, side) = (self.size as usize, crop.min(self.size) as usize);
        let mut values = Vec::with_capacity(indices.len() * 3 * side * side);
        for &index in indices {
            let (left, top) = (noise.below(size - side + 1), noise.below(size - side + 1));
            for plane in self.planes[index].chunks(size * size) {
                for row in top..top + side {
                    let start = row * size + left;
                    values.extend(plane[start..start + side].iter().map(|&v| to_unit(v)));
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [indices.len(), 3, side, side]), device)
    }
}

/// Reads pictures `[batch, 3, size, size]` in `[-1, 1]` back from the device.
///
/// # Errors
/// [`TrainError::NotFinite`] for values that are no colours, [`TrainError::DeviceLost`].
pub fn to_images(pictures: Tensor<4>) -> Result<Vec<RgbImage>, TrainError> {
    Ok(futures_lite::future::block_on(picture::from_tensor(pictures))?)
}

/// Reads a tensor back from the device.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    let data = tensor.try_into_data().map_err(|error| TrainError::DeviceLost(error.to_string()))?;
    Ok(data.iter::<f32>().collect())
}

fn to_unit(value: u8) -> f32 {
    f32::from(value) / 127.5 - 1.0
}

/// The error that names all pictures of `folder` that cannot be read, of which `first` is one.
fn all_broken(first: ImageFolderError, folder: &ImageFolder) -> ImageFolderError {
    let paths: Vec<&Path> = folder.examples().iter().map(|example| example.path.as_path()).collect();
    imagefolder::all_broken(first, &paths)
}
