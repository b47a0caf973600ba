//! The losses that sites have reported of a round's model, and over how many sites their mean is.

use crate::show::{name, Names};
use consilium_primitives::{
    round::{Kind, RoundRecord, Study},
    InstitutionId,
};
use serde_json::{json, Value};

/// A mean over the sites that have reported a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// Each site counts by the training rows that it has signed.
    pub value: f64,
    /// Over so many sites.
    pub told: usize,
    /// Members that have reported none.
    pub silent: Vec<InstitutionId>,
}

/// The mean of what was reported of a round's model, micro-units by site; none where nothing was.
pub fn mean(study: &Study, record: &RoundRecord, losses: &[(InstitutionId, u32)]) -> Option<Mean> {
    if record.kind == Kind::Statistics {
        return None;
    }
    mean_of(study, record.round, losses)
}

/// The same, of a round's number.
pub fn mean_of(study: &Study, round: u32, losses: &[(InstitutionId, u32)]) -> Option<Mean> {
    let found = |who: &InstitutionId| losses.iter().find(|(id, _)| id == who).map(|(_, loss)| f64::from(*loss) / 1e6);
    let (mut sum, mut rows, mut told, mut silent) = (0.0, 0.0, 0, Vec::new());
    for member in &study.members {
        match found(&member.id) {
            Some(loss) => {
                sum += loss * f64::from(member.samples);
                rows += f64::from(member.samples);
                told += 1;
            }
            None if member.active && member.since <= round => silent.push(member.id),
            None => {}
        }
    }
    (rows > 0.0).then(|| Mean { value: sum / rows, told, silent })
}

impl Mean {
    /// For people.
    pub fn words(&self, names: &Names) -> String {
        let silent: Vec<String> = self.silent.iter().map(|who| name(names, who)).collect();
        let none = if silent.is_empty() { String::new() } else { format!("; none reported by {}", silent.join(", ")) };
        format!("{:.5} over {} of {} sites{none}", self.value, self.told, self.told + self.silent.len())
    }

    /// For programs.
    pub fn json(&self, names: &Names) -> Value {
        json!({
            "value": self.value,
            "sites": self.told,
            "none_reported_by": self.silent.iter().map(|who| name(names, who)).collect::<Vec<_>>(),
        })
    }
}

/// Members that take part in a study and have no input in a closed round of it. Of those who have left since it is not known
/// whether they were to have one.
pub fn without(study: &Study, record: &RoundRecord) -> Vec<InstitutionId> {
    if record.inputs.is_empty() {
        return Vec::new();
    }
    let has = |who: &InstitutionId| record.inputs.iter().any(|input| input.institution == *who);
    let members = study.members.iter().filter(|member| member.active && member.since <= record.round);
    members.map(|member| member.id).filter(|who| !has(who)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::{id, World};

    #[test]
    fn a_mean_counts_sites_by_their_rows_and_says_over_how_many_it_is() {
        let mut world = World::new();
        let record = world.round(2).clone();
        let (study, names) = (&mut world.history.info.state, &world.history.names);
        // (100 * 0.2 + 60 * 0.4) / 160, by hand
        let losses = [(id(1), 200_000), (id(2), 400_000)];
        let said = mean(study, &record, &losses).unwrap();
        assert_eq!(said.words(names), "0.27500 over 2 of 3 sites; none reported by site 3");
        assert_eq!((said.told, &said.silent), (2, &vec![id(3)]));
        // who came later, or has left, is not missed
        study.members[2].since = 3;
        assert_eq!(mean(study, &record, &losses).unwrap().words(names), "0.27500 over 2 of 2 sites");
        study.members[2].since = 0;
        study.members[2].active = false;
        assert!(mean(study, &record, &losses).unwrap().silent.is_empty());
        assert_eq!(mean(study, &record, &[]), None);
        let statistics = RoundRecord { kind: Kind::Statistics, ..record };
        assert_eq!(mean(study, &statistics, &losses), None);
    }

    #[test]
    fn whose_update_is_not_in_a_round_is_named() {
        let mut world = World::new();
        let mut record = world.round(2).clone();
        assert!(without(&world.history.info.state, &record).is_empty());
        record.inputs.remove(1);
        assert_eq!(without(&world.history.info.state, &record), [id(2)]);
        // the initial model has none of anybody
        record.inputs = Default::default();
        assert!(without(&world.history.info.state, &record).is_empty());
    }
}
