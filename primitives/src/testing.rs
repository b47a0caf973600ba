//! Rules for tests.

use crate::rules::*;

/// Four sites' rules with short windows.
pub(crate) fn rules() -> StudyRules {
    StudyRules {
        training_blocks: 10,
        transfer_blocks: 2,
        enrolment_blocks: 50,
        auto_start: true,
        min_participants: 2,
        rule_min: 0,
        max_rounds: 3,
        max_share: 500_000,
        strict: false,
        on_stall: OnStall::Pause,
        keep_updates: 2,
        invited: Default::default(),
        merge: Merge::by(MergeRule::Mean(Weighting::Samples)),
        update_len: 1000,
        merged_len: 900,
        statistics_len: 800,
        target: None,
        patience: 0,
        masked: None,
        privacy: None,
    }
}
