//! What the pallet tells.

use frame_support::pallet_macros::pallet_section;

/// The events of the pallet.
#[pallet_section]
mod events {
    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A study was proposed, and is open for enrolment.
        #[codec(index = 0)]
        Registered {
            /// The study.
            study: StudyId,
            /// Who proposed it.
            proposer: InstitutionId,
            /// Hash of the agreement.
            agreement: Hash,
        },
        /// An institution has enrolled.
        #[codec(index = 1)]
        Enrolled {
            /// The study.
            study: StudyId,
            /// The institution.
            institution: InstitutionId,
            /// How many training rows it has.
            samples: u32,
        },
        /// An institution takes no further part.
        #[codec(index = 2)]
        Withdrawn {
            /// The study.
            study: StudyId,
            /// The institution.
            institution: InstitutionId,
        },
        // 3 told before version 7 what has events of its own now
        /// A round is closed; its record stands in the history.
        #[codec(index = 4)]
        RoundClosed {
            /// The study.
            study: StudyId,
            /// Statistics or models; the initial model is that of round 0.
            kind: Kind,
            /// The round.
            round: u32,
            /// BLAKE3 hash of what was merged.
            root: Hash,
            /// How many attested it.
            attesters: u32,
            /// How many attempts it took.
            attempts: u32,
        },
        /// A participant attested another merge than the others.
        #[codec(index = 5)]
        Dissent {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// What it attested.
            attested: Hash,
            /// What the others have attested.
            root: Hash,
        },
        /// Statistics or updates are asked for.
        #[codec(index = 6)]
        Opened {
            /// The study.
            study: StudyId,
            /// The round that is opened; 0 for statistics.
            round: u32,
            /// Statistics or models.
            kind: Kind,
        },
        /// The initial model is asked for.
        #[codec(index = 7)]
        InitOpened {
            /// The study.
            study: StudyId,
            /// The round: 0.
            round: u32,
        },
        /// A participant has committed an update.
        #[codec(index = 8)]
        Committed {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// BLAKE3 hash of its file.
            root: Hash,
        },
        /// No update will come from a participant in this round.
        #[codec(index = 9)]
        Failed {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// Why.
            code: FailureCode,
        },
        /// A participant reported its loss of a round's merge.
        #[codec(index = 10)]
        Loss {
            /// The study.
            study: StudyId,
            /// The round whose merge was evaluated.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// The loss, in micro-units.
            micro_units: u32,
        },
        /// A window was extended once.
        #[codec(index = 11)]
        Extended {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// Who has not answered.
            silent: PerMember<InstitutionId>,
        },
        /// A merge's inputs, their order and weights are fixed.
        #[codec(index = 12)]
        Frozen {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The attempt, from 1.
            attempt: u32,
            /// Hash over inputs, order, weights, rule and base.
            inputs_root: Hash,
        },
        /// A participant has attested a merge.
        #[codec(index = 13)]
        Attested {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// BLAKE3 hash of what it merged.
            root: Hash,
        },
        /// A participant cannot merge yet.
        #[codec(index = 14)]
        InputsMissing {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// Inputs that it holds: bits by position in the frozen list.
            have: u64,
            /// Inputs that it found invalid: bits by position in the frozen list.
            invalid: u64,
            /// Whether the freeze is not final there.
            not_final: bool,
        },
        /// The merge waits: its freeze is not final for too many.
        #[codec(index = 15)]
        Stood {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
        },
        /// The merge that waited goes on, and its window begins anew.
        #[codec(index = 16)]
        WentOn {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
        },
        /// An input was dropped.
        #[codec(index = 17)]
        Dropped {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// Its author.
            institution: InstitutionId,
            /// Why.
            reason: DropReason,
        },
        /// A participant is left out for some rounds.
        #[codec(index = 18)]
        Benched {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// The last round without it.
            until_round: u32,
        },
        /// The last merge is to be evaluated.
        #[codec(index = 19)]
        EvaluationOpened {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
        },
        /// The merge of a round is canonical, if enough participants hold it.
        #[codec(index = 20)]
        Canonical {
            /// The study.
            study: StudyId,
            /// The round whose merge it is.
            round: u32,
            /// Its BLAKE3 hash.
            root: Hash,
        },
        /// A participant holds the canonical model.
        #[codec(index = 21)]
        Acknowledged {
            /// The study.
            study: StudyId,
            /// The last round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
        },
        /// A study has ended with a certificate.
        #[codec(index = 22)]
        Completed {
            /// The study.
            study: StudyId,
            /// The round whose merge is canonical.
            round: u32,
            /// Its BLAKE3 hash.
            root: Hash,
        },
        /// A study is paused: too few sites answer, and it waits for them; or people must decide.
        #[codec(index = 23)]
        Paused {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// Why.
            reason: PauseReason,
        },
        /// A study that was paused goes on.
        #[codec(index = 24)]
        Resumed {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
        },
        /// A study has ended without a certificate.
        #[codec(index = 25)]
        Aborted {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// Why.
            reason: AbortReason,
        },
        /// A participant's node and worker are there, while a study is paused.
        #[codec(index = 26)]
        Present {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// Merged models that it holds: bits, as in its vote.
            held: u16,
        },
        /// As many are there as the round needs: the pause ends by itself.
        #[codec(index = 27)]
        EnoughPresent {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
        },
        /// A study goes on from an older model, since too few of those that are there hold the one that it stood on.
        ///
        /// Rounds after the older one stay in the history, and count for nothing.
        #[codec(index = 28)]
        FellBack {
            /// The study.
            study: StudyId,
            /// The round.
            round: u32,
            /// The round whose model it stood on, or that was to be certified.
            from: u32,
            /// The round whose model takes its place.
            to: u32,
        },
        /// A participant has attested a merge that had closed without it.
        #[codec(index = 29)]
        AttestedLate {
            /// The study.
            study: StudyId,
            /// The round of the merge; 0 for statistics.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// BLAKE3 hash of what it merged.
            root: Hash,
            /// Whether that, and what the rule did, is what the others have attested.
            agrees: bool,
        },
        /// Nothing came from a participant in two rounds that waited for it: the next ones do not. What it sends in time counts.
        #[codec(index = 30)]
        NotAwaited {
            /// The study.
            study: StudyId,
            /// The round, the second one that it has missed.
            round: u32,
            /// The participant.
            institution: InstitutionId,
            /// The round that it had missed before.
            before: u32,
            /// The last round that does not wait for it.
            until_round: u32,
        },
        /// A participant has posted keys, a deal, or shares for a masked sum.
        #[codec(index = 31)]
        Posted {
            study: StudyId,
            round: u32,
            institution: InstitutionId,
            pairing: u32,
            /// Which of these.
            step: PostStep,
        },
        /// The partners of a masked sum are fixed.
        #[codec(index = 32)]
        Paired {
            study: StudyId,
            round: u32,
            /// Number of the pairing.
            pairing: u32,
            partners: PerMember<InstitutionId>,
        },
        /// A participant holds all masked files of the frozen list.
        #[codec(index = 33)]
        Gathered { study: StudyId, round: u32, institution: InstitutionId },
        /// Which masked files are summed is fixed for good.
        #[codec(index = 34)]
        SetFixed { study: StudyId, round: u32, inputs_root: Hash },
        /// A participant says that a masked sum cannot be used.
        #[codec(index = 35)]
        CalledVoid { study: StudyId, round: u32, institution: InstitutionId, why: VoidReason },
        /// A masked sum could not be used: its round is over without a model, and the next one stands on the same.
        #[codec(index = 36)]
        Voided { study: StudyId, round: u32, why: VoidReason },
        /// An institution has declared, raised or lowered what all studies together may cost one of its data sets.
        #[codec(index = 37)]
        BudgetSet {
            institution: InstitutionId,
            /// Hash of the data set's name.
            dataset: Hash,
            /// Millionths of epsilon.
            limit_micro: u32,
            /// The block from which on it holds.
            from: u32,
        },
        /// What an update of a private study costs was charged to a data set of its author.
        #[codec(index = 38)]
        Charged {
            institution: InstitutionId,
            /// Hash of the data set's name.
            dataset: Hash,
            study: StudyId,
            round: u32,
            /// What all studies together have cost it, in millionths of epsilon.
            epsilon_micro: u64,
        },
    }
}
