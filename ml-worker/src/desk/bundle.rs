//! A model with everything that is needed to use it.

use super::{fit::Fitted, logits_of_rows};
use crate::{
    data::{all_known, Preprocessing, Scaler, Split, Table, Target},
    external::Engine,
    learn::{metrics::Recalibration, objective},
    site::write_whole,
};
use anyhow::{bail, Context, Result};
use consilium_aggregation::{blob_hash, ModelFile, Statistics};
use consilium_primitives::Hash;
use consilium_study::{Scaling, StudySpec, Task};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

const MODEL: &str = "model.safetensors";
const REST: &str = "model.json";
/// What a study that was fetched has beside its model, and a folder of this kind has not.
const FETCHED: &str = "spec.json";
/// Tensors of a model of one's own that are not merged.
pub const LOCAL: &str = "local.safetensors";

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
    /// Cuts chosen on validation rows, one per output: those of `fitted`.
    pub cuts: Vec<Option<f64>>,
    /// What validation rows say of how to use it; none of a study's model that was packed without a site's data.
    pub fitted: Option<Fitted>,
    /// Where it comes from.
    pub made: Made,
    /// What computes with it, where that is not this program; on disk, of that there is only what a site keeps for itself
    /// ([`LOCAL`]).
    pub engine: Engine,
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

/// A site's rows, on which a study's model is made ready for use there.
pub struct Own<'a> {
    /// Its table, read with [`site_group_key`](crate::simulate::site_group_key).
    pub table: &'a Table,
    /// Which of its rows trained, and which validated.
    pub split: &'a Split,
    /// A sensitivity to find a cut for; above 0, at most 1.
    pub sensitivity: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    /// The specification in canonical form.
    spec: String,
    scaler: Scaler,
    cuts: Vec<Option<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fitted: Option<Fitted>,
    made: Made,
    /// BLAKE3 of `model.safetensors`.
    model: String,
}

impl Bundle {
    /// The model of a study, from its files.
    ///
    /// # Errors
    /// Files of another study; without a site's data, a study whose rows are scaled at each site by the site's own numbers.
    pub fn of_study(spec: &[u8], model: &[u8], statistics: Option<&[u8]>, own: Option<&Own<'_>>) -> Result<Self> {
        Self::of_study_by(&Engine::NONE, spec, model, statistics, own)
    }

    /// The same of a study that brings its own trainer.
    ///
    /// # Errors
    /// As [`of_study`](Self::of_study); what the trainer says.
    pub fn of_study_by(
        engine: &Engine,
        spec: &[u8],
        model: &[u8],
        statistics: Option<&[u8]>,
        own: Option<&Own<'_>>,
    ) -> Result<Self> {
        let spec = StudySpec::from_canonical(spec)?;
        let parameters = ModelFile::decode_merged(model, &spec.layout()?).context("the model")?.data;
        let shared = statistics
            .filter(|_| spec.data.statistics_columns() > 0)
            .map(|bytes| Statistics::decode(bytes, spec.data.statistics_columns(), None).context("the statistics"))
            .transpose()?;
        if let Some(shared) = &shared {
            all_known(shared, &spec)?;
        }
        let parts = shared.as_ref().map(|shared| Target::part_of(&spec.data, shared));
        let (features, target) = parts.map_or((None, None), |(features, target)| (Some(features), target));
        if spec.data.task() == Task::Value && target.is_none() {
            bail!("this study's outcome is standardised by the swarm's statistics: name their file");
        }
        // statistics of the outcome alone scale nothing else
        let statistics = if spec.data.scaling == Scaling::Swarm || shared.is_none() { statistics } else { None };
        let scaler = match (&spec.data.scaling, statistics) {
            (Scaling::Site | Scaling::None, None) if own.is_some() => {
                let training = |own: &Own<'_>| own.split.rows(own.table).0;
                own.map(|own| Scaler::of(&spec.data.scaling, own.table, &training(own), None))
                    .transpose()?
                    .context("no data")?
            }
            (Scaling::Swarm, Some(_)) => Scaler::standard(&features.context("the statistics")?),
            (Scaling::Swarm, None) => bail!("this study scales by the swarm's statistics: name their file"),
            (_, Some(_)) => bail!("this study has no statistics"),
            (Scaling::Site, None) => bail!(
                "this study scales each site's rows by the site's own training rows: pack the model where these are (--data \
                 and --secret), or set data.scaling to \"swarm\" in the next study"
            ),
            (Scaling::Transductive, None) => Scaler::transductive(),
            (Scaling::Fixed(_), None) => {
                let columns = spec.data.features.columns.iter().map(String::as_str);
                Scaler::agreed(&spec.data.scaling, columns).context("data.scaling says nothing of a column")?
            }
            // nothing is scaled; where values may be missing, what stands in for them is the site's own affair
            (Scaling::None, None) => {
                let width = spec.data.numeric();
                let nothing = Statistics { count: vec![0.0; width], mean: vec![0.0; width], m2: vec![0.0; width] };
                Scaler::identity(&nothing)
            }
        };
        let made = Made::Study { root: hex::encode(blob_hash(model)) };
        let preprocessing = Preprocessing { spec: spec.data.clone(), scaler: scaler.with_target(target) };
        let mut bundle =
            Self { spec, preprocessing, parameters, cuts: Vec::new(), fitted: None, made, engine: engine.clone() };
        if let Some(own) = own {
            bundle.fit(own)?;
        }
        Ok(bundle)
    }

