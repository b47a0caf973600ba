//! The states of a study, and which follows which: the table of `docs/states.md` is what random studies and the rules' own ends do.

use super::{plain, properties::scenario, simulate::run, *};
use crate::rules::OnStall;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngSeed, TestRunner},
};

/// How many random studies are looked at.
const STUDIES: u32 = 600;

/// A state by the page's name.
fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Enrolling { .. } => "enrolling",
        Phase::Collecting(c) if c.kind == Kind::Statistics => "statistics",
        Phase::Collecting(_) => "training",
        Phase::Init { .. } => "initial model",
        Phase::Merging(m) if m.kind == Kind::Statistics => "merging statistics",
        Phase::Merging(_) => "merging",
        Phase::Gathering(_) => "gathering",
        Phase::Revealing(_) => "revealing",
        Phase::Summing(_) => "summing",
        Phase::FinalEvaluation { .. } => "final evaluation",
        Phase::Certifying(_) => "certifying",
        Phase::Paused(_) => "paused",
        Phase::Completed(_) => "completed",
        Phase::Aborted { .. } => "ended",
    }
}

/// What a step did, where it led to another state, or from one round's merge to the next one's.
pub(super) fn a_move(before: &Study, after: &Study) -> Option<(&'static str, &'static str)> {
    let (from, to) = (name(&before.phase), name(&after.phase));
    (from != to || to == "merging" && before.round != after.round).then_some((from, to))
}

/// The moves of the page, of rows whose first cell is marked so: a row is a state, and one that may follow it.
pub(super) fn page(mark: &str) -> BTreeSet<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/states.md");
    let text = std::fs::read_to_string(page).expect("docs/states.md");
    let mut moves = BTreeSet::new();
    for line in
        text.lines().filter(|line| line.starts_with(&format!("| {mark}")) && !line[2 + mark.len()..].starts_with('*'))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [from, to, _why] = cells.as_slice() else { panic!("{line}: a state, what follows, and when") };
        assert!(moves.insert((from.trim_matches('*').to_owned(), (*to).to_owned())), "{line}: twice");
    }
    moves
}

/// Ends that random studies do not come to.
fn ends(made: &mut BTreeSet<(&'static str, &'static str)>) {
    // nobody starts it
    let mut alone = Shell::enrolled(plain(), &[100]);
    alone.deadline();
    made.extend(alone.moves);
    // the rules end it where too few updates come
    let mut stalled = Shell::training(StudyRules { on_stall: OnStall::Abort, ..plain() }, &[100; 3]);
    while !stalled.study.ended() {
        stalled.deadline();
    }
    made.extend(stalled.moves);
    let statistics = StudyRules { on_stall: OnStall::Abort, ..testing::rules() };
    let mut stalled = Shell::enrolled(statistics, &[100; 3]);
    stalled.step(Event::Start { who: id(1) }).expect("may start");
    while !stalled.study.ended() {
        stalled.deadline();
    }
    made.extend(stalled.moves);
}

#[test]
fn the_page_has_the_moves_that_studies_make_and_no_others() {
    let mut made = BTreeSet::new();
    let config =
        ProptestConfig { rng_seed: RngSeed::Fixed(16), failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let studies = scenario(2..=7, prop_oneof![Just(0u32), Just(60), Just(200), Just(600)], true);
    for _ in 0..STUDIES {
        let scenario = studies.new_tree(&mut runner).expect("a scenario").current();
        made.extend(run(scenario).shell.moves);
    }
    ends(&mut made);
    let made: BTreeSet<(String, String)> =
        made.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
    let page = page("**");
    let (more, fewer): (Vec<_>, Vec<_>) = (made.difference(&page).collect(), page.difference(&made).collect());
    assert!(
        more.is_empty() && fewer.is_empty(),
        "made and not on the page: {more:#?}; on the page and never made: {fewer:#?}"
    );
}
