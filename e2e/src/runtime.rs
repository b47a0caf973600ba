//! Runtimes for tests of an upgrade: an earlier one to found with, and one that follows it.

use crate::{bin_dir, workspace};
use anyhow::{ensure, Context, Result};
use sp_maybe_compressed_blob::{compress_weakly, decompress, CODE_BLOB_BOMB_LIMIT};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The version of transactions, as the runtime's `VERSION` has it.
const TRANSACTIONS: u8 = 2;
/// A section of this name: two texts, then the versions of authoring, of the runtime, of its implementation.
const SECTION: &[u8] = b"\x0fruntime_version$consilium$consilium\x01\0\0\0";

/// The compiled runtime that was in use before the one of now.
pub fn before() -> PathBuf {
    workspace().join("e2e/data/runtime-spec-9.wasm")
}

/// A runtime that a chain of this one can be upgraded to: the one of now if its version is higher, else `this`, but for its
/// version. It is written to `folder`, and its path given.
///
/// # Errors
/// A file cannot be read, or its version is not where [`next_version`] looks for it.
pub fn after(this: &Path, folder: &Path) -> Result<PathBuf> {
    let now = workspace().join("chain-specs/consilium-runtime.wasm");
    let code = if version(&now)? > version(this)? { fs::read(&now)? } else { next_version(&fs::read(this)?)? };
    let file = folder.join("next.wasm");
    fs::write(&file, code).with_context(|| file.display().to_string())?;
    Ok(file)
}

/// The version of a compiled runtime, as the node reads it.
fn version(file: &Path) -> Result<u64> {
    let output = Command::new(bin_dir()?.join("consilium-node")).arg("inspect-runtime").arg(file).output()?;
    ensure!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    let says: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    says["spec_version"].as_u64().context("no version")
}

/// A runtime like this one, but for its version, which is the next wherever the compiled code has it: in the section that
/// nodes read, in its data, and in what it asks of signed calls.
///
/// # Errors
/// This is no such runtime.
pub fn next_version(code: &[u8]) -> Result<Vec<u8>> {
    let mut wasm = decompress(code, CODE_BLOB_BOMB_LIMIT).context("no compiled runtime")?.into_owned();
    let at = wasm.windows(SECTION.len()).position(|bytes| bytes == SECTION).context("no section with its version")?;
    let at = at + SECTION.len();
    let version = *wasm.get(at).context("its version is cut off")?;
    ensure!((1..63).contains(&version) && wasm.get(at + 1..at + 4) == Some(&[0; 3]), "a version that cannot be raised");
    let mut raise = |bytes: &dyn Fn(u8) -> Vec<u8>| {
        let (old, new) = (bytes(version), bytes(version + 1));
        let places: Vec<usize> = (0..wasm.len()).filter(|at| wasm[*at..].starts_with(&old)).collect();
        ensure!(!places.is_empty(), "the compiled runtime does not have its version where it is looked for");
        places.into_iter().for_each(|at| wasm[at..at + new.len()].copy_from_slice(&new));
        Ok(())
    };
    // the section; then versions of authoring, of the runtime, of its implementation, of transactions, of the state
    raise(&|version| [SECTION, &[version]].concat())?;
    raise(&|version| [1, version, 1, TRANSACTIONS, 1].into_iter().flat_map(|each| [each, 0, 0, 0]).collect())?;
    // what is signed begins with the versions of the runtime and of transactions, and is written at once: `i64.const`, five bytes
    // of seven bits each, `i64.store` at the beginning of the result
    raise(&|version| vec![0x42, 0x80 | version, 0x80, 0x80, 0x80, TRANSACTIONS << 4, 0x37, 0x02, 0x00])?;
    compress_weakly(&wasm, CODE_BLOB_BOMB_LIMIT).context("it cannot be compressed")
}
