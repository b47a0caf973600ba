//! From a plan to an agreement: registration, enrolment, start; and at the end the comparison of everyone's model.

use super::{house::House, network::Network, plan::Plan, watch::Finished};
use crate::{
    chain::{agreement_hash, Chain, SWARM},
    programs::write_private,
    study::{find, private, registered},
};
use anyhow::{bail, Context, Result};
use codec::Encode;
use consilium_primitives::{budget::dataset_id, round::Phase, Hash, Privacy, StudyId};
use consilium_study::attachment_note;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Under which name each site's rows are counted in a private study.
const DATASET: &str = "localnet";
/// How long the last site may take to have the model, and the last node to know the certificate.
const COPY_PATIENCE: Duration = Duration::from_secs(60);

/// The hash that everyone signs. The first institution proposes.
///
/// # Errors
/// There is no institution.
pub fn agreement(chain: &Chain, plan: &Plan, network: &Network) -> Result<Hash> {
    let proposer = network.houses.first().context("a network without institutions")?.id();
    Ok(agreement_hash(chain.genesis(), &proposer, &plan.rules, &plan.spec))
}

/// Gives every site's worker its secret, and tells it which data the agreement may use and which trainer. The files that the study
/// names are put at the proposer alone, and couriers bring them to the others. A worker that was told already keeps what it has.
///
/// # Errors
/// A file cannot be written.
pub fn allow(plan: &Plan, network: &Network, agreement: &Hash) -> Result<()> {
    let known =
        |house: &House| fs::read_to_string(house.sites_file()).is_ok_and(|text| text.contains(&hex::encode(agreement)));
    for (site, house) in plan.sites.iter().zip(&network.houses).filter(|(_, house)| !known(house)) {
        let file = site.secret.as_ref().with_context(|| format!("{} has no secret", site.name))?;
        let secret = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        write_private(&house.secret_file(), &secret)?;
        let mut entry = toml::Table::new();
        entry.insert("agreement".into(), hex::encode(agreement).into());
        entry.insert("data".into(), site.train.display().to_string().into());
        if let Some(micro) = plan.means.budget_micro {
            entry.insert("dataset".into(), DATASET.into());
            entry.insert("epsilon".into(), (f64::from(micro) / 1e6).into());
        }
        if plan.rules.masked.is_some() {
            entry.insert("masked".into(), true.into());
        }
        if let Some(file) = &plan.means.trainer {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let table: toml::Table = text.parse().with_context(|| file.display().to_string())?;
            entry.insert("trainer".into(), table.into());
        }
        if network.houses.first().is_some_and(|proposer| proposer.id() == house.id()) {
            plan.means.blobs().try_for_each(|file| attach(file, &house.blobs()))?;
        }
        let mut whole = toml::Table::new();
        whole.insert("study".into(), vec![toml::Value::Table(entry)].into());
        let file = house.sites_file();
        fs::write(&file, whole.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Puts a file that the study names into a blob store, as `ml-worker trainer put` does.
fn attach(file: &Path, blobs: &Path) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    fs::create_dir_all(blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    let root = Hash::from(*blake3::hash(&bytes).as_bytes());
    for (name, bytes) in [(hex::encode(root), &bytes[..]), (attachment_note(&root), &b""[..])] {
        let path = blobs.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Registers the study, enrols every site in it, and starts it; what of that an earlier run has done is not done again. One that is
/// paused goes on.
///
/// # Errors
/// The chain refused one of these.
pub async fn enrol_all(chain: &Chain, plan: &Plan, network: &Network, agreement: &Hash) -> Result<StudyId> {
    let proposer = &network.houses.first().context("a network without institutions")?;
    let study = match registered(chain, agreement).await? {
        Some(study) => study,
        None => {
            let register = (&plan.rules, &plan.spec).encode();
            chain.submit(&proposer.signer, SWARM, "register", register).await.context("cannot register the study")?;
            find(chain, agreement).await?
        }
    };
    let info = chain.study(study, chain.best().await?).await?.context("the study was registered, and is not there")?;
    match info.state.phase {
        Phase::Enrolling { .. } => {}
        Phase::Paused(_) => {
            go_on(chain, study, proposer).await?;
            return Ok(study);
        }
        _ => return Ok(study),
    }
    let enrolled = |house: &House| info.state.members.iter().any(|member| member.id == house.id() && member.active);
    let rest = plan.sites.iter().zip(&network.houses).filter(|(_, house)| !enrolled(house));
    let enrolments = rest.map(|(site, house)| async move {
        let mut dataset = None;
        if let (Some(micro), Some(privacy)) = (plan.means.budget_micro, &plan.rules.privacy) {
            dataset = Some(declare(chain, house, privacy, micro).await?);
        }
        let (call, arguments) = private::enrolment(study, agreement, site.samples, dataset);
        let enrolled = chain.submit(&house.signer, SWARM, call, arguments).await;
        enrolled.with_context(|| format!("cannot enrol {} with {} samples", site.name, site.samples))
    });
    futures::future::try_join_all(enrolments).await?;
    chain.submit(&proposer.signer, SWARM, "start", study.encode()).await.context("cannot start the study")?;
    Ok(study)
}

/// Declares what an institution's data set may cost, where that was not done by an earlier run. Gives what the chain calls it.
async fn declare(chain: &Chain, house: &House, privacy: &Privacy, limit_micro: u32) -> Result<Hash> {
    let dataset = dataset_id(&house.id(), DATASET);
    if chain.budget(&house.id(), &dataset, chain.best().await?).await?.is_none() {
        let arguments = (dataset, limit_micro, privacy.delta_exp, privacy.unit).encode();
        let declared = chain.submit(&house.signer, SWARM, "declare_budget", arguments).await;
        declared.with_context(|| format!("cannot declare what the data set of {} may cost", house.name))?;
    }
    Ok(dataset)
}

/// Lets a paused study go on, as its proposer, and waits until that is final.
async fn go_on(chain: &Chain, study: StudyId, proposer: &House) -> Result<()> {
    let asked = chain.submit(&proposer.signer, SWARM, "resume", study.encode()).await;
    asked.with_context(|| format!("study {study} is paused, and cannot go on"))?;
    let until = Instant::now() + COPY_PATIENCE;
    loop {
        let info = chain.study(study, chain.finalised().await?).await?;
        match info.map(|info| info.state.phase) {
            Some(Phase::Paused(_)) if Instant::now() > until => {
                bail!("study {study} was asked to go on, and that is not final after {} s", COPY_PATIENCE.as_secs())
            }
            Some(Phase::Paused(_)) => sleep(Duration::from_millis(200)).await,
            _ => return Ok(()),
        }
    }
}

/// Hashes every site's copy of the canonical model, asks every node for the finalised certificate, and gives the
/// model's path at the first site.
///
/// # Errors
/// A copy is missing or has another hash; a node's certificate differs.
pub async fn compare_copies(
    chains: &[Chain],
    study: StudyId,
    finished: &Finished,
    plan: &Plan,
    network: &Network,
) -> Result<PathBuf> {
    let Phase::Completed(certificate) = &finished.info.state.phase else { bail!("study {study} has no certificate") };
    let root = certificate.root;
    let until = Instant::now() + COPY_PATIENCE;
    for (site, house) in plan.sites.iter().zip(&network.houses) {
        let file = house.blobs().join(hex::encode(root));
        while !file.is_file() {
            if Instant::now() > until {
                bail!("{} does not hold the canonical model: {} is missing", site.name, file.display());
            }
            sleep(Duration::from_millis(200)).await;
        }
        same_copy(&file, &root).with_context(|| site.name.clone())?;
    }
    for (chain, house) in chains.iter().zip(&network.houses) {
        loop {
            let at = chain.finalised().await?;
            match chain.study(study, at).await?.map(|info| info.state.phase) {
                Some(Phase::Completed(other)) if other.root == root => break,
                Some(Phase::Completed(other)) => {
                    bail!("the node of {} has another certificate: {}", house.name, hex::encode(other.root))
                }
                _ if Instant::now() > until => {
                    bail!("the node of {} has not finalised the certificate", house.name)
                }
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    }
    let first = network.houses.first().context("a network without institutions")?;
    Ok(first.blobs().join(hex::encode(root)))
}

/// Whether a file holds exactly the bytes of this hash.
fn same_copy(file: &Path, root: &Hash) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let is = blake3::hash(&bytes);
    if is.as_bytes() != root.as_fixed_bytes() {
        bail!("holds other bytes than the certificate says: {is} in {}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_certified_bytes_count_as_a_copy_whatever_the_file_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let root = Hash::from(*blake3::hash(b"model").as_bytes());
        let file = dir.path().join(hex::encode(root));
        let error = |e: anyhow::Error| format!("{e:#}");
        assert!(error(same_copy(&file, &root).unwrap_err()).contains(&hex::encode(root)), "not there");
        for wrong in [&b""[..], b"mode", b"mpdel", b"model\n"] {
            fs::write(&file, wrong).unwrap();
            assert!(error(same_copy(&file, &root).unwrap_err()).contains("other bytes"), "{wrong:?}");
        }
        fs::write(&file, b"model").unwrap();
        same_copy(&file, &root).unwrap();
    }
}
