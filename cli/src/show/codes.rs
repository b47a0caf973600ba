//! Reasons: in words for people, and by the chain's own names for programs.

use super::{name, Names};
use consilium_primitives::{
    round::{AbortReason, DropReason, PauseReason},
    FailureCode, VoidReason,
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
        PauseReason::NotRevealed => "too few sites have given the shares that open the sum of the masked updates",
        PauseReason::SumsUnusable => {
            "two masked sums in a row could not be used: some site's masks or updates are wrong"
        }
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
        PauseReason::NotRevealed => "NotRevealed",
        PauseReason::SumsUnusable => "SumsUnusable",
    }
}

/// The chain's own name of why a study has ended without a certificate, for programs.
pub fn abort_name(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::TooFewEnrolled => "TooFewEnrolled",
        AbortReason::PausedTooLong => "PausedTooLong",
        AbortReason::Stalled => "Stalled",
        AbortReason::Decided => "Decided",
        AbortReason::StatisticsUnusable => "StatisticsUnusable",
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
        FailureCode::StepTooLarge => "StepTooLarge",
    }
}

/// Why a study has ended without a certificate, for people.
pub fn why_aborted(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::TooFewEnrolled => "too few had enrolled in time, or nobody started it",
        AbortReason::PausedTooLong => "it was paused, and nobody let it go on",
        AbortReason::Stalled => "training stalled, and the agreement ends the study then (rules.on_stall)",
        AbortReason::Decided => "its proposer, or enough of its members, decided so",
        AbortReason::StatisticsUnusable => {
            "the masked sum of the sites' statistics could not be used, and two sums of the same numbers would tell of one site"
        }
    }
}

/// Why nothing came of a masked sum, for people.
pub fn why_void(reason: VoidReason, names: &Names) -> String {
    let of = |who| name(names, who);
    match reason {
        VoidReason::OutOfRange => {
            "the sum lies where no honest updates can bring it: some site's masks or file are wrong, and nobody can say whose".into()
        }
        VoidReason::TooLong => {
            "the merged step is longer than the agreed norm bound, to which no honest updates can bring it; nobody can say whose it is"
                .into()
        }
        VoidReason::Unrecoverable { whose } => format!(
            "too few shares of {}'s secret could be given: it dealt them wrongly, or those who hold them say so; ask them",
            of(&whose)
        ),
        VoidReason::BadDeal { who } => {
            format!("the shares that {} dealt do not give the secret that it committed to", of(&who))
        }
        VoidReason::Abandoned => "people have given the sum up".into(),
    }
}

/// The chain's own name of why nothing came of a masked sum, for programs.
pub fn void_name(reason: VoidReason) -> &'static str {
    match reason {
        VoidReason::OutOfRange => "OutOfRange",
        VoidReason::TooLong => "TooLong",
        VoidReason::Unrecoverable { .. } => "Unrecoverable",
        VoidReason::BadDeal { .. } => "BadDeal",
        VoidReason::Abandoned => "Abandoned",
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

    /// Each reason for which nothing comes of a masked sum: those that name somebody have more than a number.
    fn voids() -> impl Iterator<Item = VoidReason> {
        let whose = consilium_primitives::InstitutionId([7; 32]);
        (0..=u8::MAX).map_while(move |number| {
            let mut bytes = vec![number];
            bytes.extend_from_slice(&whose.0);
            VoidReason::decode(&mut &bytes[..]).ok()
        })
    }

    #[test]
    fn whoever_is_to_be_asked_of_a_sum_that_could_not_be_used_is_named() {
        let who = consilium_primitives::InstitutionId([7; 32]);
        let names: Names = [(who, "Alder Clinic".to_owned())].into_iter().collect();
        for reason in [VoidReason::BadDeal { who }, VoidReason::Unrecoverable { whose: who }] {
            assert!(why_void(reason, &names).contains("Alder Clinic"));
        }
        assert!(why_void(VoidReason::OutOfRange, &names).contains("nobody can say whose"));
    }

    #[test]
    fn the_page_has_a_row_for_each_code_with_what_to_do_and_whose_turn_it_is() {
        const PAGE: &str = include_str!("../../../docs/codes.md");
        let mut codes: Vec<&str> = all().into_iter().map(failure_name).collect();
        codes.extend(all().into_iter().map(pause_name));
        codes.extend(all().into_iter().map(abort_name));
        codes.extend(all().into_iter().map(dropped_name));
        codes.extend(voids().map(void_name));
        assert_eq!(codes.len(), 12 + 8 + 5 + 2 + 5, "{codes:?}");
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
        for code in [OutOfDisk, WorkerMissing, Refused, Internal, StepTooLarge] {
            assert_eq!(json!(code), failure_name(code));
        }
    }
}
