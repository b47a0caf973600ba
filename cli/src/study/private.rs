//! What is said of a private study, and what its signers look at.

use anyhow::{bail, ensure, Context, Result};
use codec::Encode;
use consilium_primitives::{
    budget::{Budget, BudgetError},
    rules::{Privacy, PrivacyUnit},
    Hash, StudyId, StudyRules,
};
use consilium_privacy::{epsilon_micro, words, Spend, Unit};
use consilium_study::StudySpec;

/// Of whom the rules count.
pub fn unit(privacy: &Privacy) -> Unit {
    match privacy.unit {
        PrivacyUnit::Record => Unit::Record,
        PrivacyUnit::Patient => Unit::Patient,
    }
}

/// What so many rounds cost by what was signed, in millionths of ε.
pub fn cost(privacy: &Privacy, rounds: u32) -> u64 {
    let all: Spend = privacy.spend.map(|one| one.saturating_mul(u64::from(rounds)));
    epsilon_micro(&all, privacy.delta_exp)
}

/// What each data set of a private study's own network may cost, in millionths of ε: so much as is asked for, or what all rounds cost and
/// a hundredth more, since limits are told in such. None where nothing is promised.
///
/// # Errors
/// An ε that cannot be; one though nothing is counted.
pub fn budget(spec: &StudySpec, epsilon: Option<f64>) -> Result<Option<u32>> {
    let (Some(privacy), Some(promised)) = (spec.privacy_rules()?, &spec.privacy) else {
        ensure!(
            epsilon.is_none(),
            "--epsilon: this study promises no privacy, so that nothing is counted: leave it out"
        );
        return Ok(None);
    };
    if let Some(epsilon) = epsilon {
        ensure!(
            epsilon > 0.0 && epsilon <= 1_000.0,
            "--epsilon {epsilon}: must be above 0, and at most 1000; 1 to 8 are usual"
        );
        return Ok(Some((epsilon * 1e6).floor() as u32));
    }
    let hundredths = cost(&privacy, promised.rounds).div_ceil(10_000).saturating_add(1);
    Ok(Some(u32::try_from(hundredths.saturating_mul(10_000)).unwrap_or(u32::MAX)))
}

/// What the rules say of privacy, in a sentence; none where nothing is promised.
pub fn rule(rules: &StudyRules) -> Option<String> {
    let privacy = rules.privacy.as_ref()?;
    Some(format!(
        "what a round costs each site's data set is counted ({}, {}): one round alone {}, all {} rounds together {}. A step draws at a rate \
         of {}, no gradient is longer than {}, noise has σ {:.3}{}; a site whose ledger has no room left sends no update",
        words::delta(privacy.delta_exp),
        words::per(unit(privacy)),
        words::epsilon(cost(privacy, 1)),
        rules.max_rounds,
        words::epsilon(cost(privacy, rules.max_rounds)),
        f64::from(privacy.rate_ppm) / 1e6,
        f64::from(privacy.clip_micro) / 1e6,
        f64::from(privacy.sigma_1024) / 1024.0,
        together(privacy, rules.least_summed()),
    ))
}

/// Whose noise it is, where sites share it.
fn together(privacy: &Privacy, least: u32) -> String {
    if !privacy.shared {
        return String::new();
    }
    let whose = match least.saturating_sub(privacy.colluders.into()) {
        0 | 1 => "one site alone adds as much".to_owned(),
        some => format!("{some} sites together add as much"),
    };
    format!(
        ", which is that of a sum: {whose}, and it is enough as long as no more than {} of the others act together",
        privacy.colluders
    )
}

/// Whether the rules say of privacy what follows from the specification, and nothing else: the chain adds up what they say.
///
/// # Errors
/// What does not follow, and that nobody should sign it.
pub fn follows(spec: &[u8], rules: &StudyRules) -> Result<()> {
    let spec = StudySpec::from_canonical(spec).context("no worker takes this specification")?;
    spec.privacy_follows(rules).context(
        "what the rules say of privacy does not follow from the specification: the chain would count something else than sites spend. Its \
         proposer must register it anew; do not enrol",
    )
}

