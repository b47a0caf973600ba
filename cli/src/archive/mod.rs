//! An archive of one study, for an auditor who was never part of it.
//!
//! * [`format`]: what is in the file; [`state`]: the chain's state with its proof; [`finality`]: who finalised it;
//!   [`export`]: how an archive is made; [`authorities`]: who finalises, as a file that an auditor trusts.

pub mod authorities;
pub mod export;
pub mod finality;
pub mod format;
pub mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use crate::{
    audit::{blobs::Sources, check, history::Expected},
    chain::BlockHeader,
    options::Format,
    show::print_json,
};
use anyhow::{bail, ensure, Context, Result};
use clap::Args;
use codec::DecodeAll;
pub use finality::hash_of;
use finality::{AuthoritySet, FinalityProof};
use format::{Blobs, Evidence};
use serde_json::{json, Value};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What an auditor trusts beforehand.
#[derive(Args, Default)]
pub struct Trust {
    /// The block that you trust, by its hash: 64 hexadecimal digits
    #[arg(long, value_name = "HASH", requires = "archive", conflicts_with = "trust_authorities")]
    pub trust_block: Option<String>,
    /// The authorities that you trust to finalise blocks: a JSON file with `genesis` (the hash of their chain's block 0),
    /// `set_id` and `authorities`, each with `key` (hexadecimal) and `weight`; `consilium authorities` writes one
    #[arg(long, value_name = "FILE", requires = "archive")]
    pub trust_authorities: Option<PathBuf>,
    /// Look at an archive with no block and no authorities to trust: whoever made it could have made up all of it
    #[arg(long, requires = "archive", conflicts_with_all = ["trust_block", "trust_authorities"])]
    pub trust_nothing: bool,
    /// File with the age key that opens an encrypted archive
    #[arg(long, value_name = "FILE", requires = "archive")]
    pub identity: Option<PathBuf>,
}

/// An archive whose evidence holds.
pub struct Opened {
    /// The study, and the authority set in its state.
    pub proven: state::Proven,
    /// Relative to what it holds, for people: one line.
    pub rests_on: String,
    /// The same for programs.
    pub rests_on_json: Value,
    /// Its files.
    pub blobs: Blobs,
}

/// Audits an archive without any node. The first line that is printed says relative to what the result holds.
///
/// # Errors
/// The archive is damaged, or does not hold under what is trusted.
pub fn audit(
    path: &Path,
    trust: &Trust,
    expected: &Expected,
    mut sources: Sources,
    format: Format,
) -> Result<ExitCode> {
    let (evidence, blobs) = format::open(path, trust.identity.as_deref())?;
    let opened = verify(&evidence, blobs, trust).with_context(|| format!("the archive {}", path.display()))?;
    expected.check(&opened.proven.history)?;
    if format == Format::Text {
        out!("{}", opened.rests_on);
    }
    sources.add(opened.blobs);
    let report = check::audit(&opened.proven.history, &sources);
    match format {
        Format::Json => print_json(&report.json(opened.rests_on_json))?,
        Format::Text => out!("{report}"),
    }
    Ok(report.exit())
}

/// Whether header, finality and proof hold, and hold together, under what is trusted.
///
/// # Errors
/// The first part that does not, by its name.
pub fn verify(evidence: &Evidence, blobs: Blobs, trust: &Trust) -> Result<Opened> {
    let Evidence { manifest, header, finality, proof, spec } = evidence;
    let header = BlockHeader::decode_all(&mut &header[..])
        .map_err(|_| anyhow::anyhow!("header.scale: it is no header of a block in SCALE"))?;
    let (hash, number) = (hex::encode(header.hash()), header.number);
    // with a block that is trusted, a damaged header is another block
    let trusted_block = trust.trust_block.as_deref().map(|text| hash_of("--trust-block", text)).transpose()?;
    if let Some(trusted) = trusted_block.filter(|trusted| *trusted != header.hash()) {
        bail!(
            "header.scale: this is block {number}, {hash}, and you trust {}: ask for an archive of that block",
            hex::encode(trusted)
        );
    }
    ensure!(
        manifest.block == hash && manifest.number == number,
        "header.scale: it is block {number}, {hash}; manifest.json says {}, {:?}",
        manifest.number,
        manifest.block
    );
    let check = |set: &AuthoritySet| FinalityProof::read(finality)?.check(&header, set);
    let trusted = trust.trust_authorities.as_deref().map(AuthoritySet::read).transpose()?;
    let (trusted_genesis, trusted_set) = trusted.unzip();
    let finalised = trusted_set.as_ref().map(check).transpose().with_context(|| {
        let id = trusted_set.as_ref().map_or(0, |set| set.id);
        format!("finality.scale: it does not hold under authority set {id}, which you trust")
    })?;
    let mut proven = state::read(header.state_root, header.number, proof, manifest.study).context("proof.scale")?;
    let history = &mut proven.history;
    ensure!(hex::encode(history.genesis) == manifest.genesis, "manifest.json: the chain has another block 0");
    if let Some(genesis) = trusted_genesis.filter(|genesis| *genesis != history.genesis) {
        bail!(
            "proof.scale: it is of the chain whose block 0 is {}, and the authorities that you trust are those of {}",
            manifest.genesis,
            hex::encode(genesis)
        );
    }
    ensure!(proven.set.id == manifest.set_id, "manifest.json: the state has authority set {}", proven.set.id);
    ensure!(
        history.spec.as_deref().unwrap_or_default() == spec.as_slice(),
        "spec.json: it is not the specification that the chain keeps"
    );
    history.left_out = !manifest.updates;
    let study = manifest.study;
    let genesis = history.genesis;
    let agreement = hex::encode(history.info.agreement);
    let trusted_json = trusted_set.as_ref().map(|set| set.json(&genesis)).transpose()?;
    let (rests_on, trust) = match (trusted_block, trusted_set, finalised) {
        (Some(_), _, _) => (format!("relative to block {number}, {hash}, which you trust"), "block"),
        (None, Some(set), Some((target, signers))) => (
            format!(
                "relative to authority set {}, which you trust: {signers} of its {} keys finalised block {target}, and \
                 so block {number}, {hash}",
                set.id,
                set.authorities.len()
            ),
            "authorities",
        ),
        _ => {
            ensure!(
                trust.trust_nothing,
                "nothing says that this is not made up: give --trust-block or --trust-authorities. This archive is of block \
                 {number}, {hash}; compare it with what a node of yours says, or several institutions. --trust-nothing \
                 looks at the archive all the same"
            );
            check(&proven.set)
                .context("finality.scale: it does not even hold under the archive's own authority set")?;
            let keys: Vec<String> = proven
                .set
                .authorities
                .iter()
                .map(|(id, weight)| format!("0x{} (weight {weight})", hex::encode(AsRef::<[u8]>::as_ref(id))))
                .collect();
            (
                format!(
                    "resting on nothing but the archive itself: compare block {number}, {hash}, or authority set {} ({}), \
                     with what you know from elsewhere",
                    proven.set.id,
                    keys.join(", ")
                ),
                "none",
            )
        }
    };
    let rests_on =
        format!("{rests_on}; study {study}, agreement {agreement}, on the chain whose block 0 is {}", manifest.genesis);
    let rests_on_json = json!({
        "trust": trust,
        "genesis": manifest.genesis,
        "study": study,
        "agreement": agreement,
        "block": hash,
        "number": number,
        "trusted_authorities": trusted_json,
        "authorities_in_state": proven.set.json(&genesis)?,
    });
    Ok(Opened { proven, rests_on, rests_on_json, blobs })
}
