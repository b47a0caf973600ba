//! The audit itself: a pure function of what the chain says and of the files that are there.

use super::{
    blobs::BlobSource,
    history::History,
    report::{Finding, Report, Subject, Verdict},
    rounds::Rounds,
    spent::spent,
};
use crate::{
    chain::agreement_hash,
    show::{name, phase, short},
};
use consilium_primitives::{
    round::{Kind, Phase},
    Hash,
};
use consilium_study::StudySpec;
use sp_crypto_hashing::blake2_256;

/// Recomputes everything that can be recomputed of a study from the files in `blobs`: the hash of the agreement, the
/// initial model, and of each round the hash over its inputs, their weights, their duties and their merge.
pub fn audit(history: &History, blobs: &impl BlobSource) -> Report {
    let (agreement, spec) = agreement(history);
    let layout = spec.as_ref().and_then(|spec| spec.layout().ok());
    let audit = Rounds { history, blobs, spec, layout };
    let state = &history.info.state;
    let mut findings = vec![agreement];
    if state.rules.check().is_err() {
        // no chain lets such rules in, and nothing can be computed by them
        return Report { study: history.study, phase: phase(state), findings };
    }
    findings.extend(spent(history));
    let statistics = history.record(Kind::Statistics, 0);
    if let Some(record) = statistics {
        let mut finding = audit.round(record, Some(Hash::zero()), None).0;
        if state.statistics != Some(record.root) {
            finding.lower(Verdict::Differs, "the study uses other statistics than its record names");
        }
        findings.push(finding);
    } else if state.statistics.is_some() || state.rules.statistics_len > 0 && history.record(Kind::Model, 0).is_some() {
        let mut finding = Finding::new(Subject::Statistics, state.statistics.unwrap_or_default());
        finding.lower(Verdict::Missing, "the chain has no record of their merge");
        findings.push(finding);
    }
    let closed = history.must_be_closed();
    let mut base = (Some(Hash::zero()), None);
    for round in 0..closed.max(state.round.saturating_add(1)) {
        match history.record(Kind::Model, round) {
            Some(record) => {
                let mut back = None;
                if base.0.is_some_and(|root| root != record.base) {
                    back = history.earlier(round, record.base);
                    if let Some(earlier) = back {
                        base = (Some(earlier.root), audit.file_of(earlier));
                    }
                }
                let (mut finding, file) = audit.round(record, base.0, base.1.as_deref());
                if let Some(earlier) = back {
                    let text = format!("the study had fallen back to the model of round {}", earlier.round);
                    finding.note(text);
                }
                findings.push(finding);
                // of a sum that could not be used nothing came: the next round stands on the same model
                if record.void().is_none() {
                    base = (Some(record.root), file);
                }
            }
            None if round < closed => {
                let mut finding = Finding::new(Subject::Round(round), Hash::zero());
                finding.lower(Verdict::Missing, "the chain has no record of this round");
                findings.push(finding);
                base = (None, None);
            }
            None => {}
        }
    }
    if let Some(record) = history.record(Kind::Evaluation, state.round) {
        findings.push(audit.round(record, base.0, None).0);
    }
    // one that has fallen back, and has closed no round since, stands on an older one
    let fell_back = history.earlier(state.round, state.base).is_some_and(|it| it.round == state.base_round);
    if base.0.is_some_and(|root| root != state.base) && !fell_back {
        if let Some(last) = findings.last_mut() {
            let text = format!("the study stands on {}, which is not the root of its last round", short(&state.base));
            last.lower(Verdict::Differs, text);
        }
    }
    let certificate = certificate(history, &findings);
    findings.extend(certificate);
    Report { study: history.study, phase: phase(state), findings }
}

/// Whether rules and spec are what everybody signed; the spec, where it can be read.
fn agreement(history: &History) -> (Finding, Option<StudySpec>) {
    let info = &history.info;
    let mut finding = Finding::new(Subject::Agreement, info.agreement);
    let Some(bytes) = &history.spec else {
        finding.lower(Verdict::Missing, "the chain keeps the specification no longer, so that no model can be read");
        return (finding, None);
    };
    if blake2_256(bytes) != info.spec_hash.0 {
        finding.lower(Verdict::Differs, "the specification has another hash than the study names");
    }
    let state = &info.state;
    if agreement_hash(history.genesis, &state.proposer, &state.rules, bytes) != info.agreement {
        finding
            .lower(Verdict::Differs, "chain, proposer, rules and specification do not give the hash that was signed");
    }
    let rules = &state.rules;
    if let Err(error) = rules.check() {
        finding.lower(Verdict::Differs, format!("no chain lets these rules in: {error:?}"));
    }
    for (place, member) in state.members.iter().enumerate() {
        let who = name(&history.names, &member.id);
        if state.members.iter().take(place).any(|other| other.id == member.id) {
            finding.lower(Verdict::Differs, format!("{who} is a member twice"));
        }
        if !rules.invited.is_empty() && !rules.invited.contains(&member.id) {
            finding.lower(Verdict::Differs, format!("{who} is a member, and was not invited"));
        }
        if rules.raw_weight(&member.id, member.samples) != Some(member.weight) {
            let text = format!("{who} has weight {}, which its {} samples do not give", member.weight, member.samples);
            finding.lower(Verdict::Differs, text);
        }
    }
    let spec = match StudySpec::from_canonical(bytes) {
        Ok(spec) => spec,
        Err(error) => {
            finding.lower(Verdict::Differs, format!("no worker takes this specification: {error}"));
            return (finding, None);
        }
    };
    let merged = (spec.merged_len(rules.merge.moments()), spec.statistics_len());
    let own = match &rules.masked {
        None => spec.update_len() == Ok(rules.update_len),
        Some(masked) => spec.masked_lens().is_ok_and(|lens| {
            (lens.update, lens.statistics, lens.figures)
                == (rules.update_len, masked.statistics_len, masked.figures_len)
        }),
    };
    if !own || merged != (Ok(rules.merged_len), Ok(rules.statistics_len)) {
        finding.lower(
            Verdict::Differs,
            "the files that the specification describes have other lengths than the rules say",
        );
    }
    // what a round costs, the noise and the rest of it are computed anew
    if let Err(error) = spec.privacy_follows(rules) {
        let text = format!("what the rules say of privacy does not follow from the specification: {error}");
        finding.lower(Verdict::Differs, text);
    }
    (finding, Some(spec))
}

/// Whether the certificate names the root of its round, for which what was found for the round holds; `None` where there is no
/// certificate.
fn certificate(history: &History, findings: &[Finding]) -> Option<Finding> {
    let Phase::Completed(certificate) = &history.info.state.phase else { return None };
    let mut finding = Finding::new(Subject::Certificate, certificate.root);
    match history.record(Kind::Model, certificate.round) {
        Some(record) if record.root == certificate.root => {
            let text = format!("it names round {}; what was found for that round holds for it", certificate.round);
            let round = findings.iter().find(|found| found.subject == Subject::Round(certificate.round));
            finding.lower(round.map_or(Verdict::Missing, |round| round.verdict), text);
        }
        Some(record) => finding
            .lower(Verdict::Differs, format!("round {} has the root {}", certificate.round, hex::encode(record.root))),
        None => finding.lower(Verdict::Missing, format!("the chain has no record of round {}", certificate.round)),
    }
    if certificate.held == 0 || certificate.held & !certificate.roster != 0 {
        finding.lower(Verdict::Differs, "nobody of those who were asked holds the model");
    }
    Some(finding)
}
