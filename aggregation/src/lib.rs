//! Merge rules as pure functions, and the files they read and write. Bit-exact on every CPU and thread count; an
//! auditor can rebuild every merge with this crate alone.
//!
//! * [`layout`]: which tensors a file holds, and how long it therefore is.
//! * [`model`]: model files: updates and merged models.
//! * [`rules`]: merge rules on numbers in memory.
//! * [`files`]: merging files in one pass, and how near updates are to their merge and to each other.
//! * [`masked`]: updates and statistics that are summed under masks, so that nobody sees a single one.
//! * [`statistics`]: count, mean and squared deviations of each column, and how sites' parts become one.
//! * [`blob`]: what a blob is called.
//!
//! Only `+ − × ÷ √` of IEEE 754 are used, never `mul_add` and never a math library, so that no platform can round
//! differently.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod blob;
pub mod files;
pub mod layout;
pub mod masked;
pub mod model;
pub mod rules;
pub mod statistics;

pub use blob::{blob_hash, hash_file};
pub use files::{compare_files, merge_files, verify_update, FileMerge, FilesError, InputFile, Similarity, ALIKE};
pub use layout::{FileError, Layout, LayoutError, TensorShape};
pub use model::ModelFile;
pub use rules::{merge, Fate, Gram, MergeError, Merged, Plan, Server};
pub use statistics::{RowStatistics, Statistics, StatisticsError, MIN_ROWS};
