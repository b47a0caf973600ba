//! Texts: cut into records and cells, and cells read as numbers.

pub mod number;
pub mod pieces;
pub(in crate::data) mod whole;
pub(in crate::data) mod workbook;

/// What is said of a quotation mark that is astray.
pub(in crate::data) const STRAY: &str =
    "has a cell that begins with a quotation mark which is not closed where the cell ends, so that rows would \
                     be joined or lost; take the mark out, or close the cell and write marks within it twice";
