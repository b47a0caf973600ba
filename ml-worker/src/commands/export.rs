//! `ml-worker export`: a model as a file for other programs.

use super::say;
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_ml_worker::{
    data::{columns_in, Header},
    desk::Bundle,
    onnx,
    site::write_whole,
};
use consilium_study::DataSpec;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Export {
    /// Folder of the model, which `train` or `pack` has written
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// File to write to, which must not be there yet
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
    /// A table of the study, of which only the names of columns are read: for a study that counts its features in place of
    /// naming them (data.features.others), so that the file names them
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

pub fn export(arguments: &Export) -> Result<()> {
    if arguments.onnx.exists() {
        bail!("{} is there already, and is not overwritten: name a new file with --onnx", arguments.onnx.display());
    }
    let bundle = Bundle::read(&arguments.model)?;
    let names = match &arguments.data {
        Some(path) => others(path, &bundle.spec.data)?,
        None => None,
    };
    let bytes = onnx::export(&bundle, names.as_deref()).with_context(|| arguments.model.display().to_string())?;
    // means and deviations of patients' values are in it, as they are in the model's folder
    write_whole(&arguments.onnx, &bytes, 0o600)
        .with_context(|| format!("cannot write {}", arguments.onnx.display()))?;
    say(format_args!(
        "{}: the model as ONNX, operator set {}; what goes in and comes out stands in its metadata (docs/packages.md)\n",
        arguments.onnx.display(),
        onnx::OPERATORS
    ))?;
    if bundle.spec.data.features.others.is_some() && names.is_none() {
        say("note: the study counts its features and does not name them: with --data TABLE the file says their names, in order\n")?;
    }
    Ok(())
}

/// Names of the features that a study does not name, as they stand in a table; none where it names all.
fn others(path: &Path, spec: &DataSpec) -> Result<Option<Vec<String>>> {
    let Some(others) = &spec.features.others else { return Ok(None) };
    let mut named = spec.label_columns();
    named.extend(spec.categorical.iter().map(|c| c.column.as_str()));
    // columns that need not be there
    let ignore = others.ignore.iter().chain(&spec.id).chain(&spec.group).cloned().collect();
    let Header { rest, .. } = columns_in(path, spec.layout(), &named, ignore)?;
    Ok(Some(rest))
}
