//! Initial parameters, the same bits on every machine.

use crate::random::{key, Stream};
use consilium_study::StudySpec;

/// Parameters from the spec's seed, in the order of the model file (tensors by name, row-major).
///
/// Biases are 0. A weight is a [normal](Stream::normal) times `√(2 ÷ inputs)` (He et al., "Delving Deep into
/// Rectifiers", ICCV 2015), in the last layer times `√(2 ÷ (inputs + outputs))` (Glorot and Bengio, AISTATS 2010);
/// computed in f64, rounded to f32 once. Every tensor has a stream of its own.
pub fn initial_parameters(spec: &StudySpec) -> Vec<f32> {
    let layers = spec.layers();
    let mut out = Vec::new();
    for (n, (inputs, outputs)) in layers.iter().enumerate() {
        // `bias` comes before `weight` by name
        out.extend(std::iter::repeat_n(0f32, *outputs));
        let name = format!("layer{n:02}.weight");
        let mut stream = Stream::new(key("consilium/init/1", &[&spec.seed.to_le_bytes(), name.as_bytes()]));
        let spread = if n + 1 == layers.len() { *inputs + *outputs } else { *inputs };
        let scale = (2.0 / spread as f64).sqrt();
        out.extend((0..inputs * outputs).map(|_| (stream.normal() * scale) as f32));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_aggregation::blob_hash;

    /// Made by `tests/golden/init.py`.
    const GOLDEN: &str = include_str!("../../tests/golden/init.json");

    #[test]
    fn initial_parameters_are_what_independent_python_gives() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let spec = StudySpec::from_canonical(include_bytes!("../../../study/tests/golden/spec.json")).unwrap();
        let parameters = initial_parameters(&spec);
        let bytes: Vec<u8> = parameters.iter().flat_map(|p| p.to_le_bytes()).collect();
        assert_eq!(hex::encode(sp_crypto_hashing::blake2_256(&bytes)), golden["blake2b_256"].as_str().unwrap());
        let file = consilium_aggregation::ModelFile { layout: spec.layout().unwrap(), duty: None, data: parameters };
        let root = blob_hash(&file.encode().unwrap());
        assert_eq!(hex::encode(root), golden["file_blake3"].as_str().unwrap());
    }
}
