//! `ml-worker own-arm`: after a study, a model of this site's rows alone beside the study's.

use super::{
    apart::apart,
    means::Means,
    memory::Memory,
    pack::{no_spec, Worked},
    say,
};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_aggregation::{blob_hash, ModelFile, Statistics};
use consilium_ml_worker::{
    compare::Inputs,
    data::{all_known, read_file, Table},
    scratch::Scratch,
    simulate::{site_group_key, Site, Swarm},
    site::read_secret,
};
use consilium_primitives::InstitutionId;
use consilium_study::{FiguresFile, StudySpec, FIGURES_VERSION};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Args)]
pub struct OwnArm {
    /// The specification, in canonical form
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// The study's model: the blob of its canonical round
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The study's merged statistics, where its scaling asked for them
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
    /// Rounds that the study has run: the own model is trained for as many
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The round that --model is of; left out, the last one
    #[arg(long, value_name = "ROUND", value_parser = clap::value_parser!(u32).range(1..))]
    canonical: Option<u32>,
    /// The site's own data, as it was in the study
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The site's secret (file `secret` in its worker's folder): it tells training from validation rows
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// The split that the worker kept (studies/AGREEMENT/split.json in its folder), where the data were changed and accepted
    /// while the study ran
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Rows of the site's own that had no part in the study, to measure on; left out, its validation rows, which have chosen the
    /// round of either model
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Tensors of the study's model that stay at this site (studies/AGREEMENT/study-N/external/local/ROUND.safetensors in its worker's
    /// folder), where the study has such; left out, those of the initial file
    #[arg(long, value_name = "FILE", requires = "trainer")]
    local: Option<PathBuf>,
    #[command(flatten)]
    means: Means,
    #[command(flatten)]
    memory: Memory,
}

pub fn own_arm(arguments: &OwnArm) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (bytes, model) = (read(&arguments.spec)?, read(&arguments.model)?);
    if let Some(problem) = no_spec(&bytes) {
        bail!("{}: {problem}", arguments.spec.display());
    }
    let spec = StudySpec::from_canonical(&bytes).with_context(|| arguments.spec.display().to_string())?;
    let (rounds, canonical) = (arguments.rounds, arguments.canonical.unwrap_or(arguments.rounds));
    if canonical > rounds {
        bail!("--canonical {canonical}: the study has run {rounds} rounds");
    }
    let statistics = match (spec.data.statistics_columns(), &arguments.statistics) {
        (0, Some(_)) => bail!("--statistics: this study has none"),
        (0, None) => None,
        (_, None) => bail!("this study scales by the swarm's statistics: name their file with --statistics"),
        (columns, Some(path)) => {
            let statistics =
                Statistics::decode(&read(path)?, columns, None).with_context(|| path.display().to_string())?;
            all_known(&statistics, &spec)?;
            Some(statistics)
        }
    };
    let chosen =
        ModelFile::decode_merged(&model, &spec.layout()?).with_context(|| arguments.model.display().to_string())?.data;
    let secret = read_secret(&arguments.secret)?;
    let key = site_group_key(&spec, &secret)?;
    let scratch = Scratch::new()?;
    let how = arguments.memory.reading_in(scratch.path());
    let rows = |path: &Path| -> Result<Table> { Ok(read_file(path, &spec.data, &key, &how)?.table?) };
    let table = rows(&arguments.data)?;
    let test = arguments.test.as_deref().map(rows).transpose()?;
    if let (Some(path), Some(test)) = (&arguments.test, &test) {
        // what it finds it has logged
        apart(&spec.data, (&arguments.data, &table), (path, test))?;
    }
    let worked = Worked {
        spec: &bytes,
        study: &spec,
        data: &arguments.data,
        secret: &arguments.secret,
        split: arguments.split.as_deref(),
    };
    let split = worked.split(&table)?;
    let mut ready = arguments.means.ready(&spec)?;
    ready.engine.at_sites = Some(vec![arguments.local.as_deref().map(read).transpose()?]);
    // neither the id nor the count of samples says anything to one site by itself
    let site = Site { name: "own".into(), id: InstitutionId([0; 32]), secret, samples: 0, table };
    let figures = Inputs {
        engine: &ready.engine,
        spec: &spec,
        rounds,
        sites: &[site],
        splits: &[split],
        tests: &[test],
        held_out: None,
        swarm: Swarm { chosen: &chosen, round: canonical, last: None },
        statistics: statistics.as_ref(),
    }
    .own()?;
    let Some(figures) = figures else {
        bail!("{}: has no row to measure on: name rows of their own with --test", arguments.data.display());
    };
    let file = FiguresFile {
        consilium_figures: FIGURES_VERSION,
        spec: hex::encode(spec.hash()?),
        model: hex::encode(blob_hash(&model)),
        figures,
        signed: None,
    };
    say(format_args!("{}\n", serde_json::to_string_pretty(&file)?))
}
