//! Which tensors a file holds, and the one header that says so.
//!
//! Files are safetensors: eight bytes of header length (little-endian), a JSON header, then the numbers. Safetensors
//! allows many headers for the same tensors; here exactly one is valid, so that equal contents have equal hashes:
//! no blanks, `__metadata__` first if there is a duty, tensors by the bytes of their names, the keys of a tensor in the
//! order `dtype`, `shape`, `data_offsets`, and spaces at the end up to a multiple of eight bytes.

use consilium_primitives::Hash;
use serde_json::Value;
use std::fmt::Write;

/// Most tensors one file can hold.
pub const MAX_TENSORS: usize = 4096;
/// Longest name of a tensor, in bytes.
pub const MAX_NAME: usize = 128;
/// Longest header that is read, in bytes.
const MAX_HEADER: u64 = 4 << 20;
const DUTY_PREFIX: &[u8] = b"{\"__metadata__\":{\"duty\":\"";
const DUTY_HEX: usize = 64;
/// What the names of an optimiser's tensors begin with, before that of the parameter's: after all others by their bytes.
const STATE: [&str; 2] = ["~m.", "~v."];

/// One tensor: name and shape (outermost dimension first).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name: ASCII letters, digits, `.`, `_` and `-`; before it `~m.` or `~v.` where it is what a server-side optimiser
    /// remembers of the tensor of that name.
    pub name: String,
    /// Sizes, outermost dimension first.
    pub shape: Vec<usize>,
}

impl TensorShape {
    /// A tensor called `name`.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), shape: shape.into() }
    }

    /// How many numbers it holds; `None`: more than can be counted.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))
    }
}

/// Why tensors make no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There are none, or too many.
    #[error("{0} tensors: a file holds between 1 and {MAX_TENSORS}")]
    Count(usize),
    /// A name with other characters, none, or too many.
    #[error("tensor name {0:?}: use 1 to {MAX_NAME} ASCII letters, digits, '.', '_' or '-'")]
    Name(String),
    /// Two tensors of one name.
    #[error("tensor {0} is there twice")]
    Repeated(String),
    /// A tensor without numbers, or with more than can be counted.
    #[error("tensor {0} has an impossible shape {1:?}")]
    Shape(String, Vec<usize>),
}

/// Why bytes are not the file that was expected. Every one of these makes an input *invalid*: no reading error of
/// disk or network is among them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// The bytes do not name a layout.
    #[error("the header is no safetensors header: {0}")]
    Syntax(String),
    /// Wrong length.
    #[error("the file has {found} bytes, expected {expected}")]
    Length {
        /// What the layout asks for.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The header is not the canonical one for the expected tensors.
    #[error("the header differs from the canonical one at byte {at} of the file")]
    Header {
        /// First byte that differs, counted from the start of the file.
        at: usize,
    },
    /// A duty where none may be, or none where one must be, or another one.
    #[error("the file names {found:?} as its duty, expected {expected:?}")]
    Duty {
        /// What must stand there.
        expected: Option<Hash>,
        /// What stands there.
        found: Option<Hash>,
    },
    /// NaN or infinity.
    #[error("tensor {tensor} holds {value} at index {index}; only finite numbers are allowed")]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
        /// Position in it, row-major.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// A number of an update that is too large to be merged: one such number could make the merge leave the range of `f32`.
    #[error("tensor {tensor} holds {value} at index {index}; an update's numbers lie within ±2^50")]
    TooLarge {
        /// Name of the tensor.
        tensor: String,
        /// Position in it, row-major.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// Finite numbers that cannot be statistics.
    #[error("column {column}: {what}")]
    Statistics {
        /// Column, counted from 0.
        column: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Element types of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    F64,
    U32,
}

impl Dtype {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::U32 => "U32",
        }
    }

    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}

/// The tensors of a file, by the bytes of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorShape>,
    elements: usize,
}

