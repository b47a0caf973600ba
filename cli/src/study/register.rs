//! `consilium study register`: a study is proposed.

use super::{find, validate::study_file};
use crate::{
    chain::{agreement_hash, SWARM},
    motions::Acting,
    show::{self, print_json},
};
use anyhow::{bail, Context, Result};
use clap::Args;
use codec::Encode;
use consilium_primitives::{
    rules::{RulesError, MAX_PARTICIPANTS},
    InstitutionId, InstitutionNotice, StudyRules,
};
use serde_json::json;
use std::{collections::BTreeSet, path::PathBuf};

/// What `register` takes.
#[derive(Args)]
pub struct Register {
    /// Study file: model, data schema, training and rules
    #[arg(value_name = "FILE")]
    study: PathBuf,
    /// An institution that may enrol, by name or id; give it once for each. The one that proposes is invited with them. Left
    /// out: every participant
    #[arg(long = "invite", value_name = "NAME")]
    invited: Vec<String>,
    #[command(flatten)]
    acting: Acting,
}

/// Signs the proposal, sends it, and says what others do then.
///
/// # Errors
/// A file that is no study file, or whose rules the chain would refuse; somebody is invited who is none.
pub async fn run(options: Register) -> Result<()> {
    let acting = &options.acting;
    let signer = acting.signer()?;
    let shown = options.study.display();
    let file = study_file(&options.study)?;
    let spec = file.spec().canonical()?;
    let chain = acting.chain().await?;
    let institutions = chain.institutions(chain.best().await?).await?;
    let (proposer, own) = Acting::institution(&chain, &signer).await?;
    let (invited, added) = invited(&options.invited, &proposer, &institutions)?;
    let takers = if invited.is_empty() { institutions.iter().filter(|i| i.participant).count() } else { invited.len() };
    let takers = u32::try_from(takers)?.clamp(2, MAX_PARTICIPANTS);
    let mut rules = file.rules(chain.block_ms().await?, takers).with_context(|| shown.to_string())?;
    rules.invited = invited.try_into().map_err(|_| anyhow::anyhow!("more than {MAX_PARTICIPANTS} were invited"))?;
    if let Err(error) = rules.check() {
        bail!("{shown}: the chain would refuse these rules: {}", refused(&error, &rules));
    }
    let warning = file.transfer(takers).with_context(|| shown.to_string())?.warning();
    if let Some(warning) = &warning {
        eprintln!("warning: {shown}: {warning}");
    }
    let agreement = agreement_hash(chain.genesis(), &proposer, &rules, &spec);
    chain.submit(&signer, SWARM, "register", (&rules, &spec).encode()).await?;
    let number = find(&chain, &agreement).await?;
    // to each of the others an update, and one from each of them; and the same in the statistics phase, once
    let traffic = rules.update_len.saturating_mul(u64::from(takers - 1)).saturating_mul(2);
    if acting.json() {
        return print_json(&json!({
            "study": number,
            "institution": own,
            "agreement": hex::encode(agreement),
            "bytes_per_site_and_round": traffic,
            "warning": warning,
            "rules": show::rules_json(&rules),
        }));
    }
    out!("study {number} is registered by {own}; its agreement is {}", hex::encode(agreement));
    if let Some(name) = added {
        out!("  {name}, which proposes it, is invited with the others");
    }
    out!("  with {takers} participants, {traffic} bytes go through each site's link in a round");
    out!("  each site reads it (consilium study {number} --dir FOLDER), and enrols with its table and its own folder:");
    let agreement = hex::encode(agreement);
    out!("    consilium study enrol {number} --agreement {agreement} --data FILE --dir FOLDER");
    out!("  when all have: consilium study start {number}{}", acting.hint());
    Ok(())
}

/// What the chain would refuse of rules, for people.
fn refused(error: &RulesError, rules: &StudyRules) -> String {
    match error {
        RulesError::Invited => format!(
            "min_participants is {}, and {} are invited: invite more (--invite NAME, once for each), or ask for fewer in the \
             study file",
            rules.min_participants,
            rules.invited.len()
        ),
        other => format!("{}; what may stand in [rules] is in docs/study-file.md", wrong(*other)),
    }
}

