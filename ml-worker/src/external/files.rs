//! The files of a trainer's folder: rows and models for it to read, what it writes.

use super::ExternalError;
use crate::data::{Rows, UNKNOWN};
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Writes bytes for a trainer to read: whole or not at all. What a power cut takes of them is written anew.
pub(super) fn put_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, bytes)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o644))?;
    fs::rename(&unfinished, path)
}

/// The same of tensors.
fn put(path: &Path, tensors: Vec<(&str, TensorView<'_>)>) -> Result<(), ExternalError> {
    let unfinished = path.with_extension("tmp");
    safetensors::serialize_to_file(tensors, None, &unfinished)
        .map_err(|error| ExternalError::Failed(format!("cannot write {}: {error}", unfinished.display())))?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o644))?;
    Ok(fs::rename(&unfinished, path)?)
}

fn view(dtype: Dtype, shape: Vec<usize>, bytes: &[u8]) -> Result<TensorView<'_>, ExternalError> {
    TensorView::new(dtype, shape, bytes)
        .map_err(|error| ExternalError::Failed(format!("a tensor cannot be written: {error}")))
}

/// The bytes of numbers, as files hold them.
pub(super) fn bytes_of(numbers: &[f32]) -> &[u8] {
    const { assert!(cfg!(target_endian = "little"), "files hold numbers as this machine does") }
    bytemuck::cast_slice(numbers)
}

/// Writes rows: `x` of 32-bit floats, a row of the study's shape each, and `y` of 64-bit integers, one a row or one a label; -1 of a
/// label that is not known.
pub(super) fn put_rows(path: &Path, rows: &Rows, input: &[usize]) -> Result<(), ExternalError> {
    let features = rows.features()?;
    let labels: Vec<u8> = rows.labels().iter().flat_map(|label| written(*label).to_le_bytes()).collect();
    let count = rows.len();
    let per_row = rows.labels().len().checked_div(count).unwrap_or(1);
    let x = view(Dtype::F32, [&[count], input].concat(), bytes_of(&features))?;
    let y = view(Dtype::I64, if per_row == 1 { vec![count] } else { vec![count, per_row] }, &labels)?;
    put(path, vec![("x", x), ("y", y)])
}

/// A label as a trainer is told it.
fn written(label: u32) -> i64 {
    match label {
        UNKNOWN => -1,
        label => i64::from(label),
    }
}

/// A tensor's name, element type, shape and bytes.
pub(super) type Raw<'a> = (&'a str, Dtype, &'a [usize], &'a [u8]);
/// The same, kept.
pub(super) type Kept = (String, Dtype, Vec<usize>, Vec<u8>);

/// What was kept.
pub(super) fn raw((name, dtype, shape, bytes): &Kept) -> Raw<'_> {
    (name, *dtype, shape, bytes)
}

/// Writes tensors.
pub(super) fn put_tensors(path: &Path, tensors: &[Raw<'_>]) -> Result<(), ExternalError> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| Ok((*name, view(*dtype, shape.to_vec(), bytes)?)));
    put(path, views.collect::<Result<_, ExternalError>>()?)
}

/// Reads a file that a trainer wrote, or may have put something else in the place of: a file of at most so many bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, ExternalError> {
    let schema = |problem: String| ExternalError::Schema(format!("the trainer's {}: {problem}", path.display()));
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(schema("is not there".into())),
        Err(error) => return Err(schema(format!("cannot be read: {error}"))),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(schema("is no file".into()));
    }
    // what grows as it is read is copied again and again
    let mut bytes = Vec::with_capacity(metadata.len().min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(schema(format!("has more than the {most} bytes that its tensors can come to")));
    }
    Ok(bytes)
}

/// The tensors of a file, each exactly as expected: name, element type, shape.
pub(super) fn expect<'a>(
    what: &str,
    bytes: &'a [u8],
    expected: &[(&str, Dtype, Vec<usize>)],
) -> Result<Vec<&'a [u8]>, ExternalError> {
    let schema = |problem: String| ExternalError::Schema(format!("the trainer's {what}: {problem}"));
    let file = SafeTensors::deserialize(bytes).map_err(|error| schema(format!("is no safetensors file: {error}")))?;
    if let Some(name) = file.names().into_iter().find(|name| !expected.iter().any(|(known, ..)| known == name)) {
        let name: String = name.chars().take(128).collect();
        return Err(schema(format!("tensor {name:?} is none of those asked for")));
    }
    let mut found = Vec::new();
    for (name, dtype, shape) in expected {
        let tensor = file.tensor(name).map_err(|_| schema(format!("tensor {name} {shape:?} is missing")))?;
        if tensor.dtype() != *dtype || tensor.shape() != *shape {
            return Err(schema(format!(
                "tensor {name} is {:?} {:?}, expected {dtype:?} {shape:?}",
                tensor.dtype(),
                tensor.shape()
            )));
        }
        found.push(tensor.data());
    }
    Ok(found)
}

/// Numbers from a file's bytes.
pub(super) fn numbers(bytes: &[u8], out: &mut Vec<f32>) {
    out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
}
