//! What the chain says of data sets: what they may cost and have cost, and what each study has charged to whose.

use super::{map, Block, Chain};
use anyhow::Result;
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

impl Chain {
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
