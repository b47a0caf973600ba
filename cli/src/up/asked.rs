//! What waits for this institution's people: studies that are open to it, motions on which it has not voted; of a newcomer the others'
//! vote.

use super::identity::Standing;
use crate::{
    chain::{
        consortium::{Consortium, Open},
        Chain, StudyInfo,
    },
    show::{name, names},
    study::sentences::span,
};
use anyhow::Result;
use consilium_primitives::{round::Phase, InstitutionId, StudyId};
use sp_core::crypto::AccountId32;
use std::path::Path;

/// Something that waits for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `study` or `motion`.
    pub what: &'static str,
    /// Its number.
    pub number: u32,
    /// What it is, and what to type.
    pub words: String,
    /// For how much longer, where that is told.
    pub left: Option<String>,
}

impl Asked {
    /// All of it.
    pub fn whole(&self) -> String {
        let left = self.left.as_ref().map(|left| format!(" ({left} more)")).unwrap_or_default();
        format!("{}: {}{left}", self.number, self.words)
    }

    /// What stays the same while it waits.
    pub fn lasting(&self) -> &str {
        &self.words
    }
}

/// All that waits for an institution's people.
///
/// # Errors
/// The node does not answer.
pub async fn asked(dir: &Path, url: &str, own: [u8; 32]) -> Result<Vec<Asked>> {
    let chain = Chain::connect(url).await?;
    let here = chain.consortium(chain.best().await?).await?;
    let all = names(&chain.institutions(here.at).await?);
    let (dir, account, own) = (dir.display().to_string(), AccountId32::from(own), InstitutionId(own));
    let mut asked = Vec::new();
    if here.institutions.get(&account).is_some_and(|it| it.participant && !it.suspended) {
        for number in 0..chain.study_count(here.at).await? {
            let info = chain.study(number, here.at).await?;
            let words = info.and_then(|info| invitation(&dir, number, &info, &own, &name(&all, &info.state.proposer)));
            asked.extend(words.map(|words| Asked { what: "study", number, words, left: None }));
        }
    }
    for (number, open) in &here.motions {
        let left = u64::from(open.until.saturating_sub(here.at.number)).saturating_mul(here.block_ms.into());
        let words = motion(&here, &dir, *number, open, &account);
        asked.extend(words.map(|words| Asked { what: "motion", number: *number, words, left: Some(span(left)) }));
    }
    Ok(asked)
}

/// A study that is open to an institution which has not enrolled.
fn invitation(dir: &str, number: StudyId, info: &StudyInfo, own: &InstitutionId, proposer: &str) -> Option<String> {
    let Phase::Enrolling { until } = info.state.phase else { return None };
    let (invited, members) = (&info.state.rules.invited, &info.state.members);
    let open = invited.is_empty() || invited.contains(own);
    (open && members.iter().all(|member| member.id != *own)).then(|| {
        format!(
            "waits for this site's people: it is open to this site until block {until}. Read what is signed: consilium study {number} \
             --dir {dir}; then: consilium study enrol {number} --agreement {} --data FILE --dir {dir}; or tell {proposer}, which proposed \
             it, that this site takes no part",
            hex::encode(info.agreement)
        )
    })
}

/// A motion on which an institution can vote, and has not.
fn motion(here: &Consortium, dir: &str, number: u32, open: &Open, own: &AccountId32) -> Option<String> {
    let tally = here.tally(open);
    (open.until >= here.at.number && tally.silent.contains(own)).then(|| {
        format!(
            "waits for this site's vote: {}, proposed by {}; {} ayes are needed. Read it: consilium motions {number} --dir {dir}; then: \
             consilium vote {number} aye --dir {dir}, or nay",
            here.headline(&open.motion),
            here.name(&open.proposer),
            tally.needed
        )
    })
}

/// What comes before the start of a newcomer's node, where it was never started; none of a founder, and of one that was.
pub fn newcomer(standing: &Standing, started: bool, dir: &Path) -> Option<String> {
    (*standing == Standing::Unknown && !started).then(|| {
        let folder = dir.display();
        format!(
            "it was never started, and this institution is not among the founders: the vote comes first. Send {folder}/card.json to a member, \
             which proposes to admit it (`consilium propose admit card.json`); the others vote. Start it right after the deciding vote, with \
             `consilium up --dir {folder}`: before it the others' nodes do not let this one in"
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        audit::testing::World,
        chain::consortium::Motion,
        motions::tally::tests::{consortium, open},
    };

    #[test]
    fn a_newcomer_is_told_that_the_vote_comes_before_the_start() {
        let dir = Path::new("new-house");
        let said = newcomer(&Standing::Unknown, false, dir).unwrap();
        assert!(said.contains("the vote comes first") && said.contains("right after the deciding vote"), "{said}");
        assert!(said.contains("propose admit card.json") && said.contains("up --dir new-house"), "{said}");
        assert_eq!(newcomer(&Standing::Unknown, true, dir), None, "it was started once");
        assert_eq!(newcomer(&Standing::Same, false, dir), None, "a founder starts");
    }

    #[test]
    fn a_motion_is_told_to_who_has_not_voted() {
        let here = consortium(&["North", "Birch", "South"]);
        let account = |n: u8| AccountId32::from([n; 32]);
        let open = open(Motion::Suspend { who: account(3) }, &[1], &[]);
        let words = motion(&here, "birch", 7, &open, &account(2)).unwrap();
        assert!(words.contains("proposed by North"), "{words}");
        assert!(words.contains("consilium vote 7 aye --dir birch") && words.contains("motions 7"), "{words}");
        let asked = Asked { what: "motion", number: 7, words, left: Some("16 min".into()) };
        assert!(asked.whole().starts_with("7: waits for this site's vote") && asked.whole().ends_with("(16 min more)"));
        assert!(!asked.lasting().contains("16 min"), "what is told once does not change with each block");
        assert_eq!(motion(&here, "north", 7, &open, &account(1)), None, "it has voted");
        let over = Open { until: here.at.number - 1, ..open };
        assert_eq!(motion(&here, "birch", 7, &over, &account(2)), None);
    }

    #[test]
    fn an_open_invitation_is_told_to_who_is_invited_and_has_not_enrolled() {
        let mut info = World::new().history.info;
        let (member, other) = (info.state.members[0].id, InstitutionId([9; 32]));
        let said = |info: &StudyInfo, who: &InstitutionId| invitation("alder", 4, info, who, "Birch");
        assert_eq!(said(&info, &other), None, "it has begun");
        info.state.phase = Phase::Enrolling { until: 77 };
        assert_eq!(said(&info, &member), None, "it has enrolled");
        let words = said(&info, &other).unwrap();
        assert!(words.contains("until block 77") && words.contains("study enrol 4 --agreement"), "{words}");
        assert!(words.contains(&hex::encode(info.agreement)) && words.contains("tell Birch"), "{words}");
        info.state.rules.invited.try_push(InstitutionId([8; 32])).unwrap();
        assert_eq!(said(&info, &other), None, "others are invited");
        info.state.rules.invited.try_push(other).unwrap();
        assert!(said(&info, &other).is_some());
    }
}
