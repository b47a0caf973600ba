//! What the program's commands do.

pub mod apart;
pub mod compare;
pub mod desk;
mod evaluate;
mod export;
pub mod given;
mod inspect;
mod means;
pub mod memory;
pub mod own_arm;
mod pack;
mod predict;
pub mod seeds;
mod shown;
mod survey;
pub mod trainer;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    fmt::Display,
    io::{self, Write},
};

/// Prints. All commands print through this: where the reader has gone away (`ml-worker inspect … | head`) it is an error of
/// the kind [`io::ErrorKind::BrokenPipe`], which ends the program without a word, and `println!` would be a panic.
pub fn say(what: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{what}")?;
    Ok(out.flush()?)
}

/// A value by the name that it has in study files.
///
/// # Errors
/// There is none of this name.
pub fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|error| error.to_string())
}

/// Whether an error only says that nobody reads any more.
pub fn nobody_reads(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}
