//! Reasons: in words for people, and by the chain's own names for programs.

use consilium_primitives::{
    round::{AbortReason, DropReason, PauseReason},
    FailureCode,
};

/// Why a study is paused, for people.
pub fn why_paused(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::TooFewUpdates => "fewer sites have sent their part than the agreement asks for",
        PauseReason::TooFewMembers => "fewer sites take part than the agreement asks for",
        PauseReason::TooFewInputs => "without the parts that were dropped, there are fewer than the agreement asks for",
        PauseReason::NoAgreement => "the sites have merged to different results, or too few have merged at all",
        PauseReason::NoCommonStart => "the sites do not start from the same model, or too few have answered",
        PauseReason::NotHeld => "too few sites hold the final model",
    }
}

/// The chain's own name of why a study is paused, for programs.
pub fn pause_name(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::TooFewUpdates => "TooFewUpdates",
        PauseReason::TooFewMembers => "TooFewMembers",
        PauseReason::TooFewInputs => "TooFewInputs",
        PauseReason::NoAgreement => "NoAgreement",
        PauseReason::NoCommonStart => "NoCommonStart",
        PauseReason::NotHeld => "NotHeld",
    }
}

/// The chain's own name of why a study has ended without a certificate, for programs.
pub fn abort_name(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::TooFewEnrolled => "TooFewEnrolled",
        AbortReason::PausedTooLong => "PausedTooLong",
        AbortReason::Stalled => "Stalled",
        AbortReason::Decided => "Decided",
    }
}

/// The chain's own name of why an input was dropped, for programs.
pub fn dropped_name(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Withheld => "Withheld",
        DropReason::Invalid => "Invalid",
    }
}

/// The chain's own name of why a site's part will not come: what logs and programs call it.
pub fn failure_name(code: FailureCode) -> &'static str {
    match code {
        FailureCode::DataUnreadable => "DataUnreadable",
        FailureCode::DataChanged => "DataChanged",
        FailureCode::SchemaMismatch => "SchemaMismatch",
        FailureCode::TooFewSamples => "TooFewSamples",
        FailureCode::OneClass => "OneClass",
        FailureCode::NotFinite => "NotFinite",
        FailureCode::OutOfMemory => "OutOfMemory",
        FailureCode::OutOfDisk => "OutOfDisk",
        FailureCode::WorkerMissing => "WorkerMissing",
        FailureCode::Refused => "Refused",
        FailureCode::Internal => "Internal",
    }
}

/// Why a study has ended without a certificate, for people.
pub fn why_aborted(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::TooFewEnrolled => "too few had enrolled in time, or nobody started it",
        AbortReason::PausedTooLong => "it was paused, and nobody let it go on",
        AbortReason::Stalled => "training stalled, and the agreement ends the study then (rules.on_stall)",
        AbortReason::Decided => "its members decided so",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn programs_get_the_chain_s_own_names() {
        use FailureCode::*;
        // those under which workers and figures tell of them
        for code in [DataUnreadable, DataChanged, SchemaMismatch, TooFewSamples, OneClass, NotFinite, OutOfMemory] {
            assert_eq!(json!(code), failure_name(code));
        }
        for code in [OutOfDisk, WorkerMissing, Refused, Internal] {
            assert_eq!(json!(code), failure_name(code));
        }
    }
}
