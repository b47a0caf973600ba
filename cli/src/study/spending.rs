//! What a private study promises, what its rounds have cost by the ledger's whole numbers, and what the data sets that are counted have
//! spent in all: one account, for `study N`, the report, the certificate, the model card and the dashboard; and what is read before signing.

use super::private::{cost, unit};
use crate::{
    chain::{budgets::Counts, Block, Chain},
    dashboard::state::{DatasetSpent, PrivacySpent},
    plain::counted,
    show::{name, Names},
};
use anyhow::Result;
use consilium_primitives::{
    budget::Budget,
    round::{Kind, RoundRecord, Study},
    rules::Privacy,
    InstitutionId, StudyId,
};
use consilium_privacy::{epsilon_micro, sum, words, Spend};
use consilium_study::StudySpec;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// First digits of a data set's hash that people read.
const SHORT: usize = 8;

/// What the chain says of a private study.
struct Facts<'a> {
    state: &'a Study,
    privacy: &'a Privacy,
    /// ε of its specification, in millionths.
    promised: Option<u32>,
    /// Closed rounds of training.
    ran: u32,
    counts: &'a Counts,
    /// Of each member the budget that it is counted for.
    budgets: &'a BTreeMap<InstitutionId, Budget>,
    names: &'a Names,
    block: u32,
}

/// How many rounds of training have closed, those included of which nothing came.
pub fn ran(records: &[RoundRecord]) -> u32 {
    let trained = records.iter().filter(|record| record.kind == Kind::Model && record.round > 0);
    u32::try_from(trained.count()).unwrap_or(u32::MAX)
}

/// The account of a study at a block; none where nothing is promised. `ran`: its closed rounds of training.
///
/// # Errors
/// The node does not answer.
pub async fn account(
    chain: &Chain,
    (number, state): (StudyId, &Study),
    spec: Option<&[u8]>,
    ran: u32,
    names: &Names,
    at: Block,
) -> Result<Option<PrivacySpent>> {
    let Some(privacy) = &state.rules.privacy else { return Ok(None) };
    let counts = chain.counts(number, state, at).await?;
    let mut budgets = BTreeMap::new();
    for (who, counted) in &counts {
        if let Some(budget) = chain.budget(who, &counted.dataset, at).await? {
            budgets.insert(*who, budget);
        }
    }
    let spec = spec.and_then(|bytes| StudySpec::from_canonical(bytes).ok());
    let promised = spec.and_then(|spec| spec.privacy).map(|privacy| privacy.epsilon_micro());
    let (counts, budgets, block) = (&counts, &budgets, at.number);
    Ok(Some(told(&Facts { state, privacy, promised, ran, counts, budgets, names, block })))
}

fn told(facts: &Facts<'_>) -> PrivacySpent {
    let Facts { state, privacy, .. } = facts;
    let member = |(site, member): (u8, &consilium_primitives::round::Member)| dataset(facts, site, &member.id);
    let sites: Vec<DatasetSpent> = (0u8..).zip(state.members.iter()).filter_map(member).collect();
    let rounds_micro = cost(privacy, facts.ran);
    // a site may have been charged more rounds than have closed
    let most = sites.iter().map(|site| site.study_micro).fold(rounds_micro, u64::max);
    PrivacySpent {
        promised_micro: facts.promised,
        delta_exp: privacy.delta_exp,
        unit: super::private::per(privacy.unit).into(),
        rounds: facts.ran,
        rounds_micro,
        all_rounds_micro: cost(privacy, state.rules.max_rounds),
        promise: promise(facts, rounds_micro),
        meaning: meaning(most, privacy),
        sites,
    }
}

/// What is promised, and what the rounds that ran have cost, in a sentence.
fn promise(facts: &Facts<'_>, rounds_micro: u64) -> String {
    let Facts { state, privacy, .. } = facts;
    let (delta, whom) = (words::delta(privacy.delta_exp), super::private::per(privacy.unit));
    let rounds = counted(state.rules.max_rounds.into(), "round");
    let promised = match facts.promised {
        Some(micro) => format!("each {whom} is promised {} ({delta}) for all {rounds}", words::epsilon(micro.into())),
        None => format!(
            "the chain keeps the specification, and what it promises each {whom}, no longer; by the rules all {rounds} cost {} ({delta})",
            words::epsilon(cost(privacy, state.rules.max_rounds))
        ),
    };
    match facts.ran {
        0 => format!("{promised}; no round has closed yet"),
        1 => format!("{promised}; the round that ran cost {}", words::epsilon(rounds_micro)),
        ran => format!("{promised}; the {ran} rounds that ran cost {}", words::epsilon(rounds_micro)),
    }
}

