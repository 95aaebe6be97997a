//! Files with any tensors, which need no model: LoRAs and latents.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::save::{Precision, encode};
use super::{Metadata, WeightsError, WeightsFile};

/// A tensor on its way to or from a file: its shape, in PyTorch's layout, and its values in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorValues {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl TensorValues {
    /// `values`, of which the last dimension of `shape` is the fastest.
    ///
    /// # Errors
    /// [`WeightsError::Elements`] if `values` do not fill `shape`.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, WeightsError> {
        let elements = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        if elements == Some(values.len()) {
            Ok(Self { shape, values })
        } else {
            Err(WeightsError::Elements { shape, found: values.len() })
        }
    }

    /// Reads `tensor` back from its device.
    ///
    /// # Errors
    /// [`WeightsError::Device`] if the device is lost; it names the tensor `name`.
    pub async fn from_tensor<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Self, WeightsError> {
        let shape = tensor.shape().to_vec();
        let data = tensor.into_data_async().await;
        let data =
            data.map_err(|error| WeightsError::Device { name: name.to_owned(), reason: error.to_string() })?;
        Self::new(shape, data.iter::<f32>().collect())
    }

    /// The size of every dimension; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, the last dimension the fastest.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The tensor on `device`.
    ///
    /// # Errors
    /// [`WeightsError::Rank`] if it does not have `D` dimensions.
    pub fn to_tensor<const D: usize>(&self, device: &Device) -> Result<Tensor<D>, WeightsError> {
        if self.shape.len() != D {
            return Err(WeightsError::Rank { expected: D, shape: self.shape.clone() });
        }
        Ok(Tensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()), device))
    }
}

/// All tensors of a safetensors file, by name, and the strings in its metadata.
///
/// # Errors
/// [`WeightsError::InFile`] around [`WeightsError::Dtype`] or [`WeightsError::NotFinite`], which names the tensor.
pub fn read_tensors(file: &WeightsFile) -> Result<(BTreeMap<String, TensorValues>, Metadata), WeightsError> {
    let tensors = file.tensors().map(|(name, _)| Ok((name.to_owned(), file.read_tensor(name)?)));
    Ok((tensors.collect::<Result<_, WeightsError>>()?, file.metadata().clone()))
}

/// A safetensors file with `tensors` and the strings in `metadata`, which gets `"format": "pt"`.
///
/// The same tensors and metadata give the same bytes.
///
/// # Errors
/// [`WeightsError::NotFinite`] for NaN, infinities, and values beyond the range of `precision`.
pub fn write_tensors(
    tensors: &BTreeMap<String, TensorValues>,
    precision: Precision,
    metadata: &Metadata,
) -> Result<Vec<u8>, WeightsError> {
    let tensors = tensors.iter().map(|(name, tensor)| {
        let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
        (name.clone(), tensor.shape.clone(), data)
    });
    encode(tensors.collect(), precision, metadata)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tensors() -> impl Strategy<Value = BTreeMap<String, TensorValues>> {
        let tensor = prop::collection::vec(0..4_usize, 0..4).prop_flat_map(|shape| {
            let elements = shape.iter().product::<usize>();
            prop::collection::vec(-1e30_f32..1e30, elements)
                .prop_map(move |values| TensorValues::new(shape.clone(), values).unwrap())
        });
        prop::collection::btree_map("[a-z_.0-9]{1,12}", tensor, 0..5)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(tensors in tensors()) {
            let metadata = Metadata::from([("ss_network_dim".to_owned(), "4".to_owned())]);
            let bytes = write_tensors(&tensors, Precision::F32, &metadata).unwrap();
            let (read, metadata) = read_tensors(&WeightsFile::from_bytes("", bytes).unwrap()).unwrap();
            prop_assert_eq!(metadata["ss_network_dim"].as_str(), "4");
            prop_assert_eq!(metadata["format"].as_str(), "pt");
            prop_assert_eq!(read, tensors);
        }
    }

    #[test]
    fn values_must_fill_the_shape() {
        for shape in [vec![2, 2], vec![], vec![usize::MAX, 2]] {
            let error = TensorValues::new(shape, vec![0.0; 3]).unwrap_err();
            assert!(matches!(error, WeightsError::Elements { found: 3, .. }), "{error}");
        }
    }

    #[test]
    fn a_tensor_of_another_rank_is_refused() {
        let values = TensorValues::new(vec![1, 2, 1, 1], vec![0.5, -1.5]).unwrap();
        values.to_tensor::<4>(&Device::flex()).unwrap();
        let error = values.to_tensor::<3>(&Device::flex()).unwrap_err().to_string();
        assert_eq!(error, "a tensor with 3 dimensions is wanted, but its shape is [1, 2, 1, 1]");
    }
}