    /// Chooses cuts and recalibration on the site's validation rows.
    fn fit(&mut self, own: &Own<'_>) -> Result<()> {
        let validation = own.split.rows(own.table).1;
        let rows = self.preprocessing.scaler.apply(own.table, &validation)?;
        let logits =
            logits_of_rows((&self.spec, &self.engine), &self.parameters, own.table, &rows, |row| validation[row])?;
        let fitted = Fitted::of(&objective(&self.spec, None), &logits, rows.labels(), own.sensitivity);
        self.cuts.clone_from(&fitted.cuts);
        self.fitted = Some(fitted);
        Ok(())
    }

    /// Whether it says what stands in for missing values, where the study takes the mean: the model of a study that scales
    /// nothing does so only where a site's data were there when it was packed.
    pub fn knows_means(&self) -> bool {
        let from_elsewhere = matches!(self.made, Made::Study { .. }) && self.fitted.is_none();
        !(from_elsewhere && self.spec.data.scaling == Scaling::None)
    }

    /// Each way in which cuts were chosen, with a cut for each output; without those that some output has none of. Of several
    /// classes, of which the likeliest is taken, there are none.
    pub fn cuts_of_all(&self) -> Vec<(String, Vec<f64>)> {
        let outputs = self.spec.data.task().outputs();
        let whole = |name: String, cuts: &[Option<f64>]| {
            let cuts: Vec<f64> = cuts.iter().copied().flatten().collect();
            (cuts.len() == outputs).then_some((name, cuts))
        };
        let wanted = self.fitted.as_ref().and_then(|fitted| fitted.sensitivity.as_ref());
        let wanted = wanted.and_then(|w| whole(format!("sensitivity {}", w.sensitivity), &w.cuts));
        whole("Youden".into(), &self.cuts).into_iter().chain(wanted).collect()
    }

    /// The recalibration of each output; none where some output has none, and of several classes.
    pub fn recalibration(&self) -> Option<Vec<Recalibration>> {
        let fitted = self.fitted.as_ref().map_or(&[][..], |fitted| &fitted.recalibration[..]);
        let all: Vec<Recalibration> = fitted.iter().copied().flatten().collect();
        (all.len() == self.spec.data.task().outputs()).then_some(all)
    }

    /// The file of its parameters.
    fn model_file(&self) -> Result<Vec<u8>> {
        Ok(ModelFile { layout: self.spec.layout()?, duty: None, data: self.parameters.clone() }.encode()?)
    }

    /// BLAKE3 of the file of its parameters, `model.safetensors` of its folder.
    ///
    /// # Errors
    /// A specification whose model makes no file.
    pub fn model_hash(&self) -> Result<Hash> {
        Ok(blob_hash(&self.model_file()?))
    }

    /// Writes the folder, for this user alone: means and deviations of patients' values are in it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = self.model_file()?;
        let rest = Rest {
            spec: String::from_utf8(self.spec.canonical()?)?,
            scaler: self.preprocessing.scaler.clone(),
            cuts: self.cuts.clone(),
            fitted: self.fitted.clone(),
            made: self.made.clone(),
            model: hex::encode(blob_hash(&file)),
        };
        for (name, bytes) in [(MODEL, file), (REST, serde_json::to_vec_pretty(&rest)?)] {
            let path = folder.join(name);
            write_whole(&path, &bytes, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(kept) = self.engine.trainer.as_ref().map(|trainer| trainer.kept()).transpose()?.flatten() {
            let path = folder.join(LOCAL);
            write_whole(&path, &kept, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
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
        if folder.join(FETCHED).exists() && !folder.join(REST).exists() {
            bail!(
                "{0} has a study's files as `consilium study fetch` writes them, and is no model yet: `ml-worker pack --dir {0} --out \
                 {0}/ready` makes one (with --data and --secret also the cut and the recalibration), and --model names that folder",
                folder.display()
            );
        }
        if !folder.join(REST).exists() {
            let what = if folder.is_dir() { "no model is in this folder" } else { "there is no such folder" };
            bail!(
                "{}: {what}: --model takes the folder that `ml-worker train` or `ml-worker pack` has written (a finished study's files \
                 come from `consilium study fetch`, which prints the line that packs them)",
                folder.display()
            );
        }
        let (model, rest) = (read(MODEL)?, read(REST)?);
        let at = || folder.join(REST).display().to_string();
        let rest: Rest = serde_json::from_slice(&rest).with_context(at)?;
        if rest.model != hex::encode(blob_hash(&model)) {
            bail!("{}: {MODEL} is not the model that {REST} was written with", folder.display());
        }
        let spec = StudySpec::from_canonical(rest.spec.as_bytes()).with_context(at)?;
        let parameters = ModelFile::decode_merged(&model, &spec.layout()?).context(MODEL)?.data;
        let preprocessing = Preprocessing { spec: spec.data.clone(), scaler: rest.scaler };
        Ok(Self {
            spec,
            preprocessing,
            parameters,
            cuts: rest.cuts,
            fitted: rest.fitted,
            made: rest.made,
            engine: Engine::NONE,
        })
    }
}
