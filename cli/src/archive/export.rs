//! `consilium export`: makes an archive.

use super::{
    finality::FinalityProof,
    format::{Evidence, Manifest, Writer, VERSION},
    state::{self, Proven},
};
use crate::{
    ask,
    audit::blobs::{BlobSource, Sources},
    chain::Chain,
    options::{Asked, Format},
    show::{self, print_json, short},
};
use age::x25519::Recipient;
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use codec::Encode;
use consilium_aggregation::blob_hash;
use consilium_primitives::{Hash, StudyId};
use serde_json::{json, Value};
use std::{
    fs::Permissions,
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often evidence is gathered anew when the authorities changed just then.
const TRIES: u32 = 5;
/// Time between two such tries.
const PAUSE: Duration = Duration::from_secs(3);
/// What is said before masked files do.
const MASKED: &str = "\
This archive will hold masked files: what single institutions sent in rounds whose shares are in the archive, too. Together they
reveal the sums of updates that the merged models show already, and no single update.";
/// What is said before individual updates leave the house.
const WARNING: &str = "\
This archive will hold individual updates: what single institutions sent, not only their merge.
An update can reveal something about the records that it was trained on: whether a person was among them, and features
of patients who are rare. Whoever can open the archive can try to find that out, now and later.";

/// What to export, and to where.
#[derive(Args)]
pub struct Options {
    /// Number of the study
    study: StudyId,
    /// Folder of files named by their BLAKE3 hash, such as a worker's blobs, beside that of --dir; give it once for each
    #[arg(long, value_name = "DIR", required_unless_present = "dir")]
    blobs: Vec<PathBuf>,
    /// The archive to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Put the individual updates in that are still kept; needs --recipient
    #[arg(long)]
    with_updates: bool,
    /// Encrypt the archive to this age public key (age1…)
    #[arg(long, value_name = "KEY")]
    recipient: Option<String>,
    /// Do not ask whether the updates may go into the archive
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Writes an archive of a study.
///
/// # Errors
/// Updates without a recipient or without consent; no node answers; there is no such study; the file cannot be written.
pub async fn run(options: Options) -> Result<()> {
    let recipient = recipient(options.recipient.as_deref(), options.with_updates)?;
    let shown = options.out.display();
    if options.out.exists() && !options.force {
        bail!("{shown} is there already: give another --out, or --force to replace it");
    }
    let sources = Sources::folders(options.asked.and_own(options.blobs))?;
    let chain = options.asked.chain().await?;
    let (evidence, proven) = gather(&chain, options.study, options.with_updates, &options.asked.hint()).await?;
    if options.with_updates {
        let warning = if proven.history.info.state.rules.masked.is_some() { MASKED } else { WARNING };
        consent(warning, options.yes, ask::somebody(), || ask::line("Type yes to go on: "))?;
    }
    let wanted = files(&proven, options.with_updates);
    let how = Target { path: &options.out, force: options.force, private: options.with_updates, recipient };
    let missing = write(&evidence, &wanted, &sources, &how)?;
    let manifest = &evidence.manifest;
    for file in &missing {
        eprintln!("warning: {} is in none of the folders, and not in the archive", file.what);
    }
    if options.asked.connection.format == Format::Json {
        return print_json(&json!({
            "archive": shown.to_string(),
            "block": manifest.block,
            "number": manifest.number,
            "authorities": proven.set.json(&proven.history.genesis)?,
            "files": wanted.len() - missing.len(),
            "missing": missing.iter().map(|file| hex::encode(file.root)).collect::<Vec<_>>(),
        }));
    }
    out!("{shown}: study {}, {} of {} files", options.study, wanted.len() - missing.len(), wanted.len());
    out!("  block {}, {}", manifest.number, manifest.block);
    out!("  finalised under authority set {} ({} keys)", manifest.set_id, proven.set.authorities.len());
    out!("  tell the auditor the block's hash, or the set's keys, on another way than the archive's");
    Ok(())
}

/// The key to encrypt to.
fn recipient(text: Option<&str>, with_updates: bool) -> Result<Option<Recipient>> {
    if with_updates && text.is_none() {
        bail!(
            "--with-updates needs --recipient: updates leave only encrypted, to the auditor's age public key (age1…)"
        );
    }
    let parse = |text: &str| {
        text.parse().map_err(|error| anyhow::anyhow!("--recipient {text}: it is no age public key ({error})"))
    };
    text.map(parse).transpose()
}

/// Says what updates can reveal, and asks whether they may go.
fn consent(warning: &str, yes: bool, terminal: bool, answer: impl FnOnce() -> io::Result<String>) -> Result<()> {
    eprintln!("{warning}");
    if yes {
        return Ok(());
    }
    ensure!(terminal, "nobody is there to be asked whether the updates may go: give --yes if they may");
    ask::consent(answer(), "nothing was exported")
}

/// Header, finality and state of the newest finalised block, checked as an auditor will check them.
async fn gather(chain: &Chain, study: StudyId, updates: bool, hint: &str) -> Result<(Evidence, Proven)> {
    let mut tries = 1;
    loop {
        match gather_once(chain, study, updates, hint).await {
            // in the very block in which the authorities change, state and signatures name different sets
            Err(Failed::Finality(_)) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(Failed::Finality(error)) => {
                return Err(error.context("the node's proof that its newest block is final does not hold"))
            }
            Err(Failed::Other(error)) => return Err(error),
            Ok(done) => return Ok(done),
        }
    }
}

enum Failed {
    /// The proof of finality does not hold for the state's authorities.
    Finality(anyhow::Error),
    /// Anything else.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

async fn gather_once(chain: &Chain, study: StudyId, updates: bool, hint: &str) -> Result<(Evidence, Proven), Failed> {
    let (at, justification) = chain.next_final().await?;
    let finality = FinalityProof { block: at.hash, justification, unknown_headers: Vec::new() };
    let info = show::existing(chain, study, at, hint).await?;
    let header = chain.header(at).await?;
    let kept = chain.kept_pairings(study, &info.state, at).await?;
    let proof = chain.read_proof(&state::keys(study, &info, &kept), at).await?;
    let proven =
        state::read(header.state_root, header.number, &proof, study).context("the node's proof of the state")?;
    finality.check(&header, &proven.set).map_err(Failed::Finality)?;
    let manifest = Manifest {
        version: VERSION,
        genesis: hex::encode(proven.history.genesis),
        study,
        block: hex::encode(at.hash),
        number: at.number,
        set_id: proven.set.id,
        updates,
    };
    let spec = proven.history.spec.clone().unwrap_or_default();
    Ok((Evidence { manifest, header: header.encode(), finality: finality.encode(), proof, spec }, proven))
}

/// A file that belongs into an archive.
pub struct Wanted {
    /// Its hash.
    pub root: Hash,
    /// What it is, for people.
    pub what: String,
    /// Whether it is a merged file.
    merged: bool,
    /// Whether to say so where it is not there. The audit says it of updates, and old merged files need not stay.
    required: bool,
}

/// The files of a study: merged statistics and models, and where they are asked for the updates that the agreement still
/// keeps.
pub fn files(proven: &Proven, updates: bool) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut add = |root: Hash, what: String, merged, required| {
        if !wanted.iter().any(|file| file.root == root) {
            wanted.push(Wanted { root, what: format!("{what} ({})", short(&root)), merged, required });
        }
    };
    for record in &proven.history.records {
        let round = show::round_name(record.kind, record.round);
        // a sum that could not be used has no file, nor have figures
        if record.root != Hash::zero() {
            add(record.root, format!("the merged file of {round}"), true, proven.history.keeps_merged(record));
        }
        let what = if record.masked.is_some() { "masked file" } else { "update" };
        for input in record.inputs.iter().filter(|_| updates && proven.history.keeps(record)) {
            let who = show::name(&proven.history.names, &input.institution);
            add(input.root, format!("the {what} of {who} in {round}"), false, false);
        }
    }
    wanted
}

/// Where an archive goes.
pub struct Target<'a> {
    /// The file.
    pub path: &'a Path,
    /// Replace what is there.
    pub force: bool,
    /// Only its owner may read it.
    pub private: bool,
    /// Encrypt it to this key.
    pub recipient: Option<Recipient>,
}

/// Writes an archive beside its place, and then puts it there. Gives the files that should be in it and are not.
///
/// # Errors
/// A file is damaged or cannot be read; the archive cannot be written; another file is in its place.
pub fn write<'w>(
    evidence: &Evidence,
    wanted: &'w [Wanted],
    blobs: &impl BlobSource,
    target: &Target,
) -> Result<Vec<&'w Wanted>> {
    let shown = target.path.display();
    let folder = target.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = if target.private { 0o600 } else { 0o644 };
    let temporary = tempfile::Builder::new()
        .prefix(".consilium-export-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    let file = BufWriter::new(temporary.as_file().try_clone()?);
    let (mut file, missing) = match &target.recipient {
        Some(recipient) => {
            let to = age::Encryptor::with_recipients(std::iter::once(recipient as _)).context("--recipient")?;
            let (stream, missing) = fill(to.wrap_output(file)?, evidence, wanted, blobs)?;
            (stream.finish()?, missing)
        }
        None => fill(file, evidence, wanted, blobs)?,
    };
    file.flush().and_then(|()| file.get_ref().sync_all()).with_context(|| format!("cannot write {shown}"))?;
    let placed = if target.force { temporary.persist(target.path) } else { temporary.persist_noclobber(target.path) };
    placed.map_err(|error| error.error).with_context(|| format!("cannot put the archive at {shown}"))?;
    Ok(missing)
}

