//! The chain specification of one run.

use crate::{process::output, programs::random};
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// Reads a raw chain specification, or lets the node make that of its local testnet.
///
/// # Errors
/// It cannot be read or made, or is not raw.
pub async fn load(node: &Path, given: Option<&Path>) -> Result<Value> {
    let (bytes, from) = match given {
        Some(file) => {
            let shown = file.display().to_string();
            (fs::read(file).with_context(|| format!("cannot read the chain specification {shown}"))?, shown)
        }
        None => (export(node).await?, node.display().to_string()),
    };
    let spec: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{from}: the chain specification is no JSON"))?;
    if !spec["genesis"]["raw"].is_object() {
        bail!("{from}: a raw chain specification is needed; `consilium-node export-chain-spec --raw` makes one");
    }
    Ok(spec)
}

/// Writes a chain specification under a fork id of its own: two networks on one machine have the same genesis, and must
/// not meet.
///
/// # Errors
/// The file cannot be written.
pub fn write(spec: &Value, to: &Path) -> Result<()> {
    let mut spec = spec.clone();
    spec["forkId"] = format!("localnet-{}", hex::encode(random::<8>()?)).into();
    fs::write(to, serde_json::to_vec(&spec)?).with_context(|| format!("cannot write {}", to.display()))
}

async fn export(node: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(node);
    command.args(["export-chain-spec", "--chain", "local", "--raw"]);
    let output = output(command).await.with_context(|| format!("cannot start {}", node.display()))?;
    if !output.status.success() {
        bail!(
            "{} export-chain-spec failed ({}): {}",
            node.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
