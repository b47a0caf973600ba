//! `ml-worker inspect`: a network in words.

use super::{given::read_study, say};
use anyhow::{bail, Result};
use clap::Args;
use consilium_ml_worker::{
    desk::{self, Bundle},
    learn::Net,
};
use consilium_study::{tensor_line, StudySpec};
use std::{fmt::Write, path::PathBuf};

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Inspect {
    /// Study file
    #[arg(long, value_name = "FILE")]
    study: Option<PathBuf>,
    /// Folder of a model
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

impl Inspect {
    pub fn print(&self) -> Result<()> {
        let (spec, bundle) = match (&self.study, &self.model) {
            (Some(study), _) => (read_study(study)?.spec(), None),
            (None, Some(folder)) => {
                let bundle = Bundle::read(folder)?;
                (bundle.spec.clone(), Some(bundle))
            }
            (None, None) => bail!("name a study or a model"),
        };
        say(describe(&spec, bundle.as_ref())?)
    }
}

/// A network in words: layers, tensors, memory.
fn describe(spec: &StudySpec, bundle: Option<&Bundle>) -> Result<String> {
    if spec.model.external().is_some() {
        return own_model(spec);
    }
    let net = Net::new(spec.architecture()?)?;
    let architecture = net.architecture();
    let mut out = String::new();
    writeln!(out, "{}", spec.title)?;
    writeln!(out, "specification {}", hex::encode(spec.hash()?))?;
    writeln!(out, "network       {}", hex::encode(architecture.hash()))?;
    writeln!(out, "input {:?}, {} outputs", architecture.input, architecture.outputs)?;
    for line in desk::layers(architecture) {
        writeln!(out, "  {line}")?;
    }
    // a private study says how many steps there are, and coins say how many rows each has
    let batch = spec.training.batch_size.max(1);
    let mib = |numbers: u64| numbers as f64 * 4.0 / f64::from(1 << 20);
    writeln!(
        out,
        "{} parameters ({:.1} MiB); a step of {batch} rows keeps up to {:.0} MiB of what layers give",
        architecture.parameters(),
        mib(architecture.parameters()),
        mib(architecture.activations(batch as usize))
    )?;
    if let Some(bundle) = bundle {
        writeln!(out, "made: {}", serde_json::to_string(&bundle.made)?)?;
        writeln!(out, "tensor                size  mean size of a number")?;
        for (tensor, range) in net.tensors() {
            let numbers = &bundle.parameters[range];
            let mean = numbers.iter().map(|w| f64::from(w.abs())).sum::<f64>() / numbers.len() as f64;
            writeln!(out, "{:<16}{:>10}  {mean:.6}", tensor.name, numbers.len())?;
        }
    }
    Ok(out)
}

/// A model of one's own: what is merged of it.
fn own_model(spec: &StudySpec) -> Result<String> {
    let layout = spec.layout()?;
    let mut out = String::new();
    writeln!(out, "{}", spec.title)?;
    writeln!(out, "specification {}", hex::encode(spec.hash()?))?;
    writeln!(out, "a model of its own: {} merged parameters in {} tensors", layout.elements(), layout.tensors().len())?;
    for tensor in layout.tensors() {
        writeln!(out, "  {}", tensor_line(&tensor.name, &tensor.shape))?;
    }
    Ok(out)
}
