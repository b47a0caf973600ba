//! The one text of a specification that counts: JSON with sorted keys, no blanks, shortest round-trip numbers.

use crate::{error::SpecError, spec::StudySpec};
use consilium_primitives::{rules::MAX_SPEC_LEN, Hash};
use serde_json::Value;
use std::fmt::Write;

/// Why bytes are no canonical specification.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CanonicalError {
    /// Not JSON, or not of this form.
    #[error("the specification cannot be read: {0}")]
    Syntax(String),
    /// The numbers make no sense.
    #[error("the specification is refused: {0}")]
    Spec(#[from] SpecError),
    /// Another text of the same specification.
    #[error("the specification is not in canonical form: its bytes differ from byte {at} on")]
    NotCanonical {
        /// First byte that differs.
        at: usize,
    },
    /// Longer than the chain takes.
    #[error("the specification has {0} bytes; at most {MAX_SPEC_LEN} are allowed (shorten the description, or the names of the columns)")]
    TooLong(usize),
}

impl StudySpec {
    /// The canonical bytes.
    ///
    /// # Errors
    /// A specification that [`check`](StudySpec::check) refuses, or that is too long.
    pub fn canonical(&self) -> Result<Vec<u8>, CanonicalError> {
        self.check()?;
        let value = serde_json::to_value(self).map_err(|e| CanonicalError::Syntax(e.to_string()))?;
        let mut text = String::new();
        write(&value, &mut text);
        if text.len() > MAX_SPEC_LEN as usize {
            return Err(CanonicalError::TooLong(text.len()));
        }
        Ok(text.into_bytes())
    }

    /// Reads canonical bytes, and refuses all others.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        if bytes.len() > MAX_SPEC_LEN as usize {
            return Err(CanonicalError::TooLong(bytes.len()));
        }
        let spec: Self = serde_json::from_slice(bytes).map_err(|e| CanonicalError::Syntax(e.to_string()))?;
        let canonical = spec.canonical()?;
        if canonical == bytes {
            return Ok(spec);
        }
        let at = canonical.iter().zip(bytes).position(|(a, b)| a != b);
        Err(CanonicalError::NotCanonical { at: at.unwrap_or(canonical.len().min(bytes.len())) })
    }

    /// BLAKE2b-256 of the canonical bytes: how the chain names the specification.
    ///
    /// # Errors
    /// As [`canonical`](Self::canonical).
    pub fn hash(&self) -> Result<Hash, CanonicalError> {
        Ok(Hash::from(sp_crypto_hashing::blake2_256(&self.canonical()?)))
    }
}

/// Writes a value with the keys of every object sorted by their bytes. Done here, since whether a JSON map sorts its
/// keys depends on a feature that any other crate in a build can switch.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (n, key) in keys.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                write(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Numbers as docs/study-file.md says they are written, by `tests/golden/canonical.py`, which has its own writer.
    #[test]
    fn numbers_are_written_as_the_documentation_says() {
        let golden: Vec<(String, String)> =
            serde_json::from_str(include_str!("../tests/golden/canonical.json")).unwrap();
        assert!(golden.len() >= 300);
        for (bits, wanted) in golden {
            let number = f64::from_bits(u64::from_str_radix(&bits, 16).unwrap());
            let mut text = String::new();
            write(&Value::from(number), &mut text);
            assert_eq!(text, wanted);
        }
        let mut text = String::new();
        write(&serde_json::json!({ "b": [1, 0.5, "ä\n"], "a": {}, "Z": true }), &mut text);
        assert_eq!(text, "{\"Z\":true,\"a\":{},\"b\":[1,0.5,\"ä\\n\"]}");
    }
}
