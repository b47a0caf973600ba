//! Duties that could not be done, for this site's people: the last of each study, until one of its kind is done again.
//!
//! The node is told a code, and asks no more once the round has gone on without this site; what was wrong would stand in the
//! log alone.

use consilium_primitives::{Duty, DutyKind, DutyState, StudyId};
use parking_lot::Mutex;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// The last duty of each study that could not be done: of those that read the site's rows, and of the others.
#[derive(Default)]
pub(super) struct Failures(Mutex<BTreeMap<(StudyId, bool), Value>>);

fn reads_rows(kind: DutyKind) -> bool {
    matches!(kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate)
}

impl Failures {
    /// Notes how a duty has ended, and why; what neither failed nor was done says nothing.
    pub(super) fn note(&self, duty: &Duty, state: &DutyState, why: &str) {
        let of = (duty.study, reads_rows(duty.kind));
        match state {
            DutyState::Done(_) => {
                self.0.lock().remove(&of);
            }
            DutyState::Failed(code) => {
                let failure = json!({
                    "study": duty.study, "agreement": hex::encode(duty.agreement), "round": duty.round, "kind": duty.kind,
                    "code": format!("{code:?}"), "why": why,
                });
                self.0.lock().insert(of, failure);
            }
            _ => {}
        }
    }

    /// All there are.
    pub(super) fn list(&self) -> Vec<Value> {
        self.0.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_primitives::{DutyOutput, FailureCode, Hash, InstitutionId};

    #[test]
    fn the_last_failure_of_a_study_is_told_until_its_rows_are_used_again() {
        let duty = |study, kind, round| Duty {
            kind,
            genesis: Hash::zero(),
            study,
            agreement: Hash::repeat_byte(7),
            round,
            institution: InstitutionId([1; 32]),
            base: Hash::zero(),
            statistics: Hash::zero(),
        };
        let failures = Failures::default();
        let failed = DutyState::Failed(FailureCode::SchemaMismatch);
        failures.note(&duty(0, DutyKind::Statistics, 0), &failed, "t.csv: has no column \"crpp\"");
        failures.note(&duty(1, DutyKind::Train, 3), &failed, "t.csv: has no column \"age\"");
        let list = failures.list();
        assert_eq!(list.len(), 2);
        assert_eq!((&list[0]["study"], &list[0]["code"]), (&json!(0), &json!("SchemaMismatch")));
        assert!(list[0]["why"].as_str().unwrap().contains("crpp"));
        assert_eq!((&list[1]["round"], &list[1]["agreement"]), (&json!(3), &json!("07".repeat(32))));
        // a merge needs no rows, and what waits has not been done
        let done = DutyState::Done(DutyOutput::Held);
        failures.note(&duty(0, DutyKind::Merge, 1), &done, "");
        failures.note(&duty(0, DutyKind::Train, 1), &DutyState::Queued, "");
        assert_eq!(failures.list().len(), 2);
        failures.note(&duty(0, DutyKind::Train, 1), &done, "");
        assert_eq!(failures.list().len(), 1);
    }
}
