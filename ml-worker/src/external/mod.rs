//! A study's model that a program of its own trains: `model.external`.
//!
//! The specification names the program's code by hash, `sites.toml` names the same hash and the command that this site allows:
//! both must. The program reads the files of a folder of its own, and writes an update or logits; split, scaling, loss, figures
//! and certificates stay here. docs/external.md says what it is told and what it answers, and how it is held.

mod code;
mod confine;
mod engine;
mod files;
mod guard;
mod process;
mod roots;
mod trainer;
mod watch;

pub use code::{pack, unpack};
pub use engine::{Engine, Step};
pub use trainer::Trainer;

use crate::data::Rows;
use consilium_primitives::FailureCode;
use std::io;

/// Why a trainer gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The site does not allow it, or cannot hold it as it asks.
    #[error("{0}")]
    Refused(String),
    /// Numbers that are no numbers.
    #[error("{0}")]
    NotFinite(String),
    /// Tensors that are not those asked for.
    #[error("{0}")]
    Schema(String),
    /// It took more memory than it may.
    #[error("{0}")]
    Memory(String),
    /// It ended, took too long, or says that it cannot do it.
    #[error("{0}")]
    Failed(String),
    /// It was asked to stop.
    #[error("the trainer was asked to stop")]
    Halted,
    /// Its folder.
    #[error("the trainer's folder: {0}")]
    Io(#[from] io::Error),
}

impl ExternalError {
    /// What others learn of it.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Refused(_) => FailureCode::Refused,
            Self::NotFinite(_) => FailureCode::NotFinite,
            Self::Schema(_) => FailureCode::SchemaMismatch,
            Self::Memory(_) => FailureCode::OutOfMemory,
            Self::Io(error) if error.kind() == io::ErrorKind::StorageFull => FailureCode::OutOfDisk,
            Self::Failed(_) | Self::Halted | Self::Io(_) => FailureCode::Internal,
        }
    }
}

/// What a trainer made of a round's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Parameters that are merged, in the order of the model file.
    pub parameters: Vec<f32>,
    /// Mean loss of the last epoch, as the trainer counts it; not a number where it says none.
    pub loss: f64,
}

/// A round's rows for a trainer, by a name under which they stay written.
pub struct RoundRows<'a> {
    /// Tells these rows from all others of the study.
    pub name: &'a str,
    /// Rows to learn from.
    pub training: &'a Rows,
    /// Rows to stop early by.
    pub validation: &'a Rows,
}
