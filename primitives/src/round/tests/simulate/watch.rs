//! What must hold of any step, whoever lies.

use super::{merged, Consortium};
use crate::{
    duty::DutyKind,
    ids::InstitutionId,
    round::{
        tests::{hash, silence},
        *,
    },
    rules::liars_survived,
    vote::{Vote, VoteBody},
};
use std::collections::BTreeSet;

impl Consortium {
    /// A step of the machine, and everything that must hold of any step.
    pub(super) fn step(&mut self, event: Event) -> Result<Vec<Effect>, Refusal> {
        let before = self.shell.study.clone();
        let plainly = self.without_next(&event);
        let effects = self.shell.step(event);
        if let Some((plain, without)) = plainly {
            self.check_as_without(&effects, &plain, &without);
        }
        let effects = effects?;
        let (now, after) = (self.shell.world.now, self.shell.study.clone());
        assert_eq!(after.deadline().is_none(), after.ended());
        assert!(after.deadline().is_none_or(|at| at > now), "a deadline that has passed: {:?}", after.phase);
        assert!(after.round >= before.round, "the round fell");
        let resumed = effects.contains(&Effect::Resumed);
        if let (Phase::Merging(b), Phase::Merging(a)) = (&before.phase, &after.phase) {
            assert!(before.round != after.round || b.kind != a.kind || a.attempt >= b.attempt, "the attempt fell");
            assert!(a.attempt <= 4);
        }
        let stood = match &before.phase {
            Phase::Merging(m) if m.stands => now - m.began,
            _ => 0,
        };
        let standing = if effects.contains(&Effect::WentOn) { 0 } else { stood };
        self.stood += stood - standing;
        for effect in &effects {
            match effect {
                Effect::Dropped { who, .. } => {
                    assert!(!effects.contains(&Effect::Stood));
                    self.check_dropped(&before, who);
                }
                Effect::Benched { who, .. } if self.scenario.mishaps == 0 && self.scenario.off.is_empty() => {
                    let member = before.position(who).expect("a member");
                    assert!(self.liar(member).is_some(), "an honest site in time was benched");
                }
                Effect::NotAwaited { who, .. } if self.scenario.mishaps == 0 && self.scenario.off.is_empty() => {
                    let member = before.position(who).expect("a member");
                    assert!(self.liar(member).is_some(), "an honest site in time is not waited for");
                }
                Effect::Closed(record) => {
                    self.check_closed(record);
                    self.check_length(&before, standing);
                }
                Effect::Paused { .. } => {
                    self.check_length(&before, standing);
                    self.pauses += 1;
                    self.paused_at = now;
                }
                Effect::EnoughPresent => {
                    let last = before.taken_up;
                    assert!(last.is_none_or(|last| now >= last + TAKE_UP_BLOCKS), "twice within an hour");
                }
                Effect::FellBack { .. } => {
                    let Phase::Paused(pause) = &before.phase else { panic!("fell back while {:?}", before.phase) };
                    let voters = before.named(pause.roster).into_inner();
                    assert!(!self.survives(&before, voters.into_iter()), "all honest sites hold all models");
                }
                _ => {}
            }
        }
        if resumed || effects.iter().any(|e| matches!(e, Effect::Opened { .. } | Effect::InitOpened)) {
            (self.opened, self.stood) = ((now, 0), 0);
        }
        if effects.iter().any(|e| matches!(e, Effect::Frozen { .. })) {
            self.fetch();
        }
        assert!(after.silence_is_sound());
        silence::check_waited(&after);
        self.check_kept(&effects);
        self.check_ahead(&before, &effects);
        Ok(effects)
    }

    /// What a vote that answers ahead would bring about if it said only what it says of the merge.
    fn without_next(&self, event: &Event) -> Option<(Study, Result<Vec<Effect>, Refusal>)> {
        let Event::Vote(vote) = event else { return None };
        vote.body.next()?;
        let (root, marks) = vote.body.merged()?;
        let body = if marks.any() == 0 { VoteBody::Root(root) } else { VoteBody::Marked { root, marks } };
        let mut study = self.shell.study.clone();
        let effects = study.step(&self.shell.world, Event::Vote(Vote { body, ..*vote }));
        Some((study, effects))
    }

    /// A merge closes as it would if nobody had said anything ahead.
    fn check_as_without(
        &self,
        with: &Result<Vec<Effect>, Refusal>,
        plain: &Study,
        without: &Result<Vec<Effect>, Refusal>,
    ) {
        let closed = |effects: &[Effect]| -> Vec<RoundRecord> {
            let records = effects.iter().filter_map(|effect| match effect {
                Effect::Closed(record) => Some((**record).clone()),
                _ => None,
            });
            records.collect()
        };
        let study = &self.shell.study;
        match (with, without) {
            (Ok(with), Ok(without)) => {
                assert_eq!(closed(with), closed(without));
                assert_eq!((study.round, study.base, study.base_round), (plain.round, plain.base, plain.base_round));
                assert_eq!((study.best, &study.members, &study.last), (plain.best, &plain.members, &plain.last));
            }
            (Err(_), Err(_)) => {}
            other => panic!("taken in one way only: {other:?}"),
        }
    }

