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

/// Why an update was dropped, for people.
pub fn why_dropped(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Withheld => "too few others could get it",
        DropReason::Invalid => "enough others found it to be no valid answer",
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
        AbortReason::Decided => "its proposer, or enough of its members, decided so",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Decode;
    use serde_json::json;

    /// All of a kind: the chain numbers them from 0.
    fn all<T: Decode>() -> Vec<T> {
        (0..=u8::MAX).map_while(|number| T::decode(&mut &[number][..]).ok()).collect()
    }

    #[test]
    fn the_page_has_a_row_for_each_code_with_what_to_do_and_whose_turn_it_is() {
        const PAGE: &str = include_str!("../../../docs/codes.md");
        let mut codes: Vec<&str> = all().into_iter().map(failure_name).collect();
        codes.extend(all().into_iter().map(pause_name));
        codes.extend(all().into_iter().map(abort_name));
        codes.extend(all().into_iter().map(dropped_name));
        assert_eq!(codes.len(), 11 + 6 + 4 + 2, "{codes:?}");
        for code in &codes {
            let begins = format!("| `{code}` |");
            let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with(&begins)).collect();
            assert_eq!(rows.len(), 1, "docs/codes.md: {code}");
            let cells: Vec<&str> = rows[0].trim_matches('|').split('|').map(str::trim).collect();
            assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "docs/codes.md: {code}: {cells:?}");
        }
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert!(
            rows.clone().count() == codes.len() && rows.clone().all(|row| codes.contains(&row)),
            "a code that there is not"
        );
    }

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
