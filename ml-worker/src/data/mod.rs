//! A site's rows: read, split once for good, and turned into what the network takes.

pub mod demo;
pub mod dicom;
pub mod image;
pub mod parquet;
mod prepare;
mod split;
mod table;

pub use prepare::{all_known, own_statistics, statistics_of, Prepared, Rows, Scaler};
pub use split::Split;
pub use table::{parse_table, read_bytes, read_table, DataError, Table};
