//! Sites of which nothing came in two rounds, and which the next ones do not wait for. Pure.

use crate::{
    chain::StudyInfo,
    show::{name, Names},
};
use consilium_primitives::{
    round::{bit, Phase, Study},
    InstitutionId,
};

/// Why a round does not wait for a site, as a sentence about any.
pub const RULE: &str = "where nothing came from a site in two rounds within five, the next five do not wait for it";

/// A site that the present round does not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unawaited {
    /// The two rounds in which nothing came from it.
    pub rounds: (u32, u32),
    /// The round that waits for it again, if it sends nothing before.
    pub back: u32,
}

impl Unawaited {
    /// In words, after the site's name; `max_rounds`: how many the study may have.
    pub fn words(&self, max_rounds: u32) -> String {
        let Self { rounds: (first, second), back } = self;
        let until = match *back > max_rounds {
            true => "any more".to_owned(),
            false => format!("until round {back}"),
        };
        format!(
            "is not waited for {until}, since nothing came from it in rounds {first} and {second}; what it sends in time counts"
        )
    }
}

/// Whether the present round does not wait for a member, and why; none where it does, as all rounds do whose others are too few.
pub fn unawaited(study: &Study, index: u8) -> Option<Unawaited> {
    let member = study.member(index).filter(|member| member.active && !study.ended())?;
    let missed = study.spared(index)?;
    let it = missed.unawaited?;
    let waits = matches!(&study.phase, Phase::Collecting(_)) && study.unawaited & bit(index) == 0;
    // who is left out for some rounds is not asked at all
    let out = member.benched_until.is_some_and(|until| until >= study.round);
    (!waits && !out).then(|| Unawaited { rounds: (it.before, missed.last), back: it.until.saturating_add(1) })
}

/// What is said of a member after its name and a comma; nothing where the present round waits for it.
pub fn after_name(study: &Study, index: u8) -> String {
    unawaited(study, index).map_or_else(String::new, |it| format!(", {}", it.words(study.rules.max_rounds)))
}

/// Whether the present round waits for an institution, as far as it goes by who was silent.
pub fn waits_for(info: &StudyInfo, who: &InstitutionId) -> bool {
    info.state.position(who).and_then(|index| unawaited(&info.state, index)).is_none()
}

/// Who is not waited for, each with the round that waits again.
pub fn all(study: &Study, names: &Names) -> Vec<String> {
    let one = |(index, member): (u8, &consilium_primitives::round::Member)| {
        let it = unawaited(study, index)?;
        Some(format!("{} (until round {})", name(names, &member.id), it.back))
    };
    (0u8..).zip(study.members.iter()).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{audit::testing::World, study::waiting::waiting};
    use consilium_primitives::{
        round::{Collecting, Kind, Merging, Missed, PerMember},
        Hash,
    };

    fn silent() -> (StudyInfo, Names) {
        let history = World::new().history;
        let (mut info, names) = (history.info.clone(), history.names.clone());
        let study = &mut info.state;
        let unawaited = Some(consilium_primitives::round::Unawaited { before: 1, until: 7 });
        study.missed.try_push(Missed { member: 1, last: 2, unawaited }).unwrap();
        (study.round, study.unawaited, study.rules.max_rounds) = (3, 0b010, 20);
        study.phase = Phase::Collecting(Collecting {
            kind: Kind::Model,
            roster: 0b111,
            awaited: 0b111,
            commitments: Default::default(),
            start: 1,
            freeze_at: None,
            limit: 99,
            extended: false,
        });
        (info, names)
    }

    #[test]
    fn who_is_not_waited_for_is_said_with_why_and_until_when() {
        let (mut info, names) = silent();
        let it = unawaited(&info.state, 1).unwrap();
        assert_eq!(it, Unawaited { rounds: (1, 2), back: 8 });
        let words = "is not waited for until round 8, since nothing came from it in rounds 1 and 2; what it sends in time counts";
        assert_eq!(it.words(20), words);
        assert!(it.words(7).starts_with("is not waited for any more, since"));
        assert_eq!(all(&info.state, &names), ["site 2 (until round 8)"]);
        let waited = info.state.members.iter().map(|member| waits_for(&info, &member.id)).collect::<Vec<_>>();
        assert_eq!(waited, [true, false, true]);
        assert_eq!(after_name(&info.state, 1), format!(", {words}"));
        assert_eq!(after_name(&info.state, 0), "");
        let waits = waiting(Hash::zero(), 4, &info, 90).unwrap();
        assert_eq!((waits.sites[1].spoken, waits.sites[1].state.as_str()), (false, words));
        assert_eq!(waits.sites[2].state, "is awaited: its update");
        // also while the updates of the others are merged
        let collecting = info.state.phase.clone();
        info.state.phase = Phase::Merging(Merging {
            kind: Kind::Model,
            attempt: 1,
            needs: 2,
            inputs: PerMember::new(),
            inputs_root: Hash::zero(),
            ballots: PerMember::new(),
            frozen_at: 1,
            window: 100,
            began: 1,
            stands: false,
            stood: None,
            until: 101,
            dropped: PerMember::new(),
        });
        let waits = waiting(Hash::zero(), 4, &info, 90).unwrap();
        assert_eq!(waits.sites[1].state, format!("has no update in it, and is not asked; {words}"));
        assert_eq!(waits.sites[2].state, "has no update in it, and is not asked");
        info.state.phase = collecting;
        // the others are too few in this round, or it is over
        info.state.unawaited = 0;
        assert_eq!(unawaited(&info.state, 1), None);
        (info.state.unawaited, info.state.round) = (0b010, 8);
        assert_eq!(unawaited(&info.state, 1), None);
    }

    #[test]
    fn who_has_left_or_is_left_out_is_told_as_that() {
        let (mut info, _) = silent();
        info.state.members[1].benched_until = Some(6);
        assert_eq!(unawaited(&info.state, 1), None);
        (info.state.members[1].benched_until, info.state.members[1].active) = (None, false);
        assert_eq!(unawaited(&info.state, 1), None);
    }
}