impl Layout {
    /// A layout of these tensors, in whatever order they come.
    ///
    /// # Errors
    /// Names or shapes that no file can have.
    pub fn new(mut tensors: Vec<TensorShape>) -> Result<Self, LayoutError> {
        if tensors.is_empty() || tensors.len() > MAX_TENSORS {
            return Err(LayoutError::Count(tensors.len()));
        }
        tensors.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let mut elements = 0usize;
        for (index, tensor) in tensors.iter().enumerate() {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            let name = STATE.iter().find_map(|mark| tensor.name.strip_prefix(mark)).unwrap_or(&tensor.name);
            // `__metadata__` is the format's own key
            if name.is_empty() || name.len() > MAX_NAME || name == "__metadata__" || !name.bytes().all(plain) {
                return Err(LayoutError::Name(tensor.name.clone()));
            }
            if index > 0 && tensors[index - 1].name == tensor.name {
                return Err(LayoutError::Repeated(tensor.name.clone()));
            }
            elements = tensor
                .elements()
                .filter(|n| *n > 0)
                .and_then(|n| elements.checked_add(n))
                .filter(|n| *n <= usize::MAX / 16)
                .ok_or_else(|| LayoutError::Shape(tensor.name.clone(), tensor.shape.clone()))?;
        }
        Ok(Self { tensors, elements })
    }

    /// The layout that a model file itself declares. Whether the file is canonical is for
    /// [`ModelFile::decode`](crate::ModelFile::decode) to say.
    ///
    /// # Errors
    /// [`FileError::Syntax`] where the header cannot be read.
    pub fn declared(file: &[u8]) -> Result<Self, FileError> {
        let syntax = |why: &str| FileError::Syntax(why.to_owned());
        let (len, rest) = file.split_first_chunk::<8>().ok_or_else(|| syntax("shorter than eight bytes"))?;
        let len = u64::from_le_bytes(*len);
        if len > MAX_HEADER || len > rest.len() as u64 {
            return Err(syntax("its length goes beyond the file"));
        }
        let value: Value =
            serde_json::from_slice(&rest[..len as usize]).map_err(|e| FileError::Syntax(e.to_string()))?;
        let map = value.as_object().ok_or_else(|| syntax("not an object"))?;
        let mut tensors = Vec::new();
        for (name, entry) in map.iter().filter(|(name, _)| *name != "__metadata__") {
            let shape = entry.get("shape").and_then(Value::as_array);
            let shape: Option<Vec<usize>> =
                shape.and_then(|s| s.iter().map(|v| v.as_u64().map(|n| n as usize)).collect());
            let shape = shape.ok_or_else(|| FileError::Syntax(format!("tensor {name} has no shape")))?;
            tensors.push(TensorShape::new(name.clone(), shape));
        }
        Self::new(tensors).map_err(|e| FileError::Syntax(e.to_string()))
    }

    /// This layout, and after it what a server-side optimiser remembers: `moments` (0 to 2) numbers for each of its own.
    ///
    /// # Errors
    /// More tensors than a file can hold.
    pub fn with_state(&self, moments: u32) -> Result<Self, LayoutError> {
        let marks = STATE.iter().take(moments as usize);
        let state = marks.flat_map(|mark| {
            self.tensors.iter().map(move |t| TensorShape::new(format!("{mark}{}", t.name), t.shape.clone()))
        });
        Self::new(self.tensors.iter().cloned().chain(state).collect())
    }

    /// The layout of a merged or initial model's file of this length: this one, with or without what a server-side optimiser
    /// remembers.
    ///
    /// # Errors
    /// No such file has this length.
    pub fn merged(&self, len: u64) -> Result<Self, FileError> {
        let layouts = (0..=STATE.len() as u32).filter_map(|moments| self.with_state(moments).ok());
        let mut fitting = layouts.filter(|layout| layout.file_len(false) == len);
        fitting.next().ok_or(FileError::Length { expected: self.file_len(false), found: len })
    }

    /// The tensors, by the bytes of their names.
    pub fn tensors(&self) -> &[TensorShape] {
        &self.tensors
    }

