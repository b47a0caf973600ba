//! What the chain says of data sets: what they may cost and have cost, and what each study has charged to whose.

use super::{entry, map, Block, Chain};
use anyhow::{Context, Result};
use codec::Encode;
use consilium_primitives::{budget::Budget, round::Study, Hash, InstitutionId, StudyId};
use pallet_swarm_learning::Counted;
use std::collections::BTreeMap;

/// What a private study has charged, by participant.
pub type Counts = BTreeMap<InstitutionId, Counted>;

/// Storage key of a participant's data set in a study.
pub fn counted(study: StudyId, who: &InstitutionId) -> Vec<u8> {
    map("Counts", &[study.encode(), who.encode()])
}

/// Storage key of a data set's budget.
fn budget(who: &InstitutionId, dataset: &Hash) -> Vec<u8> {
    [map("Budgets", &[who.encode()]), dataset.encode()].concat()
}

/// The study and the participant that such a key is of; none where it is too short.
fn counted_of(key: &[u8]) -> Option<(StudyId, InstitutionId)> {
    // a hash of eight bytes stands before each part
    let study: [u8; 4] = key.get(40..44)?.try_into().ok()?;
    let who: [u8; 32] = key.get(52..84)?.try_into().ok()?;
    Some((StudyId::from_le_bytes(study), InstitutionId(who)))
}

/// The institution and the data set that a budget's key is of; none where it is too short.
fn budget_of(key: &[u8]) -> Option<(InstitutionId, Hash)> {
    let who: [u8; 32] = key.get(40..72)?.try_into().ok()?;
    let dataset: [u8; 32] = key.get(72..104)?.try_into().ok()?;
    Some((InstitutionId(who), Hash::from(dataset)))
}

/// What is said of a key that cannot be read.
const SHORT: &str = "the chain has a key that is too short: are it and this program of one version?";

impl Chain {
    /// All budgets.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn budgets(&self, at: Block) -> Result<BTreeMap<(InstitutionId, Hash), Budget>> {
        let mut all = BTreeMap::new();
        for key in self.all_keys(&entry("Budgets"), at).await? {
            let set = budget_of(&key).context(SHORT)?;
            if let Some(budget) = self.value(key, at).await? {
                all.insert(set, budget);
            }
        }
        Ok(all)
    }

    /// What all studies have charged to whose data sets.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn all_counts(&self, at: Block) -> Result<BTreeMap<(StudyId, InstitutionId), Counted>> {
        let mut all = BTreeMap::new();
        for key in self.all_keys(&entry("Counts"), at).await? {
            let of = counted_of(&key).context(SHORT)?;
            if let Some(counted) = self.value(key, at).await? {
                all.insert(of, counted);
            }
        }
        Ok(all)
    }

    /// What an institution's data set may cost and has cost, where that is declared.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn budget(&self, who: &InstitutionId, dataset: &Hash, at: Block) -> Result<Option<Budget>> {
        self.value(budget(who, dataset), at).await
    }

    /// What a study has charged to whose data sets; nothing where it is not private.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn counts(&self, study: StudyId, state: &Study, at: Block) -> Result<Counts> {
        let mut counts = Counts::new();
        for member in state.members.iter().filter(|_| state.rules.privacy.is_some()) {
            if let Some(found) = self.value(counted(study, &member.id), at).await? {
                counts.insert(member.id, found);
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_is_of_is_read_from_it() {
        let (who, dataset) = (InstitutionId([3; 32]), Hash::repeat_byte(9));
        assert_eq!(counted_of(&counted(7_000, &who)), Some((7_000, who)));
        assert_eq!(budget_of(&budget(&who, &dataset)), Some((who, dataset)));
        assert_eq!((counted_of(&entry("Counts")), budget_of(&map("Budgets", &[who.encode()]))), (None, None));
    }
}
