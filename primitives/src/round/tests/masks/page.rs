//! The states of masked rounds, and which follows which: the second table of `docs/states.md` is what these rounds do.

use super::*;
use crate::round::tests::states::page;

/// A state by the page's name; none for those in which nothing is masked.
fn name(study: &Study) -> &'static str {
    match &study.phase {
        Phase::Collecting(_) => match study.masking.pair.as_ref().map(|pair| pair.step) {
            Some(PairingStep::Keys) => "keys",
            Some(PairingStep::Deal) => "deals",
            Some(PairingStep::Paired) => "masking",
            None => "unpaired",
        },
        Phase::Gathering(_) => "gathering",
        Phase::Revealing(_) => "revealing",
        Phase::Summing(_) => "summing",
        Phase::Paused(_) => "paused",
        Phase::Init { .. } => "initial model",
        Phase::Certifying(_) => "certifying",
        Phase::Aborted { .. } => "ended",
        Phase::Enrolling { .. } | Phase::Merging(_) | Phase::FinalEvaluation { .. } | Phase::Completed(_) => "other",
    }
}

/// What one step after the other led to.
struct Walk {
    shell: Shell,
    moves: BTreeSet<(String, String)>,
}

impl Walk {
    fn begin(rules: StudyRules) -> Self {
        let mut shell = Shell::enrolled(rules, &[100; 4]);
        shell.step(Event::Start { who: id(1) }).expect("may start");
        let mut walk = Self { shell, moves: BTreeSet::new() };
        walk.init();
        walk
    }

    fn init(&mut self) {
        self.each(|shell, member| match shell.study.phase {
            Phase::Init { .. } => shell.vote(member, VoteBody::Root(hash("init"))).map(drop),
            _ => Ok(()),
        });
    }

    fn note(&mut self, mut step: impl FnMut(&mut Shell)) {
        let from = name(&self.shell.study);
        step(&mut self.shell);
        let to = name(&self.shell.study);
        let inner = ["keys", "deals", "masking", "gathering", "revealing", "summing"];
        let masked = inner.contains(&from) || from == "paused" && inner.contains(&to);
        if from != to && masked {
            self.moves.insert((from.to_owned(), to.to_owned()));
        }
    }

    /// Each member does this; what is not asked of it, it leaves.
    fn each(&mut self, mut act: impl FnMut(&mut Shell, u8) -> Result<(), Refusal>) {
        for member in 0..4 {
            self.note(|shell| {
                let _ = act(shell, member);
            });
        }
    }

    fn keys(&mut self, members: u8) {
        self.each(|shell, member| if member < members { shell.give_keys(member).map(drop) } else { Ok(()) });
    }

    fn deals(&mut self, members: u8) {
        self.each(|shell, member| match shell.study.masking.pair {
            Some(Pairing { step: PairingStep::Deal, .. }) if member < members => shell.deal_all(member).map(drop),
            _ => Ok(()),
        });
    }

    fn masks(&mut self, members: u8) {
        self.each(|shell, member| match shell.study.masking.pair {
            Some(Pairing { step: PairingStep::Paired, .. }) if member < members => shell.mask(member).map(drop),
            _ => Ok(()),
        });
    }

    fn gathers(&mut self) {
        self.each(|shell, member| shell.gather(member).map(drop));
    }

    fn reveals(&mut self, members: u8, without: u64) {
        self.each(|shell, member| {
            if member >= members || !matches!(shell.study.phase, Phase::Revealing(_)) {
                return Ok(());
            }
            let bytes = shell.shares_of(member, without);
            shell.post(member, bytes).map(drop)
        });
    }

    fn sums(&mut self, body: impl Fn(u8) -> VoteBody) {
        self.each(|shell, member| match shell.study.phase {
            Phase::Summing(_) => shell.vote(member, body(member)).map(drop),
            _ => Ok(()),
        });
    }

    fn deadlines(&mut self, times: u32) {
        (0..times).for_each(|_| self.note(Shell::deadline));
    }

    fn until_paused(&mut self) {
        while !matches!(self.shell.study.phase, Phase::Paused(_)) {
            self.deadlines(1);
        }
    }

    fn resume(&mut self) {
        self.note(|shell| drop(shell.step(Event::Resume { who: id(1) })));
    }

    fn reach_gathering(&mut self) {
        self.keys(4);
        self.deals(4);
        self.masks(4);
    }

    fn reach_revealing(&mut self) {
        self.reach_gathering();
        self.gathers();
    }

    fn reach_summing(&mut self) {
        self.reach_revealing();
        self.reveals(4, 0);
    }
}

#[test]
fn the_page_has_the_moves_of_masked_rounds() {
    let long = StudyRules { max_rounds: 9, ..masked() };
    let mut made = BTreeSet::new();
    let mut walk = Walk::begin(long.clone());
    // keys, deals, files too few; each taken up again
    walk.keys(2);
    walk.deadlines(2);
    walk.resume();
    walk.keys(4);
    walk.deals(1);
    walk.deadlines(1);
    walk.keys(3);
    walk.deadlines(1);
    walk.deals(1);
    walk.deadlines(1);
    walk.resume();
    walk.keys(4);
    walk.deals(4);
    walk.masks(2);
    walk.until_paused();
    walk.resume();
    walk.reach_gathering();
    walk.until_paused();
    walk.resume();
    // too few shares; then of one secret too few
    walk.reach_revealing();
    walk.until_paused();
    walk.resume();
    walk.reveals(4, 1);
    // no agreement; then void, twice
    walk.reach_summing();
    (0..3).for_each(|_| walk.sums(|member| VoteBody::Summed { root: hash(&format!("own {member}")), pooled: None }));
    walk.resume();
    walk.sums(|_| VoteBody::Void(VoidReason::OutOfRange));
    assert_eq!(walk.shell.paused(), PauseReason::SumsUnusable);
    walk.resume();
    walk.reach_summing();
    walk.sums(|_| VoteBody::Summed { root: hash("merge"), pooled: None });
    made.extend(walk.moves);
    // a sum that people give up
    let mut walk = Walk::begin(long);
    walk.reach_revealing();
    walk.until_paused();
    walk.note(|shell| drop(shell.step(Event::Abandon { who: id(1) })));
    made.extend(walk.moves);
    // the last evaluation
    let mut walk = Walk::begin(StudyRules { max_rounds: 1, ..masked() });
    for root in [hash("merge"), Hash::zero()] {
        walk.reach_summing();
        walk.sums(|_| VoteBody::Summed { root, pooled: None });
    }
    made.extend(walk.moves);
    // statistics
    let of_statistics = Masked { range_log2: 2, statistics_len: 700, figures_len: FIGURES };
    let statistics = StudyRules { statistics_len: 800, masked: Some(of_statistics), ..masked() };
    for body in [VoteBody::Summed { root: hash("statistics"), pooled: None }, VoteBody::Void(VoidReason::OutOfRange)] {
        let mut walk = Walk::begin(statistics.clone());
        walk.reach_summing();
        walk.sums(|_| body);
        made.extend(walk.moves);
    }
    let page = page("*");
    let (more, fewer): (Vec<_>, Vec<_>) = (made.difference(&page).collect(), page.difference(&made).collect());
    assert!(
        more.is_empty() && fewer.is_empty(),
        "made and not on the page: {more:#?}; on the page and never made: {fewer:#?}"
    );
}
