//! Texts: cut into records and cells, and cells read as numbers.

pub mod number;
pub mod pieces;
