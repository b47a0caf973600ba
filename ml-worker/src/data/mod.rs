//! A site's rows: read, split once for good, and turned into what the network takes.
//!
//! Rooms, each of which uses those before it:
//! * [`error`]: why data cannot be used;
//! * [`text`]: a text's records, cells and numbers; [`parquet`]: a Parquet file's columns;
//! * [`pictures`]: pictures that a table names, DICOM among them;
//! * [`table`]: from a file's bytes to a [`Table`], whose values lie in memory or in a working copy;
//! * [`rows`]: from a table to [`Rows`] of the network: split, transform, scale;
//! * [`preflight()`]: what a site's people learn of their file before;
//! * [`survey()`]: what its columns hold, for whoever writes a study file;
//! * [`Pool`]: one table of all sites' rows, shared out; [`demo`]: the demo's data.

pub mod demo;
mod error;
pub mod parquet;
mod pictures;
mod pool;
mod preflight;
mod rows;
mod survey;
mod table;
mod text;

pub use error::{too_many_files, DataError};
pub use pictures::{dicom, image, survey::Survey};
pub use pool::{Draw, Partition, Pool};
pub use preflight::{
    look::{Absent, Count, Look},
    preflight, preflight_masked, Part, Problem, Report,
};
pub use rows::{
    exact::exact_statistics_of,
    prepare::{all_known, numeric_column, withheld, Prepared},
    scale::{apart, far_from_common, own_statistics, statistics_of, Apart, Preprocessing, Scaler},
    split::Split,
    target::{shared_columns, Target},
    Rows,
};
pub use survey::{survey, Holds, Surveyed, TableSurvey};
pub use table::{
    cells::Make,
    columns, columns_in,
    copy::purge,
    hash_data,
    header::Header,
    read_file, read_table, read_unlabelled,
    source::{hash_file, Reading},
    texts::{read_names, read_texts},
    Read, Table, UNKNOWN,
};
