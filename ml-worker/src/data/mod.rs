//! A site's rows: read, split once for good, and turned into what the network takes.
//!
//! * `source`, `reading`, `pieces`, `header`, `record`, `number`: from a file's bytes to a [`Table`];
//! * `columnar`, `parquet`: the same from a Parquet file; `pictures`, `image`, `dicom`: pictures that a table names;
//! * `sink`, `cells`, `copy`: where its values lie;
//! * `split`, `scale`, `prepare`, `rows`: from a table to [`Rows`] of the network;
//! * `preflight`, `look`, `words`: what a site's people learn of their file before.

mod cells;
mod columnar;
mod copy;
pub mod demo;
pub mod dicom;
mod error;
mod header;
pub mod image;
mod look;
mod number;
pub mod parquet;
mod pictures;
mod pieces;
mod preflight;
mod prepare;
mod reading;
mod record;
mod rows;
mod scale;
mod sink;
mod source;
mod split;
mod survey;
mod table;
mod words;

pub use copy::purge;
pub use error::DataError;
pub use header::Header;
pub use look::{Count, Look};
pub use preflight::{preflight, Part, Problem, Report};
pub use prepare::{all_known, Prepared};
pub use rows::{Make, Rows};
pub use scale::{own_statistics, statistics_of, Preprocessing, Scaler};
pub use source::{hash_file, Reading};
pub use split::Split;
pub use survey::Survey;
pub use table::{columns, hash_data, read_file, read_table, read_unlabelled, Read, Table};