    /// How many numbers all tensors hold together.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Each tensor with the range of its numbers in the file's data.
    pub fn ranges(&self) -> impl Iterator<Item = (&TensorShape, std::ops::Range<usize>)> {
        let mut start = 0;
        self.tensors.iter().map(move |tensor| {
            let end = start + tensor.elements().unwrap_or(0);
            let range = start..end;
            start = end;
            (tensor, range)
        })
    }

    /// Length in bytes of a model file, with or without the name of a duty in it.
    pub fn file_len(&self, with_duty: bool) -> u64 {
        let duty = with_duty.then(Hash::zero);
        self.header(Dtype::F32, duty.as_ref()).len() as u64 + self.elements as u64 * 4
    }

    /// Length prefix and header, padded so that the data begin at a multiple of eight.
    pub(crate) fn header(&self, dtype: Dtype, duty: Option<&Hash>) -> Vec<u8> {
        let mut json = String::from("{");
        if let Some(duty) = duty {
            let _ = write!(json, "\"__metadata__\":{{\"duty\":\"{}\"}},", hex(duty));
        }
        for (index, (tensor, range)) in self.ranges().enumerate() {
            let shape: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
            let _ = write!(
                json,
                "{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                if index == 0 { "" } else { "," },
                tensor.name,
                dtype.name(),
                shape.join(","),
                range.start * dtype.size(),
                range.end * dtype.size(),
            );
        }
        json.push('}');
        let padded = json.len().next_multiple_of(8);
        let mut bytes = Vec::with_capacity(padded + 8);
        bytes.extend_from_slice(&(padded as u64).to_le_bytes());
        bytes.extend_from_slice(json.as_bytes());
        bytes.resize(padded + 8, b' ');
        bytes
    }

    /// Checks length and header; gives the duty and where the data begin. `pad` brings a header without a duty to the
    /// length of one with a duty.
    pub(crate) fn open(&self, dtype: Dtype, file: &[u8], pad: bool) -> Result<(Option<Hash>, usize), FileError> {
        self.open_head(dtype, file, file.len() as u64, pad)
    }

    /// [`Layout::open`] for a file of `len` bytes, of which `file` is a beginning no shorter than its header.
    pub(crate) fn open_head(
        &self,
        dtype: Dtype,
        file: &[u8],
        len: u64,
        pad: bool,
    ) -> Result<(Option<Hash>, usize), FileError> {
        let duty = duty_of(file);
        let mut header = self.header(dtype, duty.as_ref());
        if pad && duty.is_none() {
            pad_header(&mut header, self.header(dtype, Some(&Hash::zero())).len());
        }
        let expected = header.len() as u64 + (self.elements * dtype.size()) as u64;
        if let Some(at) = header.iter().zip(file).position(|(a, b)| a != b) {
            return Err(FileError::Header { at });
        }
        if len != expected {
            return Err(FileError::Length { expected, found: len });
        }
        Ok((duty, header.len()))
    }

    /// The name and inner index of one number.
    pub(crate) fn locate(&self, index: usize) -> (String, usize) {
        self.ranges()
            .find(|(_, range)| range.contains(&index))
            .map_or((String::new(), index), |(tensor, range)| (tensor.name.clone(), index - range.start))
    }
}

/// Lengthens a header to `len` bytes with spaces.
pub(crate) fn pad_header(header: &mut Vec<u8>, len: usize) {
    header.resize(len, b' ');
    header[..8].copy_from_slice(&((len - 8) as u64).to_le_bytes());
}

fn hex(hash: &Hash) -> String {
    hash.as_bytes().iter().fold(String::with_capacity(DUTY_HEX), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The duty a file names, where it stands at its one valid place in lower-case hex.
fn duty_of(file: &[u8]) -> Option<Hash> {
    let text = file.get(8..)?.strip_prefix(DUTY_PREFIX)?.get(..DUTY_HEX)?;
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut hash = [0u8; 32];
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Hash::from(hash))
}
