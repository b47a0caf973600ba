//! Initial parameters, the same bits on every machine.

use crate::{
    error::{wrong, SpecError},
    layer::Initializer,
    nodes::{Start, Tensor},
    random::{key, Stream},
    spec::StudySpec,
};

/// Parameters from the spec's seed, in the order of the model file (tensors by name, row-major).
///
/// Draws are [normals](Stream::normal) or [uniforms](Stream::uniform) times the deviation that the tensor's initialiser
/// names; computed in f64, rounded to f32 once. Every tensor has a stream of its own.
///
/// # Errors
/// A spec whose layers do not fit each other, or that begins with a file ([`starting_parameters`](crate::starting_parameters)).
pub fn initial_parameters(spec: &StudySpec) -> Result<Vec<f32>, SpecError> {
    if let Some(named) = &spec.initial {
        let problem = format!("the study begins with the file {}, not with its seed", named.root);
        return Err(wrong("initial", problem));
    }
    let mut tensors = spec.architecture()?.tensors;
    tensors.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let mut out = Vec::new();
    for tensor in &tensors {
        start(tensor, spec.seed, &mut out);
    }
    Ok(out)
}

fn start(tensor: &Tensor, seed: u64, out: &mut Vec<f32>) {
    let count = tensor.elements();
    let (init, inputs, outputs) = match tensor.start {
        Start::Constant(value) => return out.extend(std::iter::repeat_n(value as f32, count)),
        Start::Drawn { init, inputs, outputs } => (init, inputs, outputs),
    };
    let variance = match init {
        Initializer::HeNormal => 2.0 / inputs as f64,
        Initializer::GlorotNormal | Initializer::GlorotUniform => 2.0 / (inputs + outputs) as f64,
        Initializer::LecunNormal => 1.0 / inputs as f64,
        Initializer::Zeros => return out.extend(std::iter::repeat_n(0.0, count)),
    };
    let mut stream = Stream::new(key("consilium/init/1", &[&seed.to_le_bytes(), tensor.name.as_bytes()]));
    if init == Initializer::GlorotUniform {
        // a uniform on [-a, a) has variance a² ÷ 3
        let bound = (3.0 * variance).sqrt();
        out.extend((0..count).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32));
    } else {
        let deviation = variance.sqrt();
        out.extend((0..count).map(|_| (stream.normal() * deviation) as f32));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_aggregation::blob_hash;

    /// Made by `tests/golden/init.py`.
    const GOLDEN: &str = include_str!("../tests/golden/init.json");

    #[test]
    fn initial_parameters_are_what_independent_python_gives() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let spec = StudySpec::from_canonical(include_bytes!("../tests/golden/spec.json")).unwrap();
        let parameters = initial_parameters(&spec).unwrap();
        let bytes: Vec<u8> = parameters.iter().flat_map(|p| p.to_le_bytes()).collect();
        assert_eq!(hex::encode(sp_crypto_hashing::blake2_256(&bytes)), golden["blake2b_256"].as_str().unwrap());
        let file = consilium_aggregation::ModelFile { layout: spec.layout().unwrap(), duty: None, data: parameters };
        let root = blob_hash(&file.encode().unwrap());
        assert_eq!(hex::encode(root), golden["file_blake3"].as_str().unwrap());
    }
}
