//! What events of studies say, as programs read them: those of this runtime, and of those before version 7, when all that a
//! round brought was told in one event with as many forms. A block of that time is read all the same.

use codec::{Decode, Encode};
use consilium_primitives::{
    round::{AbortReason, DropReason, Kind, PauseReason, PerMember},
    FailureCode, Hash, InstitutionId, PostStep, StudyId, VoidReason,
};

/// Name of the one event that told all that a round brought, before version 7.
const BEFORE_7: &str = "Progress";

/// What a round or its end brought. Before version 7 of the runtime this was a part of one event, in these bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Progress {
    /// Statistics or updates are asked for.
    Opened {
        /// Which.
        kind: Kind,
        /// Round.
        round: u32,
    },
    /// The initial model is asked for.
    InitOpened,
    /// An update was committed.
    Committed {
        /// By whom.
        who: InstitutionId,
        /// BLAKE3 hash of the file.
        root: Hash,
    },
    /// No update will come from this participant in this round.
    Failed {
        /// From whom.
        who: InstitutionId,
        /// Why.
        code: FailureCode,
    },
    /// A participant's loss of this round's merge, micro-units.
    Loss {
        /// Whose.
        who: InstitutionId,
        /// Micro-units.
        value: u32,
    },
    /// A window was extended once; these have not answered.
    Extended {
        /// The silent.
        silent: PerMember<InstitutionId>,
    },
    /// Inputs, order and weights are fixed.
    Frozen {
        /// Attempt.
        attempt: u32,
        /// Hash over all of it.
        inputs_root: Hash,
    },
    /// A participant has attested.
    Attested {
        /// Who.
        who: InstitutionId,
        /// What.
        root: Hash,
    },
    /// A participant cannot merge yet; bits by position in the frozen list.
    InputsMissing {
        /// Who.
        who: InstitutionId,
        /// Holds.
        have: u64,
        /// Found invalid.
        invalid: u64,
        /// The freeze is not final there.
        not_final: bool,
    },
    /// The merge waits: its freeze is not final for too many.
    Stood,
    /// It goes on, and its window begins anew.
    WentOn,
    /// An input was dropped.
    Dropped {
        /// Its author.
        who: InstitutionId,
        /// Why.
        reason: DropReason,
    },
    /// A participant is left out for some rounds.
    Benched {
        /// Who.
        who: InstitutionId,
        /// Last such round.
        until_round: u32,
    },
    /// The last merge is to be evaluated.
    EvaluationOpened,
    /// This round's merge is canonical, if enough hold it.
    Canonical {
        /// Round.
        round: u32,
        /// Root.
        root: Hash,
    },
    /// A participant holds the canonical model.
    Acknowledged {
        /// Who.
        who: InstitutionId,
    },
    /// The certificate stands.
    Completed {
        /// Round.
        round: u32,
        /// Root.
        root: Hash,
    },
    /// Too few sites answer, and it waits for them; or people must decide.
    Paused {
        /// Why.
        reason: PauseReason,
    },
    /// It goes on.
    Resumed,
    /// It ended without a certificate.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
    /// While it pauses: a participant's node and worker are there.
    Present {
        /// Whose.
        who: InstitutionId,
        /// Merged models that it holds, as in its vote.
        held: u16,
    },
    /// As many are there as the round needs: the pause ends by itself.
    EnoughPresent,
    /// Too few of those that are there hold the model that the study stood on, or was to be certified: it goes on from another
    /// one. Rounds after that stay in the history, and count for nothing.
    FellBack {
        /// The round whose model it was.
        from: u32,
        /// The round whose model it is now.
        to: u32,
    },
    /// A participant has attested a merge that had closed without it.
    AttestedLate {
        /// Of which round; 0 for statistics.
        round: u32,
        /// Whose.
        who: InstitutionId,
        /// What.
        root: Hash,
        /// Whether that, and what the rule did, is what the others have attested.
        agrees: bool,
    },
    /// Nothing came from a participant in two rounds that waited for it: the next ones do not. What it sends in time counts.
    NotAwaited {
        /// Who.
        who: InstitutionId,
        /// The round that it had missed before this one.
        before: u32,
        /// The last round that does not wait for it.
        until_round: u32,
    },
    /// A participant has posted something for a masked sum.
    Posted {
        /// Who.
        who: InstitutionId,
        /// Number of the pairing.
        pairing: u32,
        /// Keys, a deal, or shares.
        step: PostStep,
    },
    /// The partners of a masked sum are fixed.
    Paired {
        /// Number of the pairing.
        pairing: u32,
        /// The partners.
        partners: PerMember<InstitutionId>,
    },
    /// A participant holds all masked files of the frozen list.
    Gathered {
        /// Who.
        who: InstitutionId,
    },
    /// Which masked files are summed is fixed for good.
    SetFixed {
        /// Hash over them.
        inputs_root: Hash,
    },
    /// A participant says that a masked sum cannot be used.
    CalledVoid {
        /// Who.
        who: InstitutionId,
        /// Why.
        why: VoidReason,
    },
    /// A masked sum could not be used: its round is over without a model.
    Voided {
        /// Why.
        why: VoidReason,
    },
}

