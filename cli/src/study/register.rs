//! `consilium study register`: a study is proposed.

use super::{find, private, validate::study_file};
use crate::{
    chain::{agreement_hash, consortium::Consortium, SWARM},
    motions::Acting,
    show::{self, print_json},
};
use anyhow::{bail, Context, Result};
use clap::Args;
use codec::Encode;
use consilium_primitives::{
    masks,
    rules::{liars_survived, RulesError, MAX_PARTICIPANTS},
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
    /// An institution that may enrol, by name or id or a beginning that no other has; give it once for each. The one
    /// that proposes is invited with them. Left out: every participant
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
    let here = chain.consortium(chain.best().await?).await?;
    let institutions = chain.institutions(here.at).await?;
    let (proposer, own) = Acting::institution(&chain, &signer).await?;
    let (invited, added) = invited(&options.invited, &proposer, &here, &institutions)?;
    let circle = circle(&invited, added.as_deref(), &proposer, &institutions);
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
    let masks = rules.masked.and_then(|_| of_masks(takers, rules.min_participants));
    if let Some(masks) = &masks {
        eprintln!("warning: {shown}: {masks}");
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
            "masks": masks,
            "rules": show::rules_json(&rules),
        }));
    }
    out!("study {number} is registered by {own}; its agreement is {}", hex::encode(agreement));
    circle.iter().for_each(|line| out!("  {line}"));
    out!("  with {takers} participants, {traffic} bytes go through each site's link in a round");
    out!("  each site reads it (consilium study {number} --dir FOLDER), and enrols with its table and its own folder:");
    let agreement = hex::encode(agreement);
    let counted = rules.privacy.map_or("", |_| " --dataset NAME --epsilon 8");
    out!("    consilium study enrol {number} --agreement {agreement} --data FILE{counted} --dir FOLDER");
    if let Some(privacy) = &rules.privacy {
        let (delta, unit) = (privacy.delta_exp, private::per(privacy.unit));
        out!("  before that, where its people have not said yet what all studies together may cost these rows:");
        out!("    consilium budget declare NAME --epsilon 8 --delta 1e-{delta} --unit {unit} --dir FOLDER");
    }
    out!("  when all have: consilium study start {number}{}", acting.hint());
    Ok(())
}

/// What masks among so few mean, for people; none where they hide an update well.
fn of_masks(takers: u32, fewest: u32) -> Option<String> {
    if takers <= masks::LEAST {
        return Some(
            "with three hospitals each sees the sum of the other two, and two together see the third; if one fails in a round, the \
             round waits. Invite four or more"
                .into(),
        );
    }
    // so many liars among them are survived
    let safe = liars_survived(takers).saturating_add(2).max(masks::LEAST);
    (fewest < safe).then(|| {
        format!(
            "min_participants is {fewest}: with masks and {takers} hospitals, {safe} or more keep a sum from telling of one hospital even \
             where finality is broken (docs/masks.md)"
        )
    })
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
        RulesError::MaskedRule => "masked goes with merge = \"mean\" alone: every other merge looks at single updates",
        RulesError::MaskedLiars => "masked goes with liars = 0 alone: the mean tolerates none",
        RulesError::MaskedBound => "masked does not go with norm_bound = \"median\": write a length",
        RulesError::MaskedMixing => "masked does not go with mixing, which compares single updates",
        RulesError::MaskedParticipants => "masked needs min_participants of 3 or more",
        RulesError::MaskedShare => "masked needs max_share of 0.5 or less",
        RulesError::MaskedRange => "masked_range must be a power of two between 2^-16 and 2^16",
        RulesError::MaskedLength => "a masked file of the model is empty, or larger than 4 GiB",
        RulesError::PrivacyRate => "privacy.rate must be above 0, and at most 1",
        RulesError::PrivacySteps => "privacy.steps and privacy.clip must be above 0",
        RulesError::PrivacyNoise => "privacy leaves no noise: ask for a smaller epsilon",
        RulesError::PrivacyDelta => "privacy.delta must be a power of ten from 1e-3 to 1e-12",
        RulesError::PrivacySpend => "a round would cost nothing: ask for a smaller privacy.delta or more steps",
        RulesError::PrivacyShared => {
            "privacy.noise = \"shared\" needs masked = true, steps = 1, merge = \"mean\" by samples, max_share = 1.0, and no norm_bound"
        }
        RulesError::PrivacyColluders => {
            "privacy.colluders is for noise = \"shared\" alone, and must lie between 1 and two thirds of min_participants"
        }
        RulesError::PrivacyFigures => {
            "[privacy] goes with neither target_loss nor patience, nor with scaling by the sites' rows"
        }
    }
}

