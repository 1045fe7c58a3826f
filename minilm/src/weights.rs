//! The numbers that were learned, by name.

use safetensors::{Dtype, SafeTensors};

use super::{
    Error,
    math::{Linear, Norm},
};

pub(super) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, Error> {
        Ok(Self(SafeTensors::deserialize(file)?))
    }

    /// A tensor, which must have this shape.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.0.tensor(name)?;
        if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
            let found = (tensor.dtype(), tensor.shape());
            return Err(Error::OtherModel(format!("{name} is {found:?}, and must be F32 of {shape:?}")));
        }
        let numbers = tensor.data().as_chunks::<4>().0;
        Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    pub(super) fn linear(&self, name: &str, from: usize, to: usize) -> Result<Linear, Error> {
        let weight = self.get(&format!("{name}.weight"), &[to, from])?;
        Ok(Linear { weight, bias: self.get(&format!("{name}.bias"), &[to])? })
    }

    pub(super) fn norm(&self, name: &str) -> Result<Norm, Error> {
        let scale = self.get(&format!("{name}.weight"), &[super::DIMENSIONS])?;
        Ok(Norm { scale, shift: self.get(&format!("{name}.bias"), &[super::DIMENSIONS])? })
    }
}
