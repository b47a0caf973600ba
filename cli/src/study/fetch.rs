//! `consilium study fetch`: a finished study's files, from the hospital's own store, with the names that `ml-worker pack` takes.

use super::{
    means::{self, At, Means},
    rows::data_of,
};
use crate::{
    audit::blobs::BlobSource,
    chain::{Block, Chain, StudyInfo},
    institution::{
        folder::{BLOBS, WORKER_SECRET},
        made::{keep_or_warn, What},
    },
    options::{node_of, Connection, Format},
    plain::told,
    programs::write_new,
    report::{self, card},
    show::{self, print_json, short},
};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use consilium_aggregation::blob_hash;
use consilium_primitives::{
    round::{Phase, Study},
    Hash, StudyId,
};
use consilium_study::StudySpec;
use serde_json::json;
use sp_crypto_hashing::blake2_256;
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a certificate may take to become final.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files in the folder that is made.
const MODEL: &str = "model.safetensors";
const STATISTICS: &str = "statistics.safetensors";
const SPEC: &str = "spec.json";

/// What `fetch` takes.
#[derive(Args)]
pub struct Fetch {
    /// Number of the study
    number: StudyId,
    /// The institution's folder: its node is asked unless --url names another, and its files are taken
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Folder to make for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Another folder of files that are named by their BLAKE3 hash; give it once for each
    #[arg(long, value_name = "DIR")]
    blobs: Vec<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Writes a finished study's model, statistics and specification to a folder. Each is what the chain names by its hash.
///
/// # Errors
/// The study has no certificate yet; a file is not there, or is damaged; the folder is there already.
pub async fn run(options: Fetch) -> Result<()> {
    let out = options.out.display();
    ensure!(!options.out.exists(), "{out} is there already: name a new folder with --out");
    let url = node_of(Some(&options.dir), &options.connection.url)?;
    let sources = means::sources(&options.dir, &options.blobs)?;
    let chain = Chain::connect(&url).await?;
    let number = options.number;
    let hint = format!(" --dir {}{}", options.dir.display(), options.connection.hint());
    has_model(&chain, number, &hint).await?;
    let (at, info) = settled(&chain, number).await?;
    let Phase::Completed(certificate) = &info.state.phase else {
        bail!("study {number} has no certificate that is final")
    };
    let spec = chain.spec(number, at).await?;
    let spec = spec.filter(|spec| blake2_256(spec) == info.spec_hash.0).context(
        "the chain keeps the study's specification no longer: take spec.json from an archive (`consilium export`), and these \
         files from it, too",
    )?;
    let model = whole(&sources, &certificate.root, "the certified model")?;
    let statistics = match info.state.statistics {
        Some(root) => Some(whole(&sources, &root, "the study's statistics")?),
        None => None,
    };
    DirBuilder::new().mode(0o700).create(&options.out).with_context(|| format!("cannot make {out}"))?;
    let put = |name: &str, bytes: &[u8]| write_new(&options.out.join(name), bytes, 0o600);
    put(SPEC, &spec)?;
    put(MODEL, &model)?;
    if let Some(bytes) = &statistics {
        put(STATISTICS, bytes)?;
    }
    let at = At { dir: &options.dir, agreement: &info.agreement, study: number, round: certificate.round };
    if let Err(error) = bring(&spec, &at, &sources, &options.out) {
        eprintln!("warning: what the study brings of its own is not all in {out}: {}", told(&error));
    }
    // what whoever finds the model must know of it
    match report::card_of(&options.dir, chain, number).await {
        Ok(text) => put(card::FILE, text.as_bytes())?,
        // the model is there without it
        Err(error) => eprintln!("warning: no model card was written: {}", told(&error)),
    }
    keep_or_warn(&options.dir, What::Model, &options.out);
    let pack = pack(&options.out, &options.dir, &info.agreement);
    if options.connection.format == Format::Json {
        return print_json(&json!({
            "study": number, "folder": options.out, "round": certificate.round, "root": hex::encode(certificate.root),
            "statistics": info.state.statistics.map(hex::encode), "pack": pack,
        }));
    }
    out!(
        "{out}: the model of study {number}, certified of round {}, {}",
        certificate.round,
        hex::encode(certificate.root)
    );
    out!("  this makes it ready for `ml-worker predict` and `ml-worker evaluate`:");
    out!("    {}", pack.join(" "));
    if options.out.join(means::LOCAL).exists() {
        out!(
            "  {} has tensors that this study keeps at each site: they come from this site's rows alone; leave it out where the model is \
             given away",
            means::LOCAL
        );
    }
    Ok(())
}

/// Puts what a study with a trainer of its own brings beside its model: without it nobody can use that.
fn bring(spec: &[u8], at: &At<'_>, sources: &impl BlobSource, out: &Path) -> Result<()> {
    let spec = StudySpec::from_canonical(spec)?;
    if spec.model.external().is_none() {
        return Ok(());
    }
    Means::of(&spec, at, sources)?.write(out)
}

/// That a study has come to a model, in whatever block: whoever waits for one that is final waits for nothing where there is none.
///
/// # Errors
/// There is no such study, or it has no model; with where it is. `hint` is the end of a command that asks the same node.
pub async fn has_model(chain: &Chain, number: StudyId, hint: &str) -> Result<()> {
    let best = show::existing(chain, number, chain.best().await?, hint).await?;
    match without_model(number, &best.state, hint) {
        Some(why) => bail!("{why}"),
        None => Ok(()),
    }
}

/// Why a study has no model, where it has none.
fn without_model(number: StudyId, study: &Study, hint: &str) -> Option<String> {
    let phase = show::phase(study);
    match study.phase {
        Phase::Completed(_) => None,
        Phase::Aborted { .. } => Some(format!(
            "study {number} has no model, and will have none: it {phase}; `consilium study {number}{hint}` says more"
        )),
        _ => Some(format!(
            "study {number} has no model yet, which is certified at its end: it is at {phase}, round {} of {} at most; `consilium study \
             watch {number}{hint}` shows how it goes on",
            study.round, study.rules.max_rounds
        )),
    }
}

/// A final block in which a study that has its certificate has it for good.
///
/// # Errors
/// The node does not answer; the certificate does not become final.
pub async fn settled(chain: &Chain, number: StudyId) -> Result<(Block, StudyInfo)> {
    let until = Instant::now() + PATIENCE;
    loop {
        let at = chain.finalised().await?;
        match chain.study(number, at).await? {
            Some(info) if matches!(info.state.phase, Phase::Completed(_)) => return Ok((at, info)),
            _ if Instant::now() < until => tokio::time::sleep(Duration::from_millis(300)).await,
            _ => bail!(
                "the certificate of study {number} has not become final within {} s: more than two thirds of the validators must \
                 run; try again then",
                PATIENCE.as_secs()
            ),
        }
    }
}

/// The bytes of a file that the chain names.
///
/// # Errors
/// It is not there, or is damaged.
pub fn whole(sources: &impl BlobSource, root: &Hash, what: &str) -> Result<Vec<u8>> {
    match sources.read(root).with_context(|| format!("cannot read {what} ({})", short(root)))? {
        None => bail!(
            "{what}, {}, is not in this folder's {BLOBS}: its node fetches it while the chain lists it (a day after the study's \
             end); another member's holds it (`consilium study N` names them), and --blobs takes a copy of its folder",
            hex::encode(root)
        ),
        Some(bytes) if blob_hash(&bytes) != *root => {
            bail!("{what}: its bytes do not have the hash {}: remove the damaged file, and fetch again", hex::encode(root))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// The words of the command that packs these files; with the site's own table where `sites.toml` names it, and with what the study brings
/// of its own where that lies beside them.
pub fn pack(out: &Path, dir: &Path, agreement: &Hash) -> Vec<String> {
    let text = |path: PathBuf| {
        let text = path.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        if text.chars().all(plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    };
    let mut words: Vec<String> = ["ml-worker", "pack", "--dir"].map(str::to_owned).into();
    words.extend([text(out.to_owned()), "--out".into(), text(out.join("ready"))]);
    if let Some(data) = data_of(dir, agreement).filter(|data| fs::metadata(data).is_ok()) {
        words.extend(["--data".into(), text(data), "--secret".into(), text(dir.join(WORKER_SECRET))]);
    }
    // tensors that stay at the site are found in the folder; code runs where it is named, and not since it lies somewhere
    for (option, path) in means::options(out).into_iter().filter(|(option, _)| *option != "--local") {
        words.extend([option.into(), text(path)]);
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        audit::{blobs::Sources, testing::World},
        study::rows::name_in_sites,
    };
    use consilium_primitives::round::AbortReason;

    #[test]
    fn a_file_is_given_only_with_its_hash_and_one_that_is_missing_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let sources = Sources::folders(vec![scratch.path().to_owned()]).unwrap();
        let (sound, damaged) = (blob_hash(b"model"), blob_hash(b"other"));
        fs::write(scratch.path().join(hex::encode(sound)), "model").unwrap();
        fs::write(scratch.path().join(hex::encode(damaged)), "bytes").unwrap();
        assert_eq!(whole(&sources, &sound, "the model").unwrap(), b"model");
        assert!(whole(&sources, &damaged, "the model").unwrap_err().to_string().contains("damaged"));
        let error = whole(&sources, &Hash::zero(), "the model").unwrap_err().to_string();
        assert!(error.contains(&"00".repeat(32)) && error.contains("--blobs"), "{error}");
    }

    #[test]
    fn the_command_that_packs_names_a_trainer_where_this_site_allows_it() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().canonicalize().unwrap();
        for name in ["initial.safetensors", "trainer.tar", "local.safetensors"] {
            fs::write(out.join(name), "x").unwrap();
        }
        let words = || pack(&out, Path::new("nowhere"), &Hash::zero()).join(" ");
        assert!(words().ends_with("initial.safetensors") && !words().contains("--code"), "{}", words());
        fs::write(out.join("trainer.toml"), "x").unwrap();
        let said = words();
        for part in ["--initial ", "/trainer.toml", "--code ", "/trainer.tar"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        // it lies in the folder that --dir names
        assert!(!said.contains("--local"), "{said}");
    }

    #[test]
    fn a_study_without_a_model_says_where_it_is_and_is_not_waited_for() {
        let mut study = World::new().history.info.state;
        assert_eq!(without_model(4, &study, ""), None);
        study.phase = Phase::Enrolling { until: 99 };
        let said = without_model(4, &study, " --dir alder").unwrap();
        assert!(said.contains("no model yet") && said.contains("at enrolling, round"), "{said}");
        assert!(said.contains("consilium study watch 4 --dir alder"), "{said}");
        study.phase = Phase::Aborted { reason: AbortReason::TooFewEnrolled };
        let said = without_model(4, &study, "").unwrap();
        assert!(said.contains("will have none: it ended without a model: ") && !said.contains("watch"), "{said}");
    }

    #[test]
    fn the_command_that_packs_names_the_folder_and_the_site_s_own_table() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap();
        let agreement = Hash::repeat_byte(3);
        let words = pack(Path::new("model"), &dir, &agreement).join(" ");
        assert_eq!(words, "ml-worker pack --dir model --out model/ready");
        let data = dir.join("my table.csv");
        fs::write(&data, "a\n").unwrap();
        name_in_sites(&dir, (&agreement, false), &data, None).unwrap();
        let words = pack(Path::new("model"), &dir, &agreement).join(" ");
        assert!(words.starts_with("ml-worker pack --dir model --out model/ready --data "), "{words}");
        assert!(words.contains("my table.csv' --secret ") && words.ends_with("worker/secret"), "{words}");
    }
}
