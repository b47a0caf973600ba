//! What a private study has charged to its members' data sets, held against its rounds.

use super::{
    history::History,
    report::{Finding, Subject, Verdict},
};
use crate::show::name;
use consilium_primitives::{round::Kind, Hash};
use consilium_privacy::{epsilon_micro, words};

/// Whether each update that stands in a round was charged; none where nothing is promised. Whether what one round costs follows from the
/// specification is found with the agreement.
pub fn spent(history: &History) -> Option<Finding> {
    let state = &history.info.state;
    let privacy = state.rules.privacy.as_ref()?;
    let mut finding = Finding::new(Subject::Privacy, Hash::zero());
    for member in &state.members {
        let who = name(&history.names, &member.id);
        let models = history.records.iter().filter(|record| record.kind == Kind::Model);
        let given = models.filter(|record| record.inputs.iter().any(|input| input.institution == member.id)).count();
        let Some(counted) = history.counts.get(&member.id) else {
            finding.lower(
                Verdict::Differs,
                format!("{who} is a member, and the chain names no data set that it counts for"),
            );
            continue;
        };
        let all = privacy.spend.map(|one| one.saturating_mul(counted.rounds.into()));
        let epsilon = words::epsilon(epsilon_micro(&all, privacy.delta_exp));
        if (counted.rounds as usize) < given {
            let text = format!("{who} was charged {} rounds, and {given} have its update", counted.rounds);
            finding.lower(Verdict::Differs, text);
        } else {
            let (rounds, set) = (counted.rounds, hex::encode(counted.dataset));
            finding.note(format!(
                "{who}: {rounds} rounds were charged, {epsilon} in this study alone, to the data set {set}"
            ));
        }
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::rules::{Privacy, PrivacyUnit};
    use pallet_swarm_learning::Counted;

    fn found(history: &History) -> (Verdict, String) {
        let finding = spent(history).unwrap();
        (finding.verdict, finding.notes.join("\n"))
    }

    #[test]
    fn each_update_in_a_round_must_have_been_charged() {
        let mut history = World::new().history;
        assert_eq!(spent(&history), None, "nothing is promised");
        history.info.state.rules.privacy = Some(Privacy {
            unit: PrivacyUnit::Record,
            rate_ppm: 250_000,
            steps: 8,
            clip_micro: 500_000,
            sigma_1024: 3_072,
            delta_exp: 5,
            shared: false,
            colluders: 0,
            spend: [100_000_000; 16],
        });
        assert!(found(&history).1.contains("names no data set"));
        let members: Vec<_> = history.info.state.members.iter().map(|member| member.id).collect();
        let counted = |rounds| Counted { dataset: Hash::repeat_byte(7), rounds, last: None };
        // a round that became void, or an update that was dropped, is charged all the same
        history.counts = members.iter().map(|id| (*id, counted(9))).collect();
        let (verdict, said) = found(&history);
        assert_eq!(verdict, Verdict::Verified);
        assert!(said.contains("9 rounds were charged") && said.contains(&"07".repeat(32)), "{said}");
        history.counts.insert(members[0], counted(1));
        let (verdict, said) = found(&history);
        assert_eq!(verdict, Verdict::Differs);
        assert!(said.contains("was charged 1 rounds, and 3 have its update"), "{said}");
    }
}
