//! What was spent on one data set: one line for each round that was trained, each bound to the line before it.

use crate::{
    spend::{epsilon_micro, sum, Spend},
    words, Unit,
};
use serde::{Deserialize, Serialize};
use sp_crypto_hashing::blake2_256;
use std::{collections::BTreeSet, fmt};

/// Longest name of a data set.
const LONGEST_NAME: usize = 64;

/// One line: a cost that was reserved before the first step of a round's training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When, in seconds since 1970.
    pub time: u64,
    /// The agreement's hash, in hexadecimal digits.
    pub agreement: String,
    /// The study's number.
    pub study: u32,
    /// The round.
    pub round: u32,
    /// The training duty's hash.
    pub duty: String,
    /// Whom the cost is about.
    pub unit: Unit,
    /// The study's δ is 10 to the power of minus this.
    pub delta_exp: u8,
    /// The cost, in billionths of Rényi divergence.
    pub spend: Spend,
    /// Hash of the seed that noise and sampling were drawn from.
    pub seed: String,
    /// Hash of the line before it; zeros in the first.
    pub before: String,
}

/// A training that wants to begin.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Now, in seconds since 1970.
    pub time: u64,
    /// The agreement's hash.
    pub agreement: [u8; 32],
    /// The study's number.
    pub study: u32,
    /// The round.
    pub round: u32,
    /// The training duty's hash.
    pub duty: [u8; 32],
    /// Whom the cost is about.
    pub unit: Unit,
    /// The study's δ is 10 to the power of minus this.
    pub delta_exp: u8,
    /// The cost.
    pub spend: Spend,
    /// [`seed_hash`] of the seed that it draws from.
    pub seed: [u8; 32],
}

/// Why a training may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// With it the limit would be passed.
    Over {
        /// Spent so far.
        spent_micro: u64,
        /// Spent with this round.
        with_micro: u64,
        /// What may be spent.
        limit_micro: u32,
    },
    /// Costs about records say nothing about patients.
    OtherUnit {
        /// What earlier lines are about.
        ledger: Unit,
        /// What the study is about.
        study: Unit,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Over { spent_micro, with_micro, limit_micro } => write!(
                f,
                "{} of {} are spent, and this round would make it {}: raise `epsilon` in sites.toml if your people agree to that, or \
                 take no further part in the study",
                words::epsilon(spent_micro),
                words::epsilon(u64::from(limit_micro)),
                words::epsilon(with_micro)
            ),
            Self::OtherUnit { ledger, study } => write!(
                f,
                "its ledger counts {}, and this study {}: one data set is counted one way",
                words::per(ledger),
                words::per(study)
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// A ledger that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {problem}: the ledger was changed or is damaged; put it back from a backup")]
pub struct Damaged {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// All that was spent on one data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: Vec<Entry>,
    last: [u8; 32],
}

impl Ledger {
    /// Reads a ledger, and gives how many of the bytes are whole lines. What stands behind them was being written when power or
    /// program went: nothing was trained on it yet, and the next line takes its place.
    ///
    /// # Errors
    /// A line that cannot be read, or does not follow the one before it.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), Damaged> {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let mut ledger = Self::default();
        for (number, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let damaged = |problem| Damaged { line: number + 1, problem };
            let entry: Entry = serde_json::from_slice(line).map_err(|_| damaged("cannot be read"))?;
            if entry.before != hex::encode(ledger.last) {
                return Err(damaged("does not follow the one before it"));
            }
            ledger.last = blake2_256(line);
            ledger.entries.push(entry);
        }
        Ok((ledger, whole))
    }

    /// Its lines, from the first on.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Everything that was spent.
    pub fn spent(&self) -> Spend {
        self.entries.iter().fold([0; 16], |all, entry| sum(&all, &entry.spend))
    }

    /// The smallest δ that a line was agreed with; a ledger without lines has none.
    pub fn delta_exp(&self) -> Option<u8> {
        self.entries.iter().map(|entry| entry.delta_exp).max()
    }

    /// Whom it counts; a ledger without lines counts nobody yet.
    pub fn unit(&self) -> Option<Unit> {
        self.entries.first().map(|entry| entry.unit)
    }

    /// What was spent, as an ε at its smallest δ, in millionths.
    pub fn epsilon_micro(&self) -> u64 {
        self.delta_exp().map_or(0, |delta_exp| epsilon_micro(&self.spent(), delta_exp))
    }

    /// Agreements that it was spent on.
    pub fn studies(&self) -> usize {
        let all: BTreeSet<&str> = self.entries.iter().map(|e| e.agreement.as_str()).collect();
        all.len()
    }

    /// Rounds that it was spent on; one that was trained with two seeds counts once.
    pub fn rounds(&self) -> usize {
        let all: BTreeSet<&str> = self.entries.iter().map(|e| e.duty.as_str()).collect();
        all.len()
    }

    /// Whether a training may begin within a limit. Gives the line that must be on the disk before its first step; none where the
    /// same training with the same seed is there: it repeats the same bits, and tells nobody more. With another seed it tells more,
    /// and is counted again.
    ///
    /// # Errors
    /// Why it may not.
    pub fn reserve(&mut self, ask: &Ask, limit_micro: u32) -> Result<Option<String>, Refused> {
        let (duty, seed) = (hex::encode(ask.duty), hex::encode(ask.seed));
        if self.entries.iter().any(|entry| entry.duty == duty && entry.seed == seed) {
            return Ok(None);
        }
        if let Some(ledger) = self.unit().filter(|unit| *unit != ask.unit) {
            return Err(Refused::OtherUnit { ledger, study: ask.unit });
        }
        let delta_exp = self.delta_exp().map_or(ask.delta_exp, |least| least.max(ask.delta_exp));
        let spent = self.spent();
        let with_micro = epsilon_micro(&sum(&spent, &ask.spend), delta_exp);
        if with_micro > u64::from(limit_micro) {
            return Err(Refused::Over { spent_micro: epsilon_micro(&spent, delta_exp), with_micro, limit_micro });
        }
        let entry = Entry {
            time: ask.time,
            agreement: hex::encode(ask.agreement),
            study: ask.study,
            round: ask.round,
            duty,
            unit: ask.unit,
            delta_exp: ask.delta_exp,
            spend: ask.spend,
            seed,
            before: hex::encode(self.last),
        };
        // of names and numbers alone, which JSON always holds
        let mut line = serde_json::to_string(&entry).unwrap_or_default();
        self.last = blake2_256(line.as_bytes());
        self.entries.push(entry);
        line.push('\n');
        Ok(Some(line))
    }
}

/// What a ledger says of a seed.
pub fn seed_hash(seed: &[u8; 32]) -> [u8; 32] {
    let mut bytes = b"consilium/ledger/seed/1".to_vec();
    bytes.extend_from_slice(seed);
    blake2_256(&bytes)
}

/// Whether a data set can be called so: it is the name of its ledger's file, too.
///
/// # Errors
/// What a name may be.
pub fn dataset_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(format!(
            "{name:?} is no name of a data set: 1 to {LONGEST_NAME} letters, digits, hyphens and underscores"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
