//! What a study needs beside its file at a desk: the file that it begins with, and its own trainer.

use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_ml_worker::{
    desk::{Bundle, LOCAL},
    external::{pack, Engine, Trainer},
    scratch::Scratch,
    site::TrainerSettings,
};
use consilium_study::StudySpec;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Args)]
pub struct Means {
    /// The file that the study begins with, where it names one (initial)
    #[arg(long, value_name = "FILE")]
    initial: Option<PathBuf>,
    /// What sites.toml has under [study.trainer], in a file of its own, for a study that brings its own trainer
    #[arg(long, value_name = "TOML", requires_all = ["initial", "code"])]
    trainer: Option<PathBuf>,
    /// The trainer's code: its folder, or the archive that `trainer pack` made of it
    #[arg(long, value_name = "DIR|TAR", requires = "trainer")]
    code: Option<PathBuf>,
    /// Number of the GPU that the trainer sees, as in sites.toml; left out, none
    #[arg(long, value_name = "NUMBER", requires = "trainer")]
    gpu: Option<usize>,
}

/// The code of a trainer as an archive.
pub fn code_of(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        return pack(path);
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// An engine, and the folder that it works in, which goes when it does.
pub struct Ready {
    pub engine: Engine,
    _scratch: Option<Scratch>,
}

impl Means {
    /// What computes for this study.
    pub fn ready(&self, spec: &StudySpec) -> Result<Ready> {
        let initial = match &self.initial {
            Some(path) => Some(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?),
            None => None,
        };
        let engine = |trainer| Engine { initial: initial.clone().map(Arc::new), trainer, at_sites: None };
        if spec.model.external().is_none() {
            if self.trainer.is_some() {
                bail!("--trainer: this study brings no trainer of its own (model.external)");
            }
            return Ok(Ready { engine: engine(None), _scratch: None });
        }
        let (Some(settings), Some(code), Some(bytes)) = (&self.trainer, &self.code, &initial) else {
            bail!(
                "this study is trained by a program of its own: give --initial FILE, --trainer TOML and --code DIR \
                 (docs/external.md)"
            );
        };
        let settings = TrainerSettings::read(settings)?;
        let scratch = Scratch::new()?;
        let (code, folder) = (code_of(code)?, scratch.path().join("trainer"));
        let trainer = Trainer::new(spec, &folder, (&settings, self.gpu), (&code, bytes))?;
        Ok(Ready { engine: engine(Some(Arc::new(trainer))), _scratch: Some(scratch) })
    }

    /// Gives a model what computes with it.
    pub fn equip(&self, bundle: &mut Bundle, folder: &Path) -> Result<Option<Ready>> {
        if bundle.spec.model.external().is_none() {
            return Ok(None);
        }
        let ready = self.ready(&bundle.spec)?;
        let kept = folder.join(LOCAL);
        if let Some(trainer) = ready.engine.trainer.as_ref().filter(|_| kept.exists()) {
            trainer.keep(&fs::read(&kept).with_context(|| format!("cannot read {}", kept.display()))?)?;
        }
        bundle.engine = ready.engine.clone();
        Ok(Some(ready))
    }
}
