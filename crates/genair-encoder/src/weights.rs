//! The weights file: tensors by name, checked against the shapes that the configuration asks for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use crate::EncodeError;

/// Every floating-point tensor of a safetensors file, as f32.
pub(crate) struct Weights {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Weights {
    /// Reads a file.
    ///
    /// # Errors
    /// [`EncodeError::Weights`] where it is not there or no safetensors file.
    pub(crate) fn read(path: &Path) -> Result<Self, EncodeError> {
        let refuse = |source| EncodeError::Weights {
            path: path.to_owned(),
            source,
        };
        let mut tensors = HashMap::new();
        for (name, tensor) in Tensor::read_safetensors(path).map_err(refuse)? {
            // Converting to the kind it has shares the storage.
            if tensor.is_floating_point() {
                tensors.insert(name, tensor.f_to_kind(Kind::Float).map_err(refuse)?);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    /// The tensor of this name, its storage shared.
    ///
    /// # Errors
    /// [`EncodeError::MissingTensor`] and [`EncodeError::TensorShape`].
    pub(crate) fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, EncodeError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(EncodeError::MissingTensor {
                path: self.path.clone(),
                name: name.to_owned(),
            });
        };
        if tensor.size() != shape {
            return Err(EncodeError::TensorShape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: tensor.size(),
                expected: shape.to_vec(),
            });
        }
        Ok(tensor.shallow_clone())
    }
}
