//! A model of one's own: tensors that a file brings, trained by a program that the specification names by its hash.
//!
//! What is merged is written out here tensor by tensor, so that whoever holds the specification alone knows the layout and
//! the length of every update: merges and audits need neither the program nor the initial file.

use crate::{
    error::{wrong, SpecError},
    limits::MAX_PARAMETERS,
    named::{hash_of, NamedFile},
};
use consilium_aggregation::{Layout, TensorShape};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// A trainer of one's own, and the tensors of its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// The trainer's code: a tar archive, as `ml-worker trainer pack` makes it.
    pub code: NamedFile,
    /// What is merged: `"NAME 16x30"` each, as `ml-worker trainer describe` prints them. A number alone has no sizes.
    pub tensors: Vec<String>,
    /// Tensors whose names begin so stay at each site, as those of a normalisation layer may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<String>,
    /// Tensors whose names begin so never change: they are neither sent nor merged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// What becomes of tensors that are not of 32-bit floats. Left out, there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integers: Option<Integers>,
    /// BLAKE3 of the file that pins the trainer's environment; for people, who compare it with what they have installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Handed to the trainer as it stands here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Value>,
}

/// What becomes of tensors that are not of 32-bit floats, as counters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integers {
    /// Each site keeps its own.
    Local,
    /// They stay as the initial file has them.
    Frozen,
}

/// What becomes of one tensor of the initial file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is sent, and merged.
    Merged,
    /// It is trained, and stays at the site.
    Local,
    /// It stays as it is.
    Frozen,
}

impl External {
    /// The role that a name and its element type ask for.
    ///
    /// # Errors
    /// Two roles at once; no floats, and nothing is said of such tensors.
    pub fn role(&self, name: &str, floats: bool) -> Result<Role, SpecError> {
        let any = |prefixes: &[String]| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        match (any(&self.frozen), any(&self.local), floats, self.integers) {
            (true, true, ..) => {
                Err(wrong("model.external", format!("tensor {name} is named by `local` and by `frozen`; keep one")))
            }
            (true, ..) => Ok(Role::Frozen),
            (_, true, ..) => Ok(Role::Local),
            (_, _, true, _) => Ok(Role::Merged),
            (_, _, false, Some(Integers::Local)) => Ok(Role::Local),
            (_, _, false, Some(Integers::Frozen)) => Ok(Role::Frozen),
            (_, _, false, None) => Err(wrong(
                "model.external.integers",
                format!(
                    "tensor {name} is not of 32-bit floats and cannot be merged: set \"local\" (each site keeps its own) or \
                     \"frozen\" (it never changes)"
                ),
            )),
        }
    }

    /// The merged tensors.
    ///
    /// # Errors
    /// A line that names none, or what no file can hold.
    pub fn layout(&self) -> Result<Layout, SpecError> {
        let tensors = self.tensors.iter().map(|line| tensor(line)).collect::<Result<_, _>>()?;
        Layout::new(tensors).map_err(|error| wrong("model.external.tensors", error.to_string()))
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        self.code.check("model.external.code")?;
        if let Some(lock) = &self.lock {
            hash_of("model.external.lock", lock)?;
        }
        for (field, names) in [("local", &self.local), ("frozen", &self.frozen)] {
            if names.iter().any(String::is_empty) {
                return Err(wrong(
                    format!("model.external.{field}"),
                    "an empty name stands for all tensors; name some",
                ));
            }
        }
        let layout = self.layout()?;
        if layout.elements() as u64 > MAX_PARAMETERS {
            return Err(wrong(
                "model.external.tensors",
                format!("{} parameters; at most {MAX_PARAMETERS} are possible", layout.elements()),
            ));
        }
        for tensor in layout.tensors() {
            if self.role(&tensor.name, true)? != Role::Merged {
                let problem = format!("tensor {} is named by `local` or `frozen`, and is not merged", tensor.name);
                return Err(wrong("model.external.tensors", problem));
            }
        }
        Ok(())
    }
}

/// How a tensor is written down.
pub fn tensor_line(name: &str, shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if sizes.is_empty() {
        name.to_owned()
    } else {
        format!("{name} {}", sizes.join("x"))
    }
}

/// The tensor of such a line: one line for one tensor.
fn tensor(line: &str) -> Result<TensorShape, SpecError> {
    let (name, sizes) = line.split_once(' ').map_or((line, None), |(name, sizes)| (name, Some(sizes)));
    let shape: Option<Vec<usize>> =
        sizes.map_or(Some(Vec::new()), |sizes| sizes.split('x').map(|size| size.parse().ok()).collect());
    match shape {
        Some(shape) if shape.len() <= MAX_RANK && tensor_line(name, &shape) == line => {
            Ok(TensorShape::new(name, shape))
        }
        _ => Err(wrong("model.external.tensors", format!("{line:?} is no tensor: write \"NAME 16x30\""))),
    }
}