fn fill<'w, W: Write>(
    to: W,
    evidence: &Evidence,
    wanted: &'w [Wanted],
    blobs: &impl BlobSource,
) -> Result<(W, Vec<&'w Wanted>)> {
    let mut writer = Writer::begin(to, evidence)?;
    let mut missing = Vec::new();
    for file in wanted {
        match blobs.read(&file.root).with_context(|| format!("cannot read {}", file.what))? {
            None if file.required => missing.push(file),
            None => {}
            Some(bytes) if blob_hash(&bytes) != file.root => bail!(
                "{} is damaged: its bytes do not have the hash that it is named by; remove the file, or add a folder that \
                 holds a sound one",
                file.what
            ),
            // a node could name an update where a merged file should stand, and updates leave only when somebody agrees
            Some(bytes) if file.merged && names_duty(&bytes) != Some(false) => bail!(
                "{} is no merged file: the node names something else there, and the archive is not written",
                file.what
            ),
            Some(bytes) => writer.blob(&file.root, &bytes)?,
        }
    }
    Ok((writer.finish()?, missing))
}

/// Whether a file of a study names a duty, as updates and parts of statistics do and merged files do not; `None`: it is none.
fn names_duty(bytes: &[u8]) -> Option<bool> {
    let len = u64::from_le_bytes(*bytes.first_chunk()?);
    let header = bytes.get(8..)?.get(..usize::try_from(len).ok()?)?;
    let header: Value = serde_json::from_slice(header).ok()?;
    Some(header.get("__metadata__").is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn updates_leave_only_to_a_recipient() {
        assert!(recipient(None, true).is_err_and(|e| e.to_string().contains("--recipient")));
        assert!(recipient(Some("age1nonsense"), true).is_err_and(|e| e.to_string().contains("age1nonsense")));
        assert!(recipient(None, false).unwrap().is_none());
        let key = age::x25519::Identity::generate().to_public().to_string();
        assert!(recipient(Some(&key), true).unwrap().is_some());
    }

    #[test]
    fn updates_leave_only_with_consent() {
        let says = |text: &'static str| move || Ok(text.to_owned());
        let unasked = || -> io::Result<String> { panic!("nobody may be asked") };
        assert!(consent(WARNING, true, false, unasked).is_ok());
        assert!(consent(WARNING, false, false, unasked).is_err_and(|e| e.to_string().contains("--yes")));
        assert!(consent(WARNING, false, true, says("yes\n")).is_ok());
        assert!(consent(WARNING, false, true, says("y\n")).is_err());
        assert!(consent(WARNING, false, true, says("")).is_err());
        assert!(MASKED.contains("no single update") && WARNING.contains("can reveal"));
    }
}
