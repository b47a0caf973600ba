//! What a consortium agreed on when it was founded, and how many voices decide what.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// What was agreed at founding. Durations in milliseconds.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Founding {
    /// Least time between the vote on a new runtime and its effect, in milliseconds.
    pub upgrade_delay: u64,
    /// For how long a validator must have been silent before a recovery may take it out, in milliseconds.
    pub silence: u64,
    /// For how long a motion may be voted on, in milliseconds.
    pub motion_life: u64,
    /// Nodes may have addresses that are not reachable from everywhere: a private network, or one machine.
    pub private_addresses: bool,
}

impl Default for Founding {
    fn default() -> Self {
        Founding { upgrade_delay: DAY, silence: 4 * HOUR, motion_life: 14 * DAY, private_addresses: false }
    }
}

/// A share of the electorate: `num / den`, at least, or more than it where `more` is set.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Numerator.
    pub num: u8,
    /// Denominator.
    pub den: u8,
    /// More than the share is asked for.
    pub more: bool,
}

impl Share {
    const HALF: Share = Share { num: 1, den: 2, more: true };
    const TWO_THIRDS: Share = Share { num: 2, den: 3, more: false };
    const THREE_QUARTERS: Share = Share { num: 3, den: 4, more: false };

    /// Voices that this share of `electorate` voices asks for: at least one, and never to be had where the denominator is 0.
    pub fn needed(&self, electorate: u32) -> u32 {
        let all = u64::from(electorate).saturating_mul(u64::from(self.num));
        let den = u64::from(self.den);
        let needed = if self.more {
            all.checked_div(den).map(|whole| whole.saturating_add(1))
        } else {
            all.checked_add(den.saturating_sub(1)).and_then(|all| all.checked_div(den))
        };
        needed.and_then(|needed| u32::try_from(needed).ok()).map_or(u32::MAX, |needed| needed.max(1))
    }

    /// Whether it may decide: more than half, and where there are four voices or more, not so much that one absent
    /// institution could hold it up for ever. `most` is the largest electorate.
    pub fn is_sound(&self, most: u32) -> bool {
        let above_half = (1..=most.max(1)).all(|voices| self.needed(voices) > voices / 2);
        let within_reach = (1..=most.max(1)).all(|voices| {
            let reach = if voices < 4 { voices } else { voices.saturating_sub(1) };
            self.needed(voices) <= reach
        });
        above_half && within_reach
    }
}

/// How many voices decide, by kind of motion.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Thresholds {
    /// Admitting an institution.
    pub admit: Share,
    /// Changing an institution's flags.
    pub flags: Share,
    /// Suspending an institution.
    pub suspend: Share,
    /// Reinstating a suspended one.
    pub reinstate: Share,
    /// Removing an institution.
    pub remove: Share,
    /// Giving an institution another account key.
    pub account: Share,
    /// Changing these shares.
    pub thresholds: Share,
    /// A new runtime.
    pub upgrade: Share,
    /// Calling a new runtime off.
    pub cancel_upgrade: Share,
    /// Bringing finality back without validators that are gone.
    pub rescue: Share,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            admit: Share::TWO_THIRDS,
            flags: Share::TWO_THIRDS,
            suspend: Share::HALF,
            reinstate: Share::TWO_THIRDS,
            remove: Share::TWO_THIRDS,
            account: Share::TWO_THIRDS,
            thresholds: Share::THREE_QUARTERS,
            upgrade: Share::THREE_QUARTERS,
            cancel_upgrade: Share::HALF,
            rescue: Share::TWO_THIRDS,
        }
    }
}

impl Thresholds {
    /// Whether each of them may decide; see [`Share::is_sound`].
    pub fn are_sound(&self, most: u32) -> bool {
        [
            self.admit,
            self.flags,
            self.suspend,
            self.reinstate,
            self.remove,
            self.account,
            self.thresholds,
            self.upgrade,
            self.cancel_upgrade,
            self.rescue,
        ]
        .iter()
        .all(|share| share.is_sound(most))
    }
}
