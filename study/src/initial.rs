//! The file that a study begins with, where it begins with one in place of its seed: pretrained weights, or the model of
//! an earlier study.

use crate::{
    error::{wrong, SpecError},
    external::Role,
    init::initial_parameters,
    model::Model,
    spec::StudySpec,
};
use consilium_aggregation::blob_hash;
use safetensors::{Dtype, SafeTensors};

/// The largest number of an initial file beside `[privacy]`, either way.
const MOST_PRIVATE: f32 = 1e4;

/// Parameters that training starts from, in the order of the model file: those of the seed, or those of the `initial` file
/// that the specification names, whose bytes must be handed over then.
///
/// # Errors
/// A file that is missing or is not the named one; tensors that are missing, are there for nothing, have another shape or
/// hold what is no number.
pub fn starting_parameters(spec: &StudySpec, initial: Option<&[u8]>) -> Result<Vec<f32>, SpecError> {
    match (&spec.initial, initial) {
        (None, _) => initial_parameters(spec),
        (Some(named), None) => Err(wrong("initial", format!("the file {} is not at hand", named.root))),
        (Some(named), Some(bytes)) => {
            let blob = named.blob("initial")?;
            if bytes.len() as u64 != blob.len || blob_hash(bytes) != blob.root {
                let problem =
                    format!("the file at hand is not the one that is named, {} of {} bytes", named.root, named.len);
                return Err(wrong("initial", problem));
            }
            from_file(spec, &SafeTensors::deserialize(bytes).map_err(|e| wrong("initial", e.to_string()))?)
        }
    }
}

/// The role of each tensor of an initial file, by name.
///
/// # Errors
/// As [`starting_parameters`].
pub fn roles(spec: &StudySpec, file: &SafeTensors<'_>) -> Result<Vec<(String, Role)>, SpecError> {
    let layout = spec.layout().map_err(|e| wrong("model", e.to_string()))?;
    let mut found = Vec::new();
    for (name, view) in file.iter() {
        let role = match &spec.model {
            Model::External(external) => external.role(name, view.dtype() == Dtype::F32)?,
            _ => Role::Merged,
        };
        if role == Role::Merged && !layout.tensors().iter().any(|t| t.name == name) {
            let (shape, known) = (view.shape(), matches!(spec.model, Model::External(_)));
            let help =
                if known { "add it to model.external.tensors, local or frozen" } else { "leave it out of the file" };
            return Err(wrong("initial", format!("tensor {name} {shape:?} is none of the model's: {help}")));
        }
        found.push((name.to_owned(), role));
    }
    Ok(found)
}

fn from_file(spec: &StudySpec, file: &SafeTensors<'_>) -> Result<Vec<f32>, SpecError> {
    roles(spec, file)?;
    let layout = spec.layout().map_err(|e| wrong("model", e.to_string()))?;
    let mut parameters = Vec::with_capacity(layout.elements());
    for tensor in layout.tensors() {
        let there = file
            .tensor(&tensor.name)
            .map_err(|_| wrong("initial", format!("tensor {} {:?} is missing", tensor.name, tensor.shape)))?;
        if there.dtype() != Dtype::F32 || there.shape() != tensor.shape {
            return Err(wrong(
                "initial",
                format!(
                    "tensor {} is {:?} {:?}, expected F32 {:?}",
                    tensor.name,
                    there.dtype(),
                    there.shape(),
                    tensor.shape
                ),
            ));
        }
        let numbers = there.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        parameters.extend(numbers);
        let own = &parameters[parameters.len() - tensor.elements().unwrap_or(0)..];
        if let Some(at) = own.iter().position(|number| !number.is_finite()) {
            return Err(wrong("initial", format!("tensor {} holds {} at index {at}", tensor.name, own[at])));
        }
        if spec.privacy.is_some() {
            if let Some(at) = own.iter().position(|number| number.abs() > MOST_PRIVATE) {
                let problem = format!(
                    "tensor {} holds {} at index {at}: beside [privacy] no number may be beyond {MOST_PRIVATE}, since one could be made to \
                     single out rows. Begin with another file, or with a seed",
                    tensor.name, own[at]
                );
                return Err(wrong("initial", problem));
            }
        }
    }
    Ok(parameters)
}