/// What it means that so much was spent; the last sentences say what is not counted.
fn meaning(micro: u64, privacy: &Privacy) -> Vec<String> {
    let mut lines = Vec::new();
    if micro > 0 {
        let whoever = words::meaning(micro, unit(privacy));
        lines.push(format!("At {}, the most that this study has cost any site: {whoever}", words::epsilon(micro)));
        // beyond the largest of them there is no such bound
        lines.extend(words::BOUNDS.iter().any(|(most, _)| micro <= *most).then(|| words::FINER.to_owned()));
    }
    if privacy.shared {
        let most = counted(privacy.colluders.into(), "site");
        lines.push(format!("The sites of a sum share its noise: this holds for each of them as long as no more than {most} beside it act together."));
    }
    lines.extend([words::ALIKE.to_owned(), words::COUNTED.to_owned()]);
    lines
}

/// What the data set of one member has spent; none of a member that the chain counts for none.
fn dataset(facts: &Facts<'_>, site: u8, who: &InstitutionId) -> Option<DatasetSpent> {
    let counted = facts.counts.get(who)?;
    let budget = facts.budgets.get(who);
    let mut told = DatasetSpent {
        site,
        name: name(facts.names, who),
        dataset: hex::encode(counted.dataset),
        rounds: counted.rounds,
        study_micro: cost(facts.privacy, counted.rounds),
        spent_micro: budget.map(Budget::epsilon_micro),
        limit_micro: budget.map(|budget| budget.limit_micro(facts.block)),
        words: String::new(),
    };
    told.words = site_words(&told, facts.promised);
    Some(told)
}

/// The same in a sentence.
fn site_words(told: &DatasetSpent, promised: Option<u32>) -> String {
    let set = told.dataset.get(..SHORT).unwrap_or(&told.dataset);
    let mut text = format!(
        "{}: {} of this study charged, {}",
        told.name,
        counted(told.rounds.into(), "round"),
        words::epsilon(told.study_micro)
    );
    // the ledger's sixteen orders alone cost a little more than all of them, by which noise was chosen
    if let Some(promised) = promised.map(u64::from).filter(|promised| told.study_micro > promised + promised / 50) {
        text += &format!(
            ", more than the {} of the promise: rounds are charged that had to be trained again, or of which nothing came",
            words::epsilon(promised)
        );
    }
    match told.spent_micro.zip(told.limit_micro) {
        Some((spent, limit)) => {
            let limit = words::epsilon(limit.into());
            text += &format!(
                "; all studies together {} of {} by the chain, on its data set {set}…",
                words::epsilon(spent),
                limit.trim_start_matches("ε ")
            );
        }
        None => {
            text += &format!("; the chain has no budget of its data set {set}… (`consilium budget audit` says more)")
        }
    }
    text
}

impl PrivacySpent {
    /// For people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let sites = self.sites.iter().map(|site| format!("  {}", site.words));
        let meaning = self.meaning.iter().map(|line| format!("  {line}"));
        std::iter::once(format!("privacy: {}", self.promise)).chain(sites).chain(meaning).collect()
    }

    /// What a certificate says of it: nothing that changes once the study is over.
    pub fn certified(&self) -> Value {
        let site = |site: &DatasetSpent| {
            json!({
                "name": site.name,
                "dataset": site.dataset,
                "rounds": site.rounds,
                "epsilon_micro": site.study_micro,
            })
        };
        json!({
            "promised_epsilon_micro": self.promised_micro,
            "delta_exp": self.delta_exp,
            "unit": self.unit,
            "rounds": self.rounds,
            "rounds_epsilon_micro": self.rounds_micro,
            "sites": self.sites.iter().map(site).collect::<Vec<_>>(),
        })
    }
}

