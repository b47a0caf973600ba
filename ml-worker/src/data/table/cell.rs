//! One cell as a file gives it, what can be wrong with it, and what becomes of rows where something is.

use std::borrow::Cow;

/// A cell as a file gives it.
#[derive(Clone, Copy)]
pub(in crate::data) enum Cell<'a> {
    /// A text that is to be read.
    Text(&'a [u8]),
    /// A number already, NaN where it is missing: from files that know kinds of columns.
    Number(f64),
    /// Likewise a truth value, 1 or 0.
    Truth(f64),
}

impl<'a> Cell<'a> {
    /// Its bytes without the blanks around them.
    pub fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(bytes) => Cow::Borrowed(bytes.trim_ascii()),
            Self::Number(number) | Self::Truth(number) if number.is_nan() => Cow::Borrowed(&[]),
            Self::Number(number) | Self::Truth(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }

    /// A truth value's word.
    pub fn truth(self) -> Option<&'static str> {
        match self {
            Self::Truth(number) if !number.is_nan() => Some(if number == 0.0 { "false" } else { "true" }),
            Self::Truth(_) | Self::Text(_) | Self::Number(_) => None,
        }
    }
}

/// What is wrong with a cell, or a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::data) enum What {
    /// Another number of cells than the header has.
    Cells(usize),
    NotUtf8,
    NotNumber,
    Thousands,
    /// Another decimal mark than the study or the kind of file has.
    Decimal,
    NotFinite,
    Missing,
    Log1p,
    Level,
    Label,
    /// No outcome.
    Outcome,
    /// A time below 0.
    Negative,
    Group,
    Picture,
    /// The other decimal mark than the file's first.
    Mark,
    /// Decimals or thousands, of numbers with a comma.
    Doubtful,
    /// The same of numbers with a point.
    Point,
    /// Not one cell has anything in it.
    Blank,
}

/// What becomes of rows that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Mode {
    /// The first one ends it.
    First,
    /// They are left out.
    Skip,
    /// They are left out, and everything that is wrong with them is noted.
    All,
    /// For prediction: the first one ends it, no row is left out for whatever reason, and labels and groups are not read.
    Predict,
    /// The same of one column of texts, of which any may be empty.
    Texts,
}

impl Mode {
    /// Whether labels and groups are read.
    pub fn labelled(self) -> bool {
        !matches!(self, Self::Predict | Self::Texts)
    }

    /// Whether the first row that cannot be read ends it.
    pub fn ends(self) -> bool {
        matches!(self, Self::First | Self::Predict | Self::Texts)
    }
}
