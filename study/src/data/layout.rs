//! How the text of a table is written and laid out.

use serde::{Deserialize, Serialize};

/// Which characters bytes beyond ASCII stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// UTF-8; bytes that are none are an error.
    #[default]
    Utf8,
    /// A file that is no UTF-8 is Windows-1252, of which Latin-1 (ISO 8859-1) is a part; one that is UTF-8 is read as such.
    Latin1,
}

/// What stands below each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Patients: a line is a row.
    #[default]
    Rows,
    /// Features, as genes: a line is a column, and what stands first in it is the column's name.
    Columns,
}

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Bytes beyond ASCII.
    pub encoding: Encoding,
    /// Lines.
    pub orientation: Orientation,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