    /// What is said ahead and late changes no merge, and is said of the present base.
    fn check_ahead(&self, before: &Study, effects: &[Effect]) {
        let study = &self.shell.study;
        if let Phase::Collecting(Collecting { kind: Kind::Model, commitments, .. }) = &study.phase {
            for commitment in commitments {
                let who = study.member(commitment.member).expect("a member").id;
                let duty = study.duty_on(&self.shell.world, DutyKind::Train, study.round, &who, study.base);
                assert_eq!(commitment.duty, duty.hash(), "a commitment to another duty");
            }
        }
        let closed = effects.iter().any(|effect| matches!(effect, Effect::Closed(_)));
        let frozen = effects.iter().any(|effect| matches!(effect, Effect::Frozen { .. }));
        if closed && frozen {
            let Phase::Merging(m) = &study.phase else { panic!("frozen, and {:?}", study.phase) };
            let authors = m.inputs.iter().fold(0, |mask, input| mask | bit(input.commitment.member));
            let missing = study.roster() & !authors;
            let spared = (0..study.members.len() as u8).filter(|index| study.spared(*index).is_some());
            let spared = spared.fold(0, |mask, index| mask | bit(index));
            assert_eq!(missing & !spared, 0, "frozen in the block that opened it without all that it waits for");
            assert!(authors.count_ones() >= study.rules.freeze_needs(study.roster().count_ones()));
        }
        for effect in effects {
            if let Effect::AttestedLate { kind, round, who, .. } = effect {
                assert_eq!((study.base, study.base_round), (before.base, before.base_round));
                let records = &self.shell.world.records;
                let record = records.iter().find(|r| (r.kind, r.round) == (*kind, *round)).expect("it has closed");
                assert!(*kind == Kind::Statistics || *round < study.round || record.root == study.base);
                let named = record.attesters.iter().filter(|id| *id == who).count()
                    + record.dissenters.iter().filter(|(id, _)| id == who).count();
                assert_eq!(named, 1, "named once");
                assert!(record.inputs.iter().any(|input| input.institution == *who));
            }
        }
    }

    /// What is listed no longer is removed somewhere at once, and must never be asked for again.
    fn check_kept(&mut self, effects: &[Effect]) {
        let blobs = self.shell.blobs();
        let kept: BTreeSet<u32> = blobs.merged.iter().map(|merged| merged.round).collect();
        let closed = self.shell.world.records.iter().filter(|r| r.kind == Kind::Model).map(|r| r.round);
        self.removed.extend(closed.filter(|round| !kept.contains(round)));
        assert!(self.removed.is_disjoint(&kept), "a removed model is to be kept again: {kept:?}");
        for effect in effects {
            if let Effect::Canonical { round, .. } = effect {
                assert!(!self.removed.contains(round), "the model of round {round} is chosen, and was removable");
            }
        }
        let most = self.shell.study.rules.keep_updates.max(1) + 5;
        assert!(blobs.merged.len() as u32 <= most, "{} merged files are to be kept", blobs.merged.len());
    }

    /// Whether there are no more liars among these than a list of this length survives.
    fn survives(&self, study: &Study, sites: impl ExactSizeIterator<Item = InstitutionId>) -> bool {
        let count = sites.len() as u32;
        let liars = sites.filter(|id| study.position(id).is_some_and(|m| self.liar(m).is_some())).count();
        liars as u32 <= liars_survived(count)
    }

    fn check_dropped(&mut self, before: &Study, who: &InstitutionId) {
        let Phase::Merging(m) = &before.phase else { panic!("dropped while {:?}", before.phase) };
        let member = before.position(who).expect("a member");
        let input = m.inputs.iter().find(|i| i.commitment.member == member).expect("an input");
        let file = &self.files[&input.commitment.root];
        let off = self.was_off(file.author, m.frozen_at..=self.shell.world.now);
        let serves = file.sound && file.served == u64::MAX && !off;
        let authors: Vec<_> =
            m.inputs.iter().filter_map(|i| before.member(i.commitment.member)).map(|m| m.id).collect();
        if serves && self.survives(before, authors.into_iter()) {
            panic!("a serving site was dropped: {who} in {:?}", m);
        }
        self.beyond += u32::from(serves);
    }

    fn check_closed(&mut self, record: &RoundRecord) {
        let study = &self.shell.study;
        let right =
            if record.round == 0 && record.kind == Kind::Model { hash("init") } else { merged(record.inputs_root) };
        let honest = |id: &InstitutionId| study.position(id).is_some_and(|m| self.liar(m).is_none());
        let fair = record.attesters.iter().any(honest) && record.root == right;
        let voters = if record.inputs.is_empty() {
            let dissenters = record.dissenters.iter().map(|(id, _)| *id);
            record.attesters.iter().copied().chain(dissenters).chain(record.silent.iter().copied()).collect()
        } else {
            record.inputs.iter().map(|i| i.institution).collect::<Vec<_>>()
        };
        assert!(fair || !self.survives(study, voters.into_iter()), "closed without an honest voice: {record:?}");
        self.beyond += u32::from(!fair);
        let so_far = &self.shell.world.records;
        assert_eq!(so_far.iter().filter(|r| (r.kind, r.round) == (record.kind, record.round)).count(), 1);
    }

    /// Blocks of a round since it was opened or resumed, without those in which a merge's clock stood.
    fn check_length(&self, before: &Study, standing: u32) {
        let windows = before.windows();
        let (since, withdrawals) = self.opened;
        let took = self.shell.world.now - since - self.stood - standing;
        let most = match &before.phase {
            // a withdrawn commitment can open the door again, once per member
            Phase::Collecting(_) | Phase::Merging(_) => {
                2 * windows.training + 11 * windows.attest + windows.grace * (1 + 2 * withdrawals)
            }
            Phase::Init { .. } => windows.service,
            _ => return,
        };
        assert!(took <= most, "a round took {took} blocks, not at most {most}");
    }
}
