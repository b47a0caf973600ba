//! Whose turn it is, and what nobody wants any more.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_primitives::{duty::PROTOCOL_VERSION, DutyKind, DutyOrder, DutyRequest, DutyState, FailureCode, Hash};
use consilium_study::StudySpec;
use std::{
    fs,
    time::{Duration, Instant},
};
use support::{below, demo_csv, endless, entry, entry_with, order, prepare, root, unscaled, Door, Process, AGREEMENT};

/// The agreement of another study.
const OTHER: Hash = Hash::repeat_byte(8);

/// A real worker that works for two agreements, in the first of which it trains what has no end.
struct Site {
    dir: tempfile::TempDir,
    process: Process,
    spec: StudySpec,
    short: StudySpec,
    long: DutyOrder,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), &demo_csv(1));
        fs::write(dir.path().join("other.csv"), demo_csv(2)).unwrap();
        fs::write(dir.path().join("sites.toml"), entry(&AGREEMENT) + &entry_with(&OTHER, "other.csv")).unwrap();
        let process = Process::serve(dir.path());
        let (spec, short) = (endless(), unscaled(1));
        let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
        let long = order(&spec, DutyKind::Train, 1, Some(base));
        process.running(&spec, &long);
        Self { dir, process, spec, short, long }
    }

    /// A short training of the other study, whose initial model is made.
    fn other(&self) -> DutyOrder {
        let with = |kind, round, base| {
            let mut order = order(&self.short, kind, round, base);
            order.duty.agreement = OTHER;
            order
        };
        let base = root(self.process.done(&self.short, &with(DutyKind::Init, 0, None)));
        with(DutyKind::Train, 1, Some(base))
    }

    /// One list of what is asked.
    fn asks(&self, orders: &[&DutyOrder]) -> Vec<DutyState> {
        let specs = [&self.spec, &self.short].iter().map(|spec| spec.canonical().unwrap()).collect();
        let orders = orders.iter().map(|order| (*order).clone()).collect();
        let reply = self.process.answer(&DutyRequest {
            version: PROTOCOL_VERSION,
            specs,
            orders,
            ahead: vec![],
            masked: vec![],
        });
        reply.answers.into_iter().map(|answer| answer.state).collect()
    }

    /// Asks for these until something holds; gives how long it took.
    fn until(&self, orders: &[&DutyOrder], look: impl Fn(&[DutyState]) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let states = self.asks(orders);
            if look(&states) {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "still {states:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn trains(&self) -> bool {
        self.process.status()["duties"] != serde_json::json!([])
    }

    fn checkpoints(&self) -> usize {
        below(self.dir.path()).iter().filter(|f| f.to_string_lossy().contains("checkpoint-")).count()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

fn done(state: &DutyState) -> bool {
    matches!(state, DutyState::Done(_))
}

#[test]
fn a_training_that_is_asked_for_no_more_stops_keeps_a_checkpoint_and_can_be_taken_up() {
    let site = Site::new();
    // a node that says nothing, as while it starts anew, takes nothing back
    std::thread::sleep(Duration::from_secs(12));
    assert!(site.trains());
    // one that lists other things, or nothing, does: the study was aborted, or is paused, or this site has withdrawn
    assert!(site.until(&[], |_| !site.trains()) < Duration::from_secs(20));
    assert_eq!(site.checkpoints(), 1);
    assert!(site.log().contains("stopped: the node asks for it no longer"), "{}", site.log());
    site.process.running(&site.spec, &site.long);
    assert!(site.log().contains("goes on after step"), "{}", site.log());
}

#[test]
fn a_training_that_the_round_went_on_without_does_not_hold_up_the_next_round() {
    let site = Site::new();
    let next = DutyOrder { duty: consilium_primitives::Duty { round: 2, ..site.long.duty }, ..site.long.clone() };
    let took = site.until(&[&next], |states| matches!(states[0], DutyState::Running { .. }));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_training_stops_when_its_agreement_is_taken_out_of_sites_toml() {
    let site = Site::new();
    fs::write(site.dir.path().join("sites.toml"), entry_with(&OTHER, "other.csv")).unwrap();
    // whether its node asks or not
    let end = Instant::now() + Duration::from_secs(25);
    while site.trains() {
        assert!(Instant::now() < end, "{}", site.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(site.asks(&[&site.long]), [DutyState::Failed(FailureCode::Refused)]);
    assert_eq!(site.checkpoints(), 1);
}

#[test]
fn a_training_without_end_lets_another_study_s_through_and_goes_on() {
    let site = Site::new();
    let other = site.other();
    let took = site.until(&[&site.long, &other], |states| done(&states[1]));
    assert!(took < Duration::from_secs(40), "{took:?}");
    let log = site.log();
    assert!(log.contains("study 0, round 1, Train: put aside; it is another study's turn"), "{log}");
    site.until(&[&site.long], |states| {
        matches!(states[0], DutyState::Running { .. }) && site.log().contains("goes on after")
    });
    // and where the other one never ends either, both get on
    let mut endless = DutyOrder { spec: site.long.spec, ..other };
    endless.duty.agreement = Hash::repeat_byte(9);
    endless.base = site.long.base;
    endless.duty.base = site.long.duty.base;
    let more = entry(&AGREEMENT) + &entry_with(&OTHER, "other.csv") + &entry_with(&endless.duty.agreement, "other.csv");
    fs::write(site.dir.path().join("sites.toml"), more).unwrap();
    let both = [&site.long, &endless];
    site.until(&both, |states| states.iter().all(|state| matches!(state, DutyState::Running { done } if *done > 0)));
    let times = |text: &str| site.log().matches(text).count();
    let before = times("put aside");
    site.until(&both, |_| times("put aside") >= before + 2);
}