/// What a study may cost a data set, for whoever is about to sign it: `block` is the one in which it would be.
pub fn before(dataset: &str, budget: &Budget, rules: (&Privacy, u32), block: u32) -> Vec<String> {
    let (privacy, max_rounds) = rules;
    let with = |rounds: u32| -> u64 {
        let more: Spend = privacy.spend.map(|one| one.saturating_mul(rounds.into()));
        epsilon_micro(&sum(budget.spent(), &more), privacy.delta_exp)
    };
    let limit = u64::from(budget.limit_micro(block));
    let fit = (1..=max_rounds).take_while(|rounds| with(*rounds) <= limit).count();
    let rounds = counted(max_rounds.into(), "round");
    let told = words::epsilon(limit);
    let mut lines = vec![format!(
        "on the chain {} of {} are spent on {dataset} ({}, {})",
        words::epsilon(budget.epsilon_micro()),
        told.trim_start_matches("ε "),
        words::delta(privacy.delta_exp),
        words::per(unit(privacy))
    )];
    let all = with(max_rounds);
    if all <= limit {
        lines.push(format!("with all {rounds} of this study it would be {}", words::epsilon(all)));
    } else {
        lines.push(format!(
            "with all {rounds} of this study it would be {}, which is more than it may cost: there is room for {fit}, and the chain takes no \
             update of ours after these",
            words::epsilon(all)
        ));
    }
    // what could leave at most is what there is room for
    lines.push(format!("then: {}", words::meaning(all.min(limit), unit(privacy))));
    lines.push("each update is charged in the block that it is committed in; nothing is given back".into());
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::{rules::PrivacyUnit, Hash};
    use pallet_swarm_learning::Counted;

    fn privacy() -> Privacy {
        Privacy {
            unit: PrivacyUnit::Patient,
            rate_ppm: 250_000,
            steps: 8,
            clip_micro: 500_000,
            sigma_1024: 3_072,
            delta_exp: 5,
            shared: false,
            colluders: 0,
            // in thousandths: a round costs about ε 1.24, three 2.12
            spend: [70, 105, 140, 180, 215, 260, 300, 400, 500, 760, 1200, 2000, 4500, 17000, 45000, 100000]
                .map(|thousandths: u64| thousandths * 1_000_000),
        }
    }

    /// The study of the tests with two rounds closed; its first member was charged three, its second two, its third none.
    fn account(promised: Option<u32>) -> PrivacySpent {
        let world = World::new();
        let mut state = world.history.info.state.clone();
        let privacy = privacy();
        state.rules.privacy = Some(privacy);
        let counted = |rounds| Counted { dataset: Hash::repeat_byte(7), rounds, last: None };
        let (first, second) = (state.members[0].id, state.members[1].id);
        let counts = Counts::from([(first, counted(3)), (second, counted(2))]);
        let mut budget = Budget::declare(8_000_000, 5, PrivacyUnit::Patient).unwrap();
        (0..5).for_each(|_| budget.charge(&privacy, 1).unwrap());
        let budgets = BTreeMap::from([(first, budget)]);
        told(&Facts {
            state: &state,
            privacy: &privacy,
            promised,
            ran: 2,
            counts: &counts,
            budgets: &budgets,
            names: &world.history.names,
            block: 1,
        })
    }

    #[test]
    fn promised_and_spent_are_told_by_the_ledger_s_own_numbers() {
        let told = account(Some(4_000_000));
        let two = cost(&privacy(), 2);
        assert_eq!((told.promised_micro, told.delta_exp, told.unit.as_str()), (Some(4_000_000), 5, "patient"));
        assert_eq!((told.rounds, told.rounds_micro), (2, two));
        assert!(told.promise.starts_with("each patient is promised ε 4 (δ 10⁻⁵) for all 3 rounds"), "{}", told.promise);
        let ran = format!("; the 2 rounds that ran cost {}", words::epsilon(two));
        assert!(told.promise.ends_with(&ran), "{}", told.promise);
        // the third member is counted for nothing
        assert_eq!(told.sites.iter().map(|site| (site.site, site.rounds)).collect::<Vec<_>>(), [(0, 3), (1, 2)]);
        let five = cost(&privacy(), 5);
        assert_eq!((told.sites[0].spent_micro, told.sites[0].limit_micro), (Some(five), Some(8_000_000)));
        let said = &told.sites[0].words;
        for part in [
            "site 1: 3 rounds of this study charged, ",
            &words::epsilon(cost(&privacy(), 3)),
            &format!("all studies together {} of 8 by the chain", words::epsilon(five)),
            "data set 07070707…",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(told.sites[1].words.contains("has no budget"), "{}", told.sites[1].words);
    }

    #[test]
    fn what_it_means_goes_by_the_site_that_was_charged_most() {
        let told = account(Some(4_000_000));
        let three = cost(&privacy(), 3);
        assert!(three > told.rounds_micro);
        assert_eq!(told.meaning[0].split(',').next().unwrap(), format!("At {}", words::epsilon(three)));
        assert!(told.meaning[0].ends_with(&words::meaning(three, consilium_privacy::Unit::Patient)));
        assert_eq!(told.meaning[1..], [words::FINER, words::ALIKE, words::COUNTED].map(str::to_owned));
        let lines = told.lines();
        assert!(lines[0].starts_with("privacy: each patient") && lines[1].starts_with("  site 1: "), "{lines:?}");
        assert_eq!(lines.len(), 1 + 2 + 4);
        // beyond all bounds none is told
        assert!(meaning(8_000_001, &privacy()).iter().all(|line| line != words::FINER));
        // shared noise hides nothing from those who together know the others' parts of it
        let shared = Privacy { shared: true, colluders: 2, ..privacy() };
        assert!(meaning(0, &shared)[0].ends_with("no more than 2 sites beside it act together."));
        // where nothing was spent there is nothing to guess from
        assert_eq!(meaning(0, &privacy()), [words::ALIKE, words::COUNTED].map(str::to_owned));
    }

    #[test]
    fn more_than_was_promised_is_said() {
        let over = account(Some(2_000_000));
        assert!(over.sites[0].words.contains("more than the ε 2 of the promise"), "{}", over.sites[0].words);
        let within = account(Some(4_000_000));
        assert!(!within.sites[0].words.contains("more than"), "{}", within.sites[0].words);
        let gone = account(None);
        assert!(gone.promise.starts_with("the chain keeps the specification"), "{}", gone.promise);
        assert!(gone.promise.contains(&words::epsilon(gone.all_rounds_micro)), "{}", gone.promise);
    }

    #[test]
    fn a_certificate_says_what_does_not_change_any_more() {
        let certified = account(Some(4_000_000)).certified();
        assert_eq!(certified["promised_epsilon_micro"], 4_000_000);
        assert_eq!((&certified["delta_exp"], &certified["rounds"]), (&json!(5), &json!(2)));
        assert_eq!(certified["sites"][0]["epsilon_micro"], cost(&privacy(), 3));
        // other studies go on spending
        assert!(!certified.to_string().contains("spent") && !certified.to_string().contains("limit"), "{certified}");
    }

    #[test]
    fn before_signing_it_is_said_how_many_rounds_there_is_room_for() {
        let mut budget = Budget::declare(8_000_000, 5, PrivacyUnit::Patient).unwrap();
        budget.charge(&privacy(), 1).unwrap();
        let text = before("oncology-2026", &budget, (&privacy(), 3), 1).join("\n");
        for part in [
            &format!("{} of 8 are spent on oncology-2026 (δ 10⁻⁵, per patient)", words::epsilon(cost(&privacy(), 1)))
                as &str,
            &format!("with all 3 rounds of this study it would be {}", words::epsilon(cost(&privacy(), 4))),
            "Whoever guesses from everything that left whether one particular patient",
            "nothing is given back",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("there is room for"), "{text}");
        // to the millionth: so much as three rounds more cost, and the fourth has none
        let limit = u32::try_from(cost(&privacy(), 4)).unwrap();
        let mut tight = Budget::declare(limit, 5, PrivacyUnit::Patient).unwrap();
        tight.charge(&privacy(), 1).unwrap();
        let text = before("oncology-2026", &tight, (&privacy(), 9), 1).join("\n");
        assert!(text.contains("there is room for 3, and the chain takes no update"), "{text}");
    }

    #[test]
    fn rounds_of_which_nothing_came_are_counted_and_the_first_model_is_not() {
        let records = World::new().history.records;
        let trained = records.iter().filter(|record| record.kind == Kind::Model && record.round > 0).count();
        assert!(trained > 0 && records.iter().any(|record| record.round == 0));
        assert_eq!(ran(&records) as usize, trained);
        assert_eq!(ran(&[]), 0);
    }
}
