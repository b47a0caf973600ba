//! What the pallet refuses.

use frame_support::pallet_macros::pallet_section;

/// The errors of the pallet.
#[pallet_section]
mod errors {
    /// Why a call was refused, and what to do.
    #[pallet::error]
    pub enum Error<T> {
        /// There is no study of this number.
        NoSuchStudy,
        /// The caller signs for no participant of the consortium: it must be admitted as one first.
        NotAParticipant,
        /// The hash is not that of this study's agreement: read the agreement again before you sign.
        OtherAgreement,
        /// As many studies run as may: wait for one to end.
        TooManyStudies,
        /// The proposer has as many studies running as it may: end one first.
        TooManyProposals,
        /// A study with exactly this agreement runs already: end it first, or change something.
        AlreadyRuns,
        /// The spec is empty.
        EmptySpec,
        /// A time of the rules is 0 or too long.
        BadWindow,
        /// `min_participants` is below 2, or it or `rule_min` is above 64.
        BadParticipants,
        /// `max_rounds` is 0 or above 1,000.
        BadRounds,
        /// `max_share` is 0 or above one.
        BadShare,
        /// A file length is 0 or too large.
        BadLength,
        /// The list of invited institutions is unsorted, repeats itself or is too short.
        BadInvited,
        /// The list of declared weights is too short, unsorted, repeats itself or has a weight out of range.
        BadWeights,
        /// `keep_updates` is above 3.
        BadKept,
        /// The merge's rule cannot hold what it is to promise, or one of its numbers is out of range.
        ///
        /// It is to tolerate liars, and its rule can tolerate none or needs more than 64 inputs for so many; it mixes without
        /// liars to leave out; or a number is 0 or not below one.
        BadMerge,
        /// `rule_min` is below what the merge needs for its liars, or above `min_participants`.
        BadRuleMin,
        /// The study is in another state.
        WrongPhase,
        /// The rules name who is invited, and the caller is not among them.
        NotInvited,
        /// Enrolled already.
        AlreadyEnrolled,
        /// The study is full.
        Full,
        /// The sample count is 0, not below 2^29, or not the one signed before.
        BadSampleCount,
        /// The declared weights have no entry for the caller.
        NoDeclaredWeight,
        /// Not an active member of this study.
        NotAMember,
        /// Only the proposer may.
        NotTheProposer,
        /// Too few have enrolled: wait for more.
        TooFewEnrolled,
        /// The vote answers another study, round, attempt or duty than the one that is open.
        NoSuchDuty,
        /// Answered already: the first answer binds.
        AlreadyAnswered,
        /// The answer does not belong to this kind of duty.
        WrongAnswer,
        /// The file's length is not the agreed one.
        WrongLength,
        /// The fetch window has not passed: missing inputs are not reported yet.
        TooEarly,
        /// Bits for inputs or rounds that do not exist, or one input both held and invalid.
        BadMask,
        /// Not the canonical model, or not the inputs that are to be held.
        WrongRoot,
        /// The spec is not UTF-8: give it as text.
        SpecNotText,
        /// The bytes that come with a vote are not those that it names, or of another length than they must have.
        WrongPosting,
        /// A share is not what its dealer has committed to.
        WrongShare,
        /// With masks, updates are merged by the weighted mean: every other rule looks at each one.
        MaskedRule,
        /// With masks, no liar can be tolerated: nobody sees an update.
        MaskedLiars,
        /// With masks, a norm bound must be a number: nobody knows how long updates are.
        MaskedBound,
        /// With masks, updates cannot be mixed: mixing compares them.
        MaskedMixing,
        /// With masks, `min_participants` must be 3 at least: of two each would know the other's update.
        MaskedParticipants,
        /// With masks, `max_share` must be one half at most: one could be nearly all of the sum.
        MaskedShare,
        /// With masks, the range is a power of two between 2^-16 and 2^16.
        MaskedRange,
        /// With masks, the length of a masked file is 0 where there is to be one, or too large.
        MaskedLength,
        /// The caller has declared no budget of this data set: `consilium budget declare`.
        NoBudget,
        /// The caller has declared a budget of this data set already: raise or lower it.
        HasBudget,
        /// The caller has declared as many budgets as it may.
        TooManyDatasets,
        /// The limit of a budget is 0.
        BadLimit,
        /// The budget's delta must be a power of ten from 1e-3 to 1e-12.
        BadDelta,
        /// A limit is raised to one that is no higher, or lowered to one that is no lower.
        LimitStays,
        /// With privacy, the rate of the drawing is above 0 and at most one.
        PrivacyRate,
        /// With privacy, a round has a step or more, and no gradient is shortened to nothing.
        PrivacySteps,
        /// With privacy, there is noise.
        PrivacyNoise,
        /// With privacy, delta is a power of ten from 1e-3 to 1e-12.
        PrivacyDelta,
        /// With privacy, each round costs something at each of the orders.
        PrivacySpend,
        /// Noise that sites share needs masks, one step in a round, the mean by samples, `max_share` of one and no norm bound.
        PrivacyShared,
        /// With privacy, nothing is told of single sites' rows: no statistics, no `target` and no `patience`.
        PrivacyFigures,
        /// The study is private: say which data set it is counted for, with `enrol_private`.
        NoDataset,
        /// The study promises no privacy, and counts nothing: enrol without a data set.
        NothingCounted,
        /// The caller has named another data set in this study before: its rows are counted there.
        OtherDataset,
        /// The budget counts records and the study patients, or the other way round.
        OtherUnit,
        /// The budget counts at another delta than the study.
        OtherDelta,
        /// What a round costs would pass the limit of the caller's data set: raise it, or take no part.
        OverBudget,
        /// Colluders are for noise that sites share: one at least, and at most two thirds of the fewest whose sum is opened.
        PrivacyColluders,
    }
}
