//! Motions as people read them: what they do, and what follows.

use crate::{
    chain::consortium::{Consortium, Motion},
    plain::seen,
};
use consilium_founding::PeerId;
use pallet_consortium::{Share, Thresholds};
use sp_core::crypto::{AccountId32, Ss58Codec};

/// Kinds of motions whose share is kept on the chain, as people write them.
pub const KINDS: [&str; 10] = [
    "admit",
    "flags",
    "suspend",
    "reinstate",
    "remove",
    "account",
    "thresholds",
    "upgrade",
    "cancel-upgrade",
    "rescue",
];

/// How the line begins that says how a motion is held against a file, with its number as NUMBER.
const COMPARE: &str = "compare it with";

/// Details of a motion whose number is known. The line on a comparison names it, and `hint`, the end of a command that reaches the same
/// node; it is left out where the comparison was made.
pub fn numbered(details: Vec<String>, number: u32, hint: &str, compared: bool) -> Vec<String> {
    let shown = details.into_iter().filter(|line| !(compared && line.starts_with(COMPARE)));
    let with = |line: String| match line.starts_with(COMPARE) {
        true => line.replace("NUMBER", &number.to_string()) + hint,
        false => line,
    };
    shown.map(with).collect()
}

/// The share of a kind, by its place in [`KINDS`].
pub fn share_of<'a>(all: &'a mut Thresholds, kind: &str) -> Option<&'a mut Share> {
    Some(match kind {
        "admit" => &mut all.admit,
        "flags" => &mut all.flags,
        "suspend" => &mut all.suspend,
        "reinstate" => &mut all.reinstate,
        "remove" => &mut all.remove,
        "account" => &mut all.account,
        "thresholds" => &mut all.thresholds,
        "upgrade" => &mut all.upgrade,
        "cancel-upgrade" => &mut all.cancel_upgrade,
        "rescue" => &mut all.rescue,
        _ => return None,
    })
}

/// A share in words.
pub fn share(share: &Share) -> String {
    format!("{} {}/{}", if share.more { "more than" } else { "at least" }, share.num, share.den)
}

/// A stretch of time in two units at most.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(each, _)| seconds >= *each).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let mut parts = Vec::new();
    for (each, unit) in units.iter().skip(first).take(2) {
        if left >= *each || parts.is_empty() {
            parts.push(format!("{} {unit}", left / each));
        }
        left %= each;
    }
    parts.join(" ")
}

/// How many of so many validators finality needs.
pub fn finality(validators: usize) -> usize {
    validators - validators.saturating_sub(1) / 3
}

impl Consortium {
    /// So many blocks as time.
    pub fn blocks(&self, blocks: u32) -> String {
        span(u64::from(blocks) * u64::from(self.block_ms))
    }

    /// A motion in one line.
    pub fn headline(&self, motion: &Motion) -> String {
        let yes = |flag: &bool| if *flag { "yes" } else { "no" };
        match motion {
            Motion::Admit(it) => format!("admit {:?}", seen(&String::from_utf8_lossy(&it.name))),
            Motion::SetFlags { who, validator, participant } => format!(
                "set the flags of {}: makes blocks {}, takes part in studies {}",
                self.name(who),
                yes(validator),
                yes(participant)
            ),
            Motion::Suspend { who } => format!("suspend {}", self.name(who)),
            Motion::Reinstate { who } => format!("reinstate {}", self.name(who)),
            Motion::Remove { who, at_once } => {
                let how = if *at_once { ", and cut its node off at once" } else { "" };
                format!("remove {} for good{how}", self.name(who))
            }
            Motion::RotateAccount { who, to } => {
                format!("let the account {} sign for {}", to.to_ss58check(), self.name(who))
            }
            Motion::SetThresholds(_) => "set how many voices decide what".into(),
            Motion::Upgrade { code, delay } => {
                format!("a new runtime, code {code:?}, from {} after the deciding vote on", self.blocks(*delay))
            }
            Motion::CancelUpgrade => "call the new runtime off that was decided".into(),
            Motion::Rescue { delay, best_final } => format!(
                "let finality go on without validators that are gone, from block {best_final} on, {} after the next change of \
                 validators",
                self.blocks(*delay)
            ),
        }
    }

