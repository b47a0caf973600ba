//! What sites say to their duties.

use super::*;

impl Consortium {
    pub(super) fn update(&mut self, member: u8, open: &OpenDuty, lie: CommitLie, metric: Option<u32>) -> VoteBody {
        let (sound, served) = match lie {
            CommitLie::Junk(served) => (false, served),
            CommitLie::ServesSome(served) => (true, served),
            _ => (true, u64::MAX),
        };
        let root = Hash::from(sp_crypto_hashing::blake2_256(&(open.duty.hash(), sound, served).encode()));
        self.files.insert(root, File { author: member, sound, served });
        let rules = &self.shell.study.rules;
        let statistics = open.duty.kind == DutyKind::Statistics;
        let len = if statistics { rules.statistics_len } else { rules.update_len };
        VoteBody::Update { root, len, metric }
    }

    pub(super) fn lie_in_update(&mut self, member: u8, open: &OpenDuty, mood: Mood, due: bool) -> Option<VoteBody> {
        match mood.commit {
            CommitLie::Silent => None,
            CommitLie::Failure => Some(VoteBody::Failure(FailureCode::Refused)),
            CommitLie::Honest => due.then(|| self.update(member, open, mood.commit, mood.loss)),
            CommitLie::Junk(_) | CommitLie::ServesSome(_) => Some(self.update(member, open, mood.commit, mood.loss)),
            CommitLie::WrongLength => Some(VoteBody::Update { root: hash("huge"), len: u64::MAX, metric: None }),
        }
    }

    pub(super) fn vote(&self, member: u8, open: &OpenDuty, body: VoteBody) -> Vote {
        Vote {
            study: open.duty.study,
            round: open.duty.round,
            attempt: open.attempt,
            resumed: open.resumed,
            kind: open.duty.kind,
            institution: institution(member),
            duty: open.duty.hash(),
            body,
        }
    }

    /// Attests a root, with the answer to what follows.
    pub(super) fn ahead(&mut self, member: u8, open: &OpenDuty, root: Hash, lie: CommitLie) -> VoteBody {
        let metric = Some(self.loss(member));
        let next = match open.ahead {
            None => return VoteBody::Root(root),
            Some(Ahead::Evaluate) => Next::Last { metric },
            Some(Ahead::Train { .. }) => {
                let (who, round) = (institution(member), open.duty.round + 1);
                let duty = self.shell.study.duty_on(&self.shell.world, DutyKind::Train, round, &who, root);
                match self.update(member, &OpenDuty { duty, ..*open }, lie, metric) {
                    VoteBody::Update { root, len, metric } => Next::Update { duty: duty.hash(), root, len, metric },
                    other => panic!("{other:?} is no update"),
                }
            }
        };
        VoteBody::Ahead { root, marks: Default::default(), next }
    }

    pub(super) fn honest_ballot(
        &mut self,
        member: u8,
        open: &OpenDuty,
        due: bool,
        report_due: bool,
    ) -> Option<VoteBody> {
        let m = self.shell.merge();
        let (mut have, mut invalid) = (0, 0);
        for (position, input) in (0u8..).zip(m.inputs.iter()) {
            let root = input.commitment.root;
            if self.arrivals.get(&(member, root)).is_some_and(|at| *at <= self.shell.world.now) {
                let held = if self.files[&root].sound { &mut have } else { &mut invalid };
                *held |= bit(position);
            }
        }
        if have == all_bits(m.inputs.len()) {
            let root = merged(m.inputs_root);
            let ahead = self.up_to(999) < self.scenario.ahead;
            let body = if ahead { self.ahead(member, open, root, CommitLie::Honest) } else { VoteBody::Root(root) };
            let vote = self.vote(member, open, body);
            self.done.insert(member, vote);
            return due.then_some(body);
        }
        let not_final = self.not_final(m.frozen_at);
        let news = open.partial && report_due && !(open.not_final && not_final);
        news.then_some(VoteBody::Partial { have, invalid, not_final })
    }

    pub(super) fn lie_in_ballot(&mut self, member: u8, open: &OpenDuty, lie: BallotLie) -> Option<VoteBody> {
        let inputs_root = self.shell.merge().inputs_root;
        match lie {
            BallotLie::Ahead(served) => {
                return Some(self.ahead(member, open, merged(inputs_root), CommitLie::Junk(served)));
            }
            BallotLie::AheadOfWrongRoot => {
                return Some(self.ahead(member, open, wrong(inputs_root), CommitLie::Honest));
            }
            _ => {}
        }
        let m = self.shell.merge();
        let all = all_bits(m.inputs.len());
        // it may try before the time: that is refused
        let once = |body: VoteBody| (!open.partial_sent).then_some(body);
        match lie {
            BallotLie::Silent | BallotLie::Ahead(_) | BallotLie::AheadOfWrongRoot => None,
            BallotLie::Honest => Some(VoteBody::Root(merged(m.inputs_root))),
            BallotLie::WrongRoot => Some(VoteBody::Root(wrong(m.inputs_root))),
            BallotLie::Missing(mask) => once(VoteBody::Partial { have: all & !mask, invalid: 0, not_final: false }),
            BallotLie::NotFinal(mask) => once(VoteBody::Partial { have: all & !mask, invalid: 0, not_final: true }),
            BallotLie::Invalid(mask) => {
                once(VoteBody::Partial { have: all & !mask, invalid: all & mask, not_final: false })
            }
            BallotLie::MissingThenWrongRoot(_) if open.partial_sent => Some(VoteBody::Root(wrong(m.inputs_root))),
            BallotLie::MissingThenWrongRoot(mask) => {
                once(VoteBody::Partial { have: all & !mask, invalid: 0, not_final: false })
            }
        }
    }
}