/// Whether a site that signs a private study has told its worker what may be spent.
///
/// # Errors
/// It has not; or it has, for a study that counts nothing.
pub fn counted<'a>(spec: &[u8], dataset: Option<&'a str>, epsilon: Option<f64>) -> Result<Option<(&'a str, f64)>> {
    let spec = StudySpec::from_canonical(spec).context("no worker takes this specification")?;
    if spec.privacy.is_none() {
        ensure!(
            dataset.is_none() && epsilon.is_none(),
            "this study promises no privacy, so that nothing is counted: leave --dataset and --epsilon out"
        );
        return Ok(None);
    }
    let both = dataset.zip(epsilon).context(
        "this study counts what it costs your rows: say under which name they are counted, the same in every study, and how much all studies \
         together may cost them: --dataset NAME --epsilon 8",
    )?;
    consilium_privacy::dataset_name(both.0).map_err(anyhow::Error::msg).context("--dataset")?;
    ensure!(
        both.1 > 0.0 && both.1 <= 1_000.0,
        "--epsilon {}: must be above 0, and at most 1000; 1 to 8 are usual",
        both.1
    );
    Ok(Some(both))
}

/// The data set that an enrolment names to the chain; none where nothing is promised.
///
/// # Errors
/// It names none, or one though nothing is counted.
pub fn named<'a>(spec: &[u8], dataset: Option<&'a str>) -> Result<Option<&'a str>> {
    let spec = StudySpec::from_canonical(spec).context("no worker takes this specification")?;
    if spec.privacy.is_none() {
        ensure!(dataset.is_none(), "this study promises no privacy, so that nothing is counted: leave --dataset out");
        return Ok(None);
    }
    let name = dataset.context(
        "this study counts what it costs your rows: say under which name they are counted, the same in every study: --dataset NAME",
    )?;
    consilium_privacy::dataset_name(name).map_err(anyhow::Error::msg).context("--dataset")?;
    Ok(Some(name))
}

/// Of whom is counted, as an option says it.
pub fn per(unit: PrivacyUnit) -> &'static str {
    match unit {
        PrivacyUnit::Record => "record",
        PrivacyUnit::Patient => "patient",
    }
}

/// Whether the chain would take an enrolment that is counted for this data set; `hint` is what a command needs to be signed as this one.
///
/// # Errors
/// No budget is declared; it counts otherwise; it has no room for a single round.
pub fn has_room(budget: Option<&Budget>, privacy: &Privacy, name: &str, block: u32, hint: &str) -> Result<()> {
    let Some(budget) = budget else {
        let (delta, unit) = (privacy.delta_exp, per(privacy.unit));
        bail!(
            "nobody has said on the chain what all studies together may cost {name}: your people decide on a number, and then \
             `consilium budget declare {name} --epsilon 8 --delta 1e-{delta} --unit {unit}{hint}`"
        );
    };
    match budget.affords(privacy, block) {
        Ok(()) => Ok(()),
        Err(BudgetError::Unit) => bail!(
            "{name} is counted per {}, and this study counts per {}: one data set is counted one way",
            per(budget.unit()),
            per(privacy.unit)
        ),
        Err(BudgetError::OtherDelta) => bail!(
            "{name} is counted at {}, and this study counts at {}: one data set is counted at one δ",
            words::delta(budget.delta_exp()),
            words::delta(privacy.delta_exp)
        ),
        Err(_) => bail!(
            "{} of {} are spent on {name}, and there is no room for a single round of {}: `consilium budget raise`, if your people agree to \
             that, holds after seven days",
            words::epsilon(budget.epsilon_micro()),
            words::epsilon(budget.limit_micro(block).into()),
            words::epsilon(cost(privacy, 1))
        ),
    }
}

