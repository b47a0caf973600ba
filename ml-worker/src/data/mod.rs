//! A site's rows: read, split once for good, and turned into what the network takes.

pub mod demo;
mod prepare;
mod split;
mod table;

pub use prepare::{statistics_of, Prepared, Rows, Scaler};
pub use split::Split;
pub use table::{read_table, DataError, Table};
