//! Sums that are right, and each way in which they are not.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::audit::{history::History, testing::World};
use consilium_primitives::{rules::Privacy, PrivacyUnit};

fn set() -> Hash {
    Hash::repeat_byte(7)
}

fn privacy() -> Privacy {
    Privacy {
        unit: PrivacyUnit::Record,
        rate_ppm: 250_000,
        steps: 8,
        clip_micro: 500_000,
        sigma_1024: 3_072,
        delta_exp: 5,
        shared: false,
        colluders: 0,
        spend: std::array::from_fn(|place| 1_000_000 + place as u64),
    }
}

/// A study of three closed rounds; its specification was let go of, since the tests' one promises nothing.
fn history() -> History {
    let mut history = World::new().history;
    history.info.state.rules.privacy = Some(privacy());
    history
}

fn kept(history: &History) -> Option<Kept> {
    Some(Kept { info: history.info.clone(), spec: None, records: history.records.clone() })
}

fn charged(rounds: u32) -> Budget {
    let mut budget = Budget::declare(8_000_000, 5, PrivacyUnit::Record).unwrap();
    (0..rounds).for_each(|_| budget.charge(&privacy(), 1).unwrap());
    budget
}

/// Two studies, in which every member was charged four rounds and one, all for one data set of its own.
fn facts() -> (Facts, Vec<InstitutionId>) {
    let history = history();
    let members: Vec<InstitutionId> = history.info.state.members.iter().map(|member| member.id).collect();
    let mut second = history.clone();
    (second.info.state.round, second.records) = (0, Vec::new());
    let mut facts = Facts::default();
    facts.studies.insert(0, kept(&history));
    facts.studies.insert(1, kept(&second));
    for who in &members {
        facts.counts.insert((0, *who), Counted { dataset: set(), rounds: 4, last: None });
        facts.counts.insert((1, *who), Counted { dataset: set(), rounds: 1, last: None });
        facts.budgets.insert((*who, set()), charged(5));
    }
    (facts, members)
}

/// What is said of the first member's data set.
fn said(facts: &Facts, who: InstitutionId) -> (Verdict, String) {
    let found = of_set(facts, (who, set()));
    (found.verdict, found.notes.join("\n"))
}

#[test]
fn a_budget_that_holds_what_all_studies_have_charged_is_verified() {
    let (facts, members) = facts();
    let (all, _) = held(&facts, &Names::new());
    assert_eq!(all.len(), members.len());
    assert!(all.iter().all(|held| held.verdict == Verdict::Verified && held.notes.is_empty()), "{all:?}");
    let first = all.iter().find(|held| held.set.0 == members[0]).unwrap();
    assert_eq!(first.parts, [Part { study: 0, rounds: 4, updates: 3 }, Part { study: 1, rounds: 1, updates: 0 }]);
    let text = lines(first, &Names::new(), 1).join("\n");
    let spent = words::epsilon(charged(5).epsilon_micro());
    for part in [
        &format!("verified; {spent} of 8 spent (δ 10⁻⁵, per record)") as &str,
        "study 0: 4 rounds charged, of which 3 have its update",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let told = told(first, &Names::new(), 1);
    assert_eq!((&told["verdict"], &told["studies"][1]["rounds"]), (&json!("verified"), &json!(1)));
    assert_eq!(told["epsilon_micro"], charged(5).epsilon_micro());
}

#[test]
fn a_budget_that_holds_more_or_less_than_was_charged_differs_with_both_numbers() {
    let (mut facts, members) = facts();
    let who = members[0];
    for holds in [4, 6] {
        facts.budgets.insert((who, set()), charged(holds));
        let (verdict, text) = said(&facts, who);
        assert_eq!(verdict, Verdict::Differs);
        let wanted = format!(
            "holds {} billionths at order 2, and what studies have charged comes to 5000000",
            holds * 1_000_000
        );
        assert!(text.contains(&wanted), "{text}");
    }
    // a study that took its charge back, or one that nobody wrote down
    facts.budgets.insert((who, set()), charged(5));
    assert_eq!(said(&facts, who), (Verdict::Verified, String::new()));
    facts.counts.remove(&(1, who));
    assert_eq!(said(&facts, who).0, Verdict::Differs);
    // spent without any study
    facts.counts.remove(&(0, who));
    assert!(said(&facts, who).1.contains("comes to 0"));
    // others' sums stay right
    assert_eq!(said(&facts, members[1]).0, Verdict::Verified);
}

#[test]
fn what_is_charged_to_no_budget_or_for_no_update_is_found() {
    let (mut facts, members) = facts();
    let who = members[0];
    facts.budgets.remove(&(who, set()));
    assert!(said(&facts, who).1.contains("it has no budget on the chain"));
    // fewer rounds than updates, though the sum is that of the rounds
    facts.counts.insert((0, who), Counted { dataset: set(), rounds: 2, last: None });
    facts.budgets.insert((who, set()), charged(3));
    let (verdict, text) = said(&facts, who);
    assert_eq!(verdict, Verdict::Differs);
    assert!(text.contains("study 0: 2 rounds were charged, and 3 have its update"), "{text}");
    let other = Budget::declare(8_000_000, 6, PrivacyUnit::Record).unwrap();
    facts.budgets.insert((who, set()), other);
    assert!(said(&facts, who).1.contains("at another δ"));
    // a member that no data set is counted for
    facts.counts.remove(&(1, who));
    let (_, loose) = held(&facts, &Names::new());
    let found = loose.iter().filter(|(verdict, text)| {
        *verdict == Verdict::Differs && text.starts_with("study 1: ") && text.contains("names no data set")
    });
    assert_eq!(found.count(), 1, "{loose:?}");
}

#[test]
fn what_cannot_be_looked_at_is_said_with_why() {
    let (mut facts, members) = facts();
    let (_, loose) = held(&facts, &Names::new());
    // of the second study, which never started, the chain keeps no specification
    assert_eq!(loose.len(), 1, "{loose:?}");
    assert!(loose[0].0 == Verdict::Missing && loose[0].1.contains("study 0: the chain has no specification"));
    if let Some(Some(kept)) = facts.studies.get_mut(&0) {
        kept.records.retain(|record| record.kind != Kind::Model || record.round != 1);
    }
    let (_, loose) = held(&facts, &Names::new());
    assert!(loose[0].1.contains("no record of 1 of its closed rounds, the first of which is 1"), "{loose:?}");
    facts.studies.insert(1, None);
    let (verdict, text) = said(&facts, members[0]);
    assert!(text.contains("study 1 has charged it, and the chain has no such study"), "{text}");
    assert_eq!(verdict, Verdict::Differs, "and then the sum is not right either");
}

#[test]
fn a_cost_that_does_not_follow_from_the_specification_differs() {
    let history = history();
    let mut kept = kept(&history).unwrap();
    // it promises nothing, and the rules do
    kept.spec = history.spec.clone();
    let (verdict, text) = of_study(3, &kept).unwrap();
    assert!(verdict == Verdict::Differs && text.contains("does not follow") && text.contains("audit 3"), "{text}");
    kept.info.state.rules.privacy = None;
    assert_eq!(of_study(3, &kept), None);
    assert_eq!(end(Verdict::Verified, 3), "all 3 budgets hold exactly what the studies have charged to them");
    assert!(end(Verdict::Verified, 0).contains("no data set has a budget"));
    assert!(end(Verdict::Differs, 0).contains("is not what"));
}