    /// What exactly a motion is about, what follows from it, and whose voices are counted. `studies` names those that run.
    pub fn details(&self, motion: &Motion, studies: &[String]) -> Vec<String> {
        let mut lines = self.consequences(motion, studies);
        lines.extend(self.voices(motion));
        lines
    }

    fn consequences(&self, motion: &Motion, studies: &[String]) -> Vec<String> {
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        match motion {
            Motion::Admit(it) => {
                let text = |bytes: &[u8]| seen(&String::from_utf8_lossy(bytes));
                let addresses: Vec<String> = it.addresses.iter().map(|address| text(address)).collect();
                let mut lines = vec![
                    format!("makes blocks {}, takes part in studies {}", yes(it.validator), yes(it.participant)),
                    format!("account {}", it.who.to_ss58check()),
                    format!("node {}", PeerId { key: it.node_key }),
                    format!(
                        "addresses {}",
                        if addresses.is_empty() { "none: it dials others".into() } else { addresses.join(", ") }
                    ),
                    format!("session keys 0x{}", hex::encode(&it.keys)),
                    format!("{COMPARE} the card that you have: consilium motions NUMBER --card FILE"),
                ];
                if it.validator {
                    let (is, will) = (self.validators.len(), self.validators.len() + 1);
                    lines.push(format!(
                        "its node is started right after the deciding vote, and makes blocks once it has said that it is in step: \
                         until then finality needs {} of {is} validators, and from then on {} of {will}",
                        finality(is),
                        finality(will)
                    ));
                }
                lines
            }
            Motion::SetFlags { who, validator, .. } => match self.without(who).filter(|_| !validator) {
                Some(line) => vec![line],
                None => Vec::new(),
            },
            Motion::Suspend { who } => {
                let mut lines = vec![
                    "it leaves its studies in that block, makes no blocks, proposes nothing and does not vote until it is \
                     reinstated; its node goes on following the chain"
                        .into(),
                    "in motions on removals, shares and the runtime it is still counted for 14 days".into(),
                ];
                lines.extend(self.without(who));
                lines
            }
            Motion::Reinstate { .. } => {
                vec!["it gets back the flags that it had; studies that it was in go on without it".into()]
            }
            Motion::Remove { who, at_once } => self.removal(who, *at_once),
            Motion::RotateAccount { .. } => vec![
                "the account that signs for it now signs no more; the institution keeps its id, votes and records".into(),
                "in motions on removals, accounts, shares and the runtime its votes are not heard for 14 days".into(),
            ],
            Motion::SetThresholds(shares) => {
                let (mut old, mut new) = (self.thresholds.clone(), shares.clone());
                let change = |kind: &&str| {
                    let (old, new) = (share_of(&mut old, kind)?, share_of(&mut new, kind)?);
                    (old != new).then(|| format!("{kind}: {}, now {}", share(new), share(old)))
                };
                let changes: Vec<String> = KINDS.iter().filter_map(change).collect();
                if changes.is_empty() {
                    vec!["as they are already".into()]
                } else {
                    changes
                }
            }
            Motion::Upgrade { .. } => {
                let mut lines = vec![
                    "everybody's node runs what this code says, from its first block on; from then anybody can apply it".into(),
                    format!("{COMPARE} the file that you have: consilium motions NUMBER --wasm FILE"),
                ];
                lines.push(if studies.is_empty() {
                    "no study runs now".into()
                } else {
                    format!("studies that run now, and would go on by the new one: {}", studies.join(", "))
                });
                lines
            }
            Motion::CancelUpgrade => match self.pending {
                Some((code, at)) => vec![format!("it is {code:?}, from block {at} on")],
                None => vec!["none is pending now".into()],
            },
            Motion::Rescue { .. } => vec![
                "suspend those that are gone first, and wait half a minute, until that is in force: a vote that decides before \
                 fails. Whoever comes back with blocks that were final for it alone follows another \
                 chain"
                    .into(),
            ],
        }
    }