/// Ids of the invited, sorted as the chain wants them; and the proposer's name, where it is invited without having been
/// named: who proposes a study takes part in it, where it takes part in any.
fn invited(
    texts: &[String],
    proposer: &InstitutionId,
    here: &Consortium,
    institutions: &[InstitutionNotice],
) -> Result<(Vec<InstitutionId>, Option<String>)> {
    let mut ids = BTreeSet::new();
    for text in texts {
        let id = InstitutionId(here.find(text).context("--invite")?.into());
        if !institutions.iter().any(|i| i.id == id && i.participant) {
            let name = show::name(&show::names(institutions), &id);
            bail!("--invite {text}: {name} is no participant of the consortium");
        }
        ids.insert(id);
    }
    let own = institutions.iter().find(|i| i.id == *proposer && i.participant);
    let own = own.filter(|own| !ids.is_empty() && ids.insert(own.id));
    let added = own.map(|own| show::name(&show::names(institutions), &own.id));
    Ok((ids.into_iter().collect(), added))
}

/// Who may enrol, by name: nobody is to be invited without the proposer's knowing whom.
fn circle(
    invited: &[InstitutionId],
    added: Option<&str>,
    proposer: &InstitutionId,
    institutions: &[InstitutionNotice],
) -> Vec<String> {
    let names = show::names(institutions);
    let listed = |ids: &[InstitutionId]| ids.iter().map(|id| show::name(&names, id)).collect::<Vec<_>>().join(", ");
    let all: Vec<InstitutionId> = institutions.iter().filter(|i| i.participant).map(|i| i.id).collect();
    let (first, added) = if invited.is_empty() {
        let own = all.contains(proposer).then(|| show::name(&names, proposer));
        (format!("no --invite was given: all {} participants are invited: {}", all.len(), listed(&all)), own)
    } else {
        (format!("invited are {}", listed(invited)), added.map(str::to_owned))
    };
    let mut lines = vec![first];
    lines.extend(added.map(|name| format!("{name}, which proposes it, is invited with the others")));
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::motions::tally::tests::consortium;
    use consilium_primitives::Name;
    use consilium_study::StudyFile;

    fn three() -> [InstitutionNotice; 3] {
        let notice = |n: u8, name: &str, participant| InstitutionNotice {
            id: InstitutionId([n; 32]),
            name: Name::truncate_from(name.into()),
            peer_id: None,
            validator: true,
            participant,
        };
        [notice(1, "Alder Clinic", true), notice(2, "Birch Hospital", true), notice(3, "Notary", false)]
    }

    #[test]
    fn what_masks_among_so_few_mean_is_said() {
        let said = of_masks(3, 3).unwrap();
        for part in
            ["each sees the sum of the other two", "two together see the third", "the round waits", "four or more"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!(of_masks(4, 3), None);
        // of seven, two liars are survived
        assert!(of_masks(7, 3).unwrap().contains("4 or more"));
        assert_eq!(of_masks(7, 4), None);
    }

    #[test]
    fn who_is_invited_is_named_also_where_nobody_was() {
        let (all, own) = (three(), InstitutionId([1; 32]));
        let said = circle(&[], None, &own, &all).join("\n");
        for part in
            ["no --invite was given", "all 2 participants", ": Alder Clinic, Birch Hospital\n", "Alder Clinic, which"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(!said.contains("Notary"), "{said}");
        assert_eq!(circle(&[], None, &InstitutionId([3; 32]), &all).len(), 1, "it takes part in none");
        let said = circle(&[own, InstitutionId([2; 32])], Some("Alder Clinic"), &own, &all);
        assert_eq!(
            said,
            ["invited are Alder Clinic, Birch Hospital", "Alder Clinic, which proposes it, is invited with the others"]
        );
    }

    #[test]
    fn who_proposes_is_invited_with_those_it_names_and_told_so() {
        let all = three();
        let here = consortium(&["Alder Clinic", "Birch Hospital", "Notary"]);
        let call = |texts: &[&str], proposer: u8| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            invited(&texts, &InstitutionId([proposer; 32]), &here, &all)
        };
        let ids = |of: &[u8]| of.iter().map(|n| InstitutionId([*n; 32])).collect::<Vec<_>>();
        assert_eq!(call(&["Birch Hospital"], 1).unwrap(), (ids(&[1, 2]), Some("Alder Clinic".into())));
        assert_eq!(call(&["Birch Hospital", "Alder Clinic"], 1).unwrap(), (ids(&[1, 2]), None));
        // a beginning that no other has, and an id, are enough
        assert_eq!(call(&["Birch"], 1).unwrap().0, ids(&[1, 2]));
        assert_eq!(call(&[InstitutionId([2; 32]).to_string().as_str()], 1).unwrap().0, ids(&[1, 2]));
        // who takes part in none, and where everybody may enrol
        assert_eq!(call(&["Birch Hospital", "Alder Clinic"], 3).unwrap(), (ids(&[1, 2]), None));
        assert_eq!(call(&[], 1).unwrap(), (Vec::new(), None));
        let said = format!("{:#}", call(&["Cedar"], 1).unwrap_err());
        assert!(said.contains("--invite: \"Cedar\"") && said.contains("Alder Clinic"), "{said}");
        assert!(call(&["Notary"], 1).unwrap_err().to_string().contains("Notary is no participant"));
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