/// Which number of the rules the chain would refuse, by its name in a study file.
fn wrong(error: RulesError) -> &'static str {
    match error {
        RulesError::Window => "training_seconds or enrolment_minutes is 0, or beyond a month",
        RulesError::Participants => "min_participants must lie between 2 and 64",
        RulesError::Rounds => "rounds must lie between 1 and 1000",
        RulesError::Share => "max_share must be above 0, and at most 1",
        RulesError::Length => "a file of the model is empty, or larger than 4 GiB",
        RulesError::Invited => "the list of the invited is not in order, or too short",
        RulesError::Weights => "a declared weight is 0 or too large, or there are too few",
        RulesError::Kept => "keep_updates must lie between 0 and 3",
        RulesError::Merge => "merge and liars do not go together, or a number of the merge is 0",
        RulesError::RuleMin => "min_participants is below what the merge needs for so many liars",
    }
}

/// Ids of the invited, sorted as the chain wants them; and the proposer's name, where it is invited without having been
/// named: who proposes a study takes part in it, where it takes part in any.
fn invited(
    texts: &[String],
    proposer: &InstitutionId,
    institutions: &[InstitutionNotice],
) -> Result<(Vec<InstitutionId>, Option<String>)> {
    let mut ids = BTreeSet::new();
    for text in texts {
        let of = |i: &&InstitutionNotice| i.name.as_slice() == text.as_bytes() || i.id.to_string() == *text;
        let Some(institution) = institutions.iter().find(of) else {
            let names = show::names(institutions).into_values().collect::<Vec<_>>().join(", ");
            bail!("--invite {text}: no institution of this name or id; there are {names}");
        };
        if !institution.participant {
            bail!("--invite {text}: this institution is no participant of the consortium");
        }
        ids.insert(institution.id);
    }
    let own = institutions.iter().find(|i| i.id == *proposer && i.participant);
    let own = own.filter(|own| !ids.is_empty() && ids.insert(own.id));
    let added = own.map(|own| show::name(&show::names(institutions), &own.id));
    Ok((ids.into_iter().collect(), added))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_primitives::Name;
    use consilium_study::StudyFile;

    #[test]
    fn who_proposes_is_invited_with_those_it_names_and_told_so() {
        let notice = |n: u8, name: &str, participant| InstitutionNotice {
            id: InstitutionId([n; 32]),
            name: Name::truncate_from(name.into()),
            peer_id: None,
            validator: true,
            participant,
        };
        let all = [notice(1, "Alder Clinic", true), notice(2, "Birch Hospital", true), notice(3, "Notary", false)];
        let call = |texts: &[&str], proposer: u8| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            invited(&texts, &InstitutionId([proposer; 32]), &all)
        };
        let ids = |of: &[u8]| of.iter().map(|n| InstitutionId([*n; 32])).collect::<Vec<_>>();
        assert_eq!(call(&["Birch Hospital"], 1).unwrap(), (ids(&[1, 2]), Some("Alder Clinic".into())));
        assert_eq!(call(&["Birch Hospital", "Alder Clinic"], 1).unwrap(), (ids(&[1, 2]), None));
        // who takes part in none, and where everybody may enrol
        assert_eq!(call(&["Birch Hospital", "Alder Clinic"], 3).unwrap(), (ids(&[1, 2]), None));
        assert_eq!(call(&[], 1).unwrap(), (Vec::new(), None));
        assert!(call(&["Cedar"], 1).unwrap_err().to_string().contains("there are Alder Clinic, Birch Hospital"));
        assert!(call(&["Notary"], 1).unwrap_err().to_string().contains("no participant"));
    }

    #[test]
    fn rules_that_the_chain_would_refuse_are_told_with_what_to_do() {
        let text = include_str!("../../../examples/breast-cancer/study.toml");
        let rules = StudyFile::parse(text).unwrap().rules(2_000, 4).unwrap();
        let said = refused(&RulesError::Invited, &rules);
        assert!(said.contains("0 are invited") && said.contains("--invite NAME"), "{said}");
        let said = refused(&RulesError::Kept, &rules);
        assert!(said.contains("keep_updates") && !said.contains("invited"), "{said}");
    }
}