    /// What the set of validators is without one of them, if it is one.
    fn without(&self, who: &AccountId32) -> Option<String> {
        let is = self.validators.len();
        self.validators.contains(who).then(|| {
            let left = is.saturating_sub(1);
            format!(
                "until the sets have changed, finality needs {} of {is} validators; then {} of {left}",
                finality(is),
                finality(left)
            )
        })
    }

    /// What a removal means.
    fn removal(&self, who: &AccountId32, at_once: bool) -> Vec<String> {
        let mut lines = vec![
            "it is no institution any more, and leaves its studies in that block; to come back it must be admitted"
                .into(),
            "in motions on removals, accounts, shares and the runtime its voice is counted for 14 days more, and is silent".into(),
        ];
        if let Some(line) = self.without(who) {
            let is = self.validators.len();
            lines.push(line);
            lines.push(if at_once {
                format!(
                    "its node is cut off at once: until the sets have changed, finality needs {} of the {} validators that remain",
                    finality(is),
                    is.saturating_sub(1)
                )
            } else {
                "its node stays connected until it is in no set of validators and that is final, and is cut off then".into()
            });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tally::tests::consortium;
    use super::*;
    use consilium_primitives::Hash;

    #[test]
    fn times_are_said_in_two_units() {
        for (millis, text) in [
            (0, "0 s"),
            (40_000, "40 s"),
            (65_000, "1 min 5 s"),
            (3_600_000, "1 h"),
            (14 * 86_400_000, "14 d"),
            (14 * 86_400_000 - 1, "13 d 23 h"),
        ] {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn consequences_say_how_many_finality_needs() {
        assert_eq!([1, 2, 3, 4, 5, 7, 10].map(finality), [1, 2, 3, 3, 4, 5, 7]);
        let here = consortium(&["a", "b", "c", "d"]);
        let who = AccountId32::from([4; 32]);
        let said = here.details(&Motion::Suspend { who: who.clone() }, &[]).join("\n");
        assert!(said.contains("needs 3 of 4 validators; then 3 of 3") && said.contains("14 days"), "{said}");
        let kept = here.removal(&who, false).join("\n");
        assert!(kept.contains("counted for 14 days more"), "{kept}");
        assert!(kept.contains("needs 3 of 4") && kept.contains("stays connected"), "{kept}");
        let cut = here.removal(&who, true).join("\n");
        assert!(cut.contains("3 of the 3 validators that remain"), "{cut}");
        // who makes no blocks is missed by nobody
        let stranger = AccountId32::from([9; 32]);
        assert!(!here.removal(&stranger, true).join("\n").contains("finality"));
    }

    #[test]
    fn a_change_of_shares_shows_what_changes_and_nothing_else() {
        let here = consortium(&["a"]);
        let mut shares = Thresholds::default();
        *share_of(&mut shares, "admit").unwrap() = Share { num: 3, den: 4, more: false };
        let said = here.details(&Motion::SetThresholds(shares), &[]);
        assert_eq!(said, ["admit: at least 3/4, now at least 2/3"]);
        let same = here.details(&Motion::SetThresholds(Thresholds::default()), &[]);
        assert_eq!(same, ["as they are already"]);
        assert!(KINDS.iter().all(|kind| share_of(&mut Thresholds::default(), kind).is_some()));
    }

    #[test]
    fn an_upgrade_names_its_code_its_delay_and_the_studies_that_run() {
        let here = consortium(&["a"]);
        let motion = Motion::Upgrade { code: Hash::repeat_byte(0xab), delay: 43_200 };
        let line = here.headline(&motion);
        assert!(line.contains("0xabab") && line.contains("from 1 d after"), "{line}");
        let said = here.details(&motion, &["study 3".into()]).join("\n");
        assert!(said.contains("study 3") && said.contains("--wasm"), "{said}");
        // whoever has compared is not told to
        let details = || here.details(&motion, &[]);
        let said = numbered(details(), 7, " --dir alder", false).join("\n");
        assert!(said.contains(": consilium motions 7 --wasm FILE --dir alder"), "{said}");
        let said = numbered(details(), 7, "", true).join("\n");
        assert!(!said.contains("compare") && said.contains("no study runs now"), "{said}");
    }
}