impl Progress {
    /// What an event of this name and with these fields says of a study, and in which round that was. `None` for events that
    /// are of no round or have no such name, and where the fields are others.
    pub fn read(name: &str, fields: &[u8]) -> Option<(StudyId, u32, Self)> {
        let mut fields = fields;
        let mut all = (get::<StudyId>(&mut fields)?, get::<u32>(&mut fields)?, Self::Resumed);
        all.2 = if name == BEFORE_7 { get(&mut fields)? } else { Self::named(name, all.1, &mut fields)? };
        fields.is_empty().then_some(all)
    }

    /// The fields of an event after its study and round.
    fn named(name: &str, round: u32, fields: &mut &[u8]) -> Option<Self> {
        Some(match name {
            "Opened" => Self::Opened { kind: get(fields)?, round },
            "InitOpened" => Self::InitOpened,
            "Committed" => Self::Committed { who: get(fields)?, root: get(fields)? },
            "Failed" => Self::Failed { who: get(fields)?, code: get(fields)? },
            "Loss" => Self::Loss { who: get(fields)?, value: get(fields)? },
            "Extended" => Self::Extended { silent: get(fields)? },
            "Frozen" => Self::Frozen { attempt: get(fields)?, inputs_root: get(fields)? },
            "Attested" => Self::Attested { who: get(fields)?, root: get(fields)? },
            "InputsMissing" => Self::InputsMissing {
                who: get(fields)?,
                have: get(fields)?,
                invalid: get(fields)?,
                not_final: get(fields)?,
            },
            "Stood" => Self::Stood,
            "WentOn" => Self::WentOn,
            "Dropped" => Self::Dropped { who: get(fields)?, reason: get(fields)? },
            "Benched" => Self::Benched { who: get(fields)?, until_round: get(fields)? },
            "EvaluationOpened" => Self::EvaluationOpened,
            "Canonical" => Self::Canonical { round, root: get(fields)? },
            "Acknowledged" => Self::Acknowledged { who: get(fields)? },
            "Completed" => Self::Completed { round, root: get(fields)? },
            "Paused" => Self::Paused { reason: get(fields)? },
            "Resumed" => Self::Resumed,
            "Aborted" => Self::Aborted { reason: get(fields)? },
            "Present" => Self::Present { who: get(fields)?, held: get(fields)? },
            "EnoughPresent" => Self::EnoughPresent,
            "FellBack" => Self::FellBack { from: get(fields)?, to: get(fields)? },
            "NotAwaited" => Self::NotAwaited { who: get(fields)?, before: get(fields)?, until_round: get(fields)? },
            "Posted" => Self::Posted { who: get(fields)?, pairing: get(fields)?, step: get(fields)? },
            "Paired" => Self::Paired { pairing: get(fields)?, partners: get(fields)? },
            "Gathered" => Self::Gathered { who: get(fields)? },
            "SetFixed" => Self::SetFixed { inputs_root: get(fields)? },
            "CalledVoid" => Self::CalledVoid { who: get(fields)?, why: get(fields)? },
            "Voided" => Self::Voided { why: get(fields)? },
            "AttestedLate" => Self::AttestedLate { round, who: get(fields)?, root: get(fields)?, agrees: get(fields)? },
            _ => return None,
        })
    }
}

fn get<T: Decode>(fields: &mut &[u8]) -> Option<T> {
    T::decode(fields).ok()
}