/// The call that enrols, and its arguments; `dataset` is what it is counted for, if it is.
pub fn enrolment(study: StudyId, agreement: &Hash, samples: u32, dataset: Option<Hash>) -> (&'static str, Vec<u8>) {
    match dataset {
        None => ("enrol", (study, agreement, samples).encode()),
        Some(dataset) => ("enrol_private", (study, agreement, samples, dataset).encode()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    const PLAIN: &str = include_str!("../../../examples/breast-cancer/study.toml");

    /// The demo's study with a promise, and rules to it.
    fn private() -> (Vec<u8>, StudyRules) {
        let plain = StudyFile::parse(PLAIN).unwrap();
        let mut spec = plain.spec();
        spec.data.scaling = consilium_study::Scaling::None;
        (spec.training.batch_size, spec.training.epochs, spec.training.batches) = (0, 0, 0);
        let rules = StudyRules { statistics_len: 0, ..plain.rules(2_000, 4).unwrap() };
        let text = format!(
            "epsilon = 4.0\ndelta = 1e-5\nclip = 0.5\nrate = 0.25\nsteps = 8\nunit = \"record\"\nrounds = {}\n",
            rules.max_rounds
        );
        spec.privacy = Some(toml::from_str(&text).unwrap());
        let privacy = spec.privacy_rules().unwrap();
        (spec.canonical().unwrap(), StudyRules { privacy, target: None, patience: 0, ..rules })
    }

    #[test]
    fn spend_in_rules_that_does_not_follow_is_refused_at_enrolment() {
        let (spec, rules) = private();
        follows(&spec, &rules).unwrap();
        let right = rules.privacy.unwrap();
        let changes: [fn(&mut Privacy); 7] = [
            |p| p.spend[0] -= 1,
            |p| p.spend[15] += 1,
            |p| p.sigma_1024 -= 1,
            |p| p.steps -= 1,
            |p| p.rate_ppm += 1,
            |p| p.delta_exp -= 1,
            |p| p.unit = PrivacyUnit::Patient,
        ];
        for change in changes {
            let mut slip = right;
            change(&mut slip);
            let error =
                format!("{:#}", follows(&spec, &StudyRules { privacy: Some(slip), ..rules.clone() }).unwrap_err());
            assert!(error.contains("do not enrol") && error.contains("privacy"), "{error}");
        }
        // one side alone
        assert!(follows(&spec, &StudyRules { privacy: None, ..rules.clone() }).is_err());
        let plain = StudyFile::parse(PLAIN).unwrap();
        let plain_spec = plain.spec().canonical().unwrap();
        assert!(follows(&plain_spec, &rules).is_err());
        follows(&plain_spec, &plain.rules(2_000, 4).unwrap()).unwrap();
    }

    #[test]
    fn what_all_rounds_cost_is_said_before_anybody_signs() {
        let (_, rules) = private();
        let said = rule(&rules).unwrap();
        assert!(said.contains("δ 10⁻⁵, per record") && said.contains("σ "), "{said}");
        let privacy = rules.privacy.unwrap();
        assert!(said.contains(&words::epsilon(cost(&privacy, 1))), "{said}");
        // the sixteen orders of the ledger are at most a little dearer than all of them
        let all = cost(&privacy, rules.max_rounds);
        assert!(all > 3_900_000 && all <= 4_060_000, "{all}");
        assert!(rule(&StudyRules { privacy: None, ..rules }).is_none());
    }

    #[test]
    fn of_shared_noise_is_said_how_many_sites_add_all_of_it_and_what_must_follow() {
        let file = StudyFile::parse(include_str!("../../../examples/breast-cancer/shared.toml")).unwrap();
        let (spec, rules) = (file.spec().canonical().unwrap(), file.rules(2_000, 4).unwrap());
        let said = rule(&rules).unwrap();
        assert!(
            said.contains("3 sites together add as much") && said.contains("no more than 1 of the others"),
            "{said}"
        );
        follows(&spec, &rules).unwrap();
        // a sum over fewer sites would have less noise than was promised
        let error = format!("{:#}", follows(&spec, &StudyRules { min_participants: 3, ..rules.clone() }).unwrap_err());
        assert!(error.contains("4 is counted on") && error.contains("do not enrol"), "{error}");
        let (_, own) = private();
        assert!(!rule(&own).unwrap().contains("act together"), "each site adds all of it");
    }

    #[test]
    fn a_network_of_its_own_lets_a_data_set_cost_what_the_study_does() {
        let (spec, rules) = private();
        let spec = StudySpec::from_canonical(&spec).unwrap();
        let all = cost(&rules.privacy.unwrap(), rules.max_rounds);
        let own = u64::from(budget(&spec, None).unwrap().unwrap());
        assert!(own > all && own <= all + 20_000 && own % 10_000 == 0, "{own} for {all}");
        assert_eq!(budget(&spec, Some(8.0)).unwrap(), Some(8_000_000));
        assert!(budget(&spec, Some(0.0)).is_err());
        let plain = StudyFile::parse(PLAIN).unwrap().spec();
        assert_eq!(budget(&plain, None).unwrap(), None);
        assert!(budget(&plain, Some(8.0)).unwrap_err().to_string().contains("leave it out"));
    }

    #[test]
    fn a_private_study_is_signed_with_a_data_set_and_a_limit_and_no_other_with_them() {
        let (spec, _) = private();
        assert_eq!(counted(&spec, Some("oncology-2026"), Some(8.0)).unwrap(), Some(("oncology-2026", 8.0)));
        for (dataset, epsilon, words) in [
            (None, None, "--dataset NAME --epsilon 8"),
            (Some("x"), None, "--dataset NAME --epsilon 8"),
            (Some("../x"), Some(8.0), "no name of a data set"),
            (Some("x"), Some(0.0), "1 to 8 are usual"),
        ] {
            let error = format!("{:#}", counted(&spec, dataset, epsilon).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
        let plain = StudyFile::parse(PLAIN).unwrap().spec().canonical().unwrap();
        assert_eq!(counted(&plain, None, None).unwrap(), None);
        assert!(counted(&plain, Some("x"), None).unwrap_err().to_string().contains("leave --dataset"));
    }
    #[test]
    fn an_enrolment_names_its_data_set_to_the_chain_and_says_what_is_missing_before_it_does() {
        let (spec, rules) = private();
        let privacy = rules.privacy.unwrap();
        let plain = StudyFile::parse(PLAIN).unwrap().spec().canonical().unwrap();
        assert_eq!(named(&spec, Some("oncology-2026")).unwrap(), Some("oncology-2026"));
        assert_eq!(named(&plain, None).unwrap(), None);
        assert!(named(&spec, None).unwrap_err().to_string().contains("--dataset NAME"));
        assert!(named(&plain, Some("x")).is_err() && named(&spec, Some("../x")).is_err());
        let said = |budget: Option<Budget>| {
            has_room(budget.as_ref(), &privacy, "oncology", 1, " --dir alder").unwrap_err().to_string()
        };
        let none = said(None);
        let line = "`consilium budget declare oncology --epsilon 8 --delta 1e-5 --unit record --dir alder`";
        assert!(none.contains(line), "{none}");
        let budget = |limit, delta_exp, unit| Some(Budget::declare(limit, delta_exp, unit).unwrap());
        assert!(said(budget(8_000_000, 5, PrivacyUnit::Patient)).contains("one data set is counted one way"));
        assert!(said(budget(8_000_000, 6, PrivacyUnit::Record)).contains("one δ"));
        assert!(said(budget(1_000, 5, PrivacyUnit::Record)).contains("no room for a single round"));
        has_room(budget(8_000_000, 5, PrivacyUnit::Record).as_ref(), &privacy, "oncology", 1, "").unwrap();
        assert_eq!(enrolment(1, &Hash::zero(), 5, None).0, "enrol");
        let (call, arguments) = enrolment(1, &Hash::zero(), 5, Some(Hash::repeat_byte(7)));
        assert_eq!((call, arguments.len()), ("enrol_private", 4 + 32 + 4 + 32));
    }
}
