//! A model with everything that is needed to use it.

use crate::{
    data::{all_known, Preprocessing, Scaler},
    site::write_whole,
};
use anyhow::{bail, Context, Result};
use consilium_aggregation::{blob_hash, ModelFile, Statistics};
use consilium_study::{Scaling, StudySpec};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

const MODEL: &str = "model.safetensors";
const REST: &str = "model.json";

/// A model, the agreement it was trained by, and how rows become its input. On disk: a folder with `model.safetensors` (the
/// parameters, which any reader of such files opens) and `model.json` (the rest).
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The agreement.
    pub spec: StudySpec,
    /// From a table, or pictures, to the network's rows.
    pub preprocessing: Preprocessing,
    /// Parameters, in the order of the model file.
    pub parameters: Vec<f32>,
    /// Cuts chosen on validation rows, one per output.
    pub cuts: Vec<Option<f64>>,
    /// Where it comes from.
    pub made: Made,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Made {
    /// Trained at a desk on the rows of one site.
    Desk {
        /// Rows it was trained on.
        training_rows: usize,
        /// Rounds of the study's training.
        rounds: u32,
    },
    /// A study's merged model.
    Study {
        /// BLAKE3 of its file.
        root: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    /// The specification in canonical form.
    spec: String,
    scaler: Scaler,
    cuts: Vec<Option<f64>>,
    made: Made,
    /// BLAKE3 of `model.safetensors`.
    model: String,
}

impl Bundle {
    /// The model of a study, from its files.
    ///
    /// # Errors
    /// Files of another study; a study whose rows are scaled at each site by the site's own numbers, which no one model can
    /// bring along.
    pub fn of_study(spec: &[u8], model: &[u8], statistics: Option<&[u8]>) -> Result<Self> {
        let spec = StudySpec::from_canonical(spec)?;
        let parameters = ModelFile::decode_merged(model, &spec.layout()?).context("the model")?.data;
        let scaler = match (spec.data.scaling, statistics) {
            (Scaling::Swarm, Some(bytes)) => {
                let statistics = Statistics::decode(bytes, spec.data.numeric(), None).context("the statistics")?;
                all_known(&statistics, &spec)?;
                Scaler::standard(&statistics)
            }
            (Scaling::Swarm, None) => bail!("this study scales by the swarm's statistics: name their file"),
            (_, Some(_)) => bail!("this study has no statistics"),
            (Scaling::Site, None) => bail!(
                "this study scales each site's rows by the site's own training rows: use the model where these are, or \
                 set data.scaling to \"swarm\" in the next study"
            ),
            (Scaling::Transductive, None) => Scaler::transductive(),
            // nothing is scaled; where values may be missing, what stands in for them is the site's own affair
            (Scaling::None, None) => {
                let width = spec.data.numeric();
                let nothing = Statistics { count: vec![0.0; width], mean: vec![0.0; width], m2: vec![0.0; width] };
                Scaler::identity(&nothing)
            }
        };
        let made = Made::Study { root: hex::encode(blob_hash(model)) };
        let preprocessing = Preprocessing { spec: spec.data.clone(), scaler };
        Ok(Self { spec, preprocessing, parameters, cuts: Vec::new(), made })
    }

    /// Writes the folder, for this user alone: means and deviations of patients' values are in it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = ModelFile { layout: self.spec.layout()?, duty: None, data: self.parameters.clone() }.encode()?;
        let rest = Rest {
            spec: String::from_utf8(self.spec.canonical()?)?,
            scaler: self.preprocessing.scaler.clone(),
            cuts: self.cuts.clone(),
            made: self.made.clone(),
            model: hex::encode(blob_hash(&file)),
        };
        for (name, bytes) in [(MODEL, file), (REST, serde_json::to_vec_pretty(&rest)?)] {
            let path = folder.join(name);
            write_whole(&path, &bytes, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// It is no such folder, or its two files are not of one model.
    pub fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (model, rest) = (read(MODEL)?, read(REST)?);
        let at = || folder.join(REST).display().to_string();
        let rest: Rest = serde_json::from_slice(&rest).with_context(at)?;
        if rest.model != hex::encode(blob_hash(&model)) {
            bail!("{}: {MODEL} is not the model that {REST} was written with", folder.display());
        }
        let spec = StudySpec::from_canonical(rest.spec.as_bytes()).with_context(at)?;
        let parameters = ModelFile::decode_merged(&model, &spec.layout()?).context(MODEL)?.data;
        let preprocessing = Preprocessing { spec: spec.data.clone(), scaler: rest.scaler };
        Ok(Self { spec, preprocessing, parameters, cuts: rest.cuts, made: rest.made })
    }
}
