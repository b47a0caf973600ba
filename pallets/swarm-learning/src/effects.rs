//! Which event tells of what a step has brought about.

use crate::pallet::{Config, Event};
use consilium_primitives::{round::Effect, StudyId};

impl<T: Config> Event<T> {
    /// The event of what a step brought about while a study was in a `round`; none for what is told with what is stored of it.
    pub(crate) fn of(study: StudyId, round: u32, effect: Effect) -> Option<Self> {
        Some(match effect {
            Effect::Closed(_) | Effect::AttestedLate { .. } => return None,
            // what is asked for anew says its votes
            Effect::PairingOpened { .. } | Effect::PairingOver { .. } => return None,
            // told with what it comes to
            Effect::Spent { .. } => return None,
            Effect::Posted { who, round, pairing, step, .. } => {
                Self::Posted { study, round, institution: who, pairing, step }
            }
            Effect::Paired { round, pairing, partners } => Self::Paired { study, round, pairing, partners },
            Effect::Gathered { who } => Self::Gathered { study, round, institution: who },
            Effect::SetFixed { round, inputs_root } => Self::SetFixed { study, round, inputs_root },
            Effect::CalledVoid { who, why } => Self::CalledVoid { study, round, institution: who, why },
            Effect::Voided(record) => Self::Voided { study, round: record.round, why: record.void()? },
            Effect::Opened { kind, round } => Self::Opened { study, round, kind },
            Effect::InitOpened => Self::InitOpened { study, round },
            Effect::Committed { who, root } => Self::Committed { study, round, institution: who, root },
            Effect::FailureReported { who, code } => Self::Failed { study, round, institution: who, code },
            Effect::Loss { round, who, value } => Self::Loss { study, round, institution: who, micro_units: value },
            Effect::Extended { silent } => Self::Extended { study, round, silent },
            Effect::Frozen { round, attempt, inputs_root } => Self::Frozen { study, round, attempt, inputs_root },
            Effect::Attested { who, root } => Self::Attested { study, round, institution: who, root },
            Effect::PartialReported { who, have, invalid, not_final } => {
                Self::InputsMissing { study, round, institution: who, have, invalid, not_final }
            }
            Effect::Stood => Self::Stood { study, round },
            Effect::WentOn => Self::WentOn { study, round },
            Effect::Dropped { who, reason } => Self::Dropped { study, round, institution: who, reason },
            Effect::Benched { who, until_round } => Self::Benched { study, round, institution: who, until_round },
            Effect::NotAwaited { who, before, until_round } => {
                Self::NotAwaited { study, round, institution: who, before, until_round }
            }
            Effect::EvaluationOpened => Self::EvaluationOpened { study, round },
            Effect::Canonical { round, root } => Self::Canonical { study, round, root },
            Effect::Acknowledged { who } => Self::Acknowledged { study, round, institution: who },
            Effect::Completed { round, root } => Self::Completed { study, round, root },
            Effect::Paused { reason } => Self::Paused { study, round, reason },
            Effect::Resumed => Self::Resumed { study, round },
            Effect::Aborted { reason } => Self::Aborted { study, round, reason },
            Effect::Present { who, held } => Self::Present { study, round, institution: who, held },
            Effect::EnoughPresent => Self::EnoughPresent { study, round },
            Effect::FellBack { from, to } => Self::FellBack { study, round, from, to },
        })
    }
}
