//! What a step brings about, for the shell to store and tell.

use super::state::*;
use crate::{
    ids::{Hash, InstitutionId},
    kinds::{FailureCode, VoidReason},
    masks::PostStep,
};

/// What happened, for the shell to store and tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A round is open for statistics or updates.
    Opened {
        /// Statistics or models.
        kind: Kind,
        /// Round.
        round: u32,
    },
    /// The initial model is asked for.
    InitOpened,
    /// An update was committed.
    Committed {
        /// Who.
        who: InstitutionId,
        /// Its root.
        root: Hash,
    },
    /// An update of a private study was committed: its author's data set is charged.
    Spent {
        /// Who.
        who: InstitutionId,
        /// The round that was trained.
        round: u32,
        /// The model that it stands on.
        base: Hash,
    },
    /// No update will come from this member in this round.
    FailureReported {
        /// Who.
        who: InstitutionId,
        /// Why.
        code: FailureCode,
    },
    /// A member reported the loss of a round's merge.
    Loss {
        /// The round whose merge was evaluated.
        round: u32,
        /// Who.
        who: InstitutionId,
        /// Micro-units.
        value: u32,
    },
    /// The training limit was extended; these have not answered.
    Extended {
        /// The silent.
        silent: PerMember<InstitutionId>,
    },
    /// Inputs, order and weights are fixed.
    Frozen {
        /// Round.
        round: u32,
        /// Attempt.
        attempt: u32,
        /// Hash over all of it.
        inputs_root: Hash,
    },
    /// A member has attested.
    Attested {
        /// Who.
        who: InstitutionId,
        /// What.
        root: Hash,
    },
    /// A member has attested a merge that had closed without it.
    AttestedLate {
        /// Statistics or models.
        kind: Kind,
        /// Round.
        round: u32,
        /// Who.
        who: InstitutionId,
        /// What.
        root: Hash,
        /// Whether that, and what the rule did, is what the others have attested.
        agrees: bool,
    },
    /// A member cannot merge yet.
    PartialReported {
        /// Who.
        who: InstitutionId,
        /// Holds.
        have: u64,
        /// Found invalid.
        invalid: u64,
        /// The freeze is not final there.
        not_final: bool,
    },
    /// The clock of a merge stands: its freeze is not final for too many.
    Stood,
    /// The clock of a merge goes on, and its window begins anew.
    WentOn,
    /// An input was dropped.
    Dropped {
        /// Its author.
        who: InstitutionId,
        /// Why.
        reason: DropReason,
    },
    /// A member is left out for some rounds.
    Benched {
        /// Who.
        who: InstitutionId,
        /// Last round it is left out.
        until_round: u32,
    },
    /// A member has missed two rounds: the next ones do not wait for it.
    NotAwaited {
        /// Who.
        who: InstitutionId,
        /// The round that it had missed before.
        before: u32,
        /// The last round that does not wait for it.
        until_round: u32,
    },
    /// A round is closed.
    Closed(alloc::boxed::Box<RoundRecord>),
    /// The last merge is to be evaluated.
    EvaluationOpened,
    /// This round's merge is canonical, if enough hold it.
    Canonical {
        /// Round.
        round: u32,
        /// Root.
        root: Hash,
    },
    /// A member holds the canonical model.
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
    /// A member has said that it is there.
    Present {
        /// Who.
        who: InstitutionId,
        /// Merged models that it holds.
        held: u16,
    },
    /// As many are there as the round needs: a pause ends by itself.
    EnoughPresent,
    /// Too few of those that are there hold the model that the study stood on, or was to be certified: another one takes its
    /// place.
    FellBack {
        /// The round whose model it was.
        from: u32,
        /// The round whose model it is now.
        to: u32,
    },
    /// A pairing is open: keys for one masked sum are asked for.
    PairingOpened {
        /// Round.
        round: u32,
        /// Number of the pairing.
        pairing: u32,
    },
    /// A pairing was given up, and with it what was posted for it.
    PairingOver {
        /// Round.
        round: u32,
        /// Number of the pairing.
        pairing: u32,
    },
    /// A member has posted keys, a deal, or shares, for the shell to keep.
    Posted {
        /// Who.
        who: InstitutionId,
        /// Round.
        round: u32,
        /// Number of the pairing.
        pairing: u32,
        /// Which of these.
        step: PostStep,
        /// The bytes.
        bytes: alloc::vec::Vec<u8>,
    },
    /// The partners of a masked sum are fixed.
    Paired {
        /// Round.
        round: u32,
        /// Number of the pairing.
        pairing: u32,
        /// The partners.
        partners: PerMember<InstitutionId>,
    },
    /// A member holds all masked files of the frozen list.
    Gathered {
        /// Who.
        who: InstitutionId,
    },
    /// The set of masked files is fixed for good.
    SetFixed {
        /// Round.
        round: u32,
        /// Hash over it.
        inputs_root: Hash,
    },
    /// A member says that a masked sum cannot be used.
    CalledVoid {
        /// Who.
        who: InstitutionId,
        /// Why.
        why: VoidReason,
    },
    /// A masked sum could not be used: its round is over without a model.
    Voided(alloc::boxed::Box<RoundRecord>),
    /// It goes on.
    Resumed,
    /// It has ended without a certificate.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
}
