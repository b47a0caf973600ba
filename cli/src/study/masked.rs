//! Closed rounds of a study with masks: who the partners were, who was missing, and what the difference of two sums tells.

use crate::show::{members, name, void_name, why_void, Names};
use consilium_primitives::{
    round::{Kind, Mask, MaskedRecord, RoundRecord, Study},
    VoidReason,
};
use serde_json::{json, Value};

/// Where so few are missing beside the sum before, the difference points at them.
const FEW: usize = 2;

/// Members whose keys were in and who dealt nothing, and partners whose file is not in the sum.
fn missing(study: &Study, record: &RoundRecord, masked: &MaskedRecord) -> (Mask, Mask) {
    let place = |who| study.position(who).map_or(0u64, |place| 1u64 << place);
    let inside = record.inputs.iter().fold(0, |mask, input| mask | place(&input.institution));
    (masked.listed & !masked.partners, masked.partners & !inside)
}

/// Whether the shares of a sum were given, so that whoever holds its files can open it: also of most that could not be used, since who made
/// one void knows its own words.
pub fn opened(record: &RoundRecord) -> bool {
    match record.void() {
        None | Some(VoidReason::OutOfRange | VoidReason::TooLong | VoidReason::BadDeal { .. }) => true,
        Some(VoidReason::Unrecoverable { .. } | VoidReason::Abandoned) => false,
    }
}

/// Whom the sum of the model before has and this one has not, where these are one or two: the difference of both points at their steps.
fn lost(records: &[RoundRecord], record: &RoundRecord, names: &Names) -> Option<(u32, Vec<String>)> {
    if record.kind != Kind::Model || !opened(record) {
        return None;
    }
    let sums = records.iter().filter(|it| it.kind == Kind::Model && it.masked.is_some() && opened(it));
    let before = sums.filter(|it| it.round < record.round).max_by_key(|it| it.round)?;
    let has = |it: &RoundRecord, who| it.inputs.iter().any(|input| input.institution == who);
    let gone: Vec<_> = before.inputs.iter().map(|i| i.institution).filter(|who| !has(record, *who)).collect();
    let told = (1..=FEW).contains(&gone.len());
    told.then(|| (before.round, gone.iter().map(|who| name(names, who)).collect()))
}

/// What people must know of such a round; nothing of one without masks.
pub fn lines(study: &Study, records: &[RoundRecord], record: &RoundRecord, names: &Names) -> Vec<String> {
    let Some(masked) = &record.masked else { return Vec::new() };
    let mut lines = vec![format!(
        "  masks of {} partners ({}); the sum is of {} of them",
        masked.partners.count_ones(),
        members(study, masked.partners, names).join(", "),
        record.inputs.len()
    )];
    let (undealt, absent) = missing(study, record, masked);
    for (what, mask) in [("keys, and no shares in time", undealt), ("a partner, and no update in the sum", absent)] {
        if mask != 0 {
            lines.push(format!("  missing ({what}): {}", members(study, mask, names).join(", ")));
        }
    }
    if let Some(why) = masked.void {
        lines.push(format!("  void ({}): {}", void_name(why), why_void(why, names)));
    }
    if let Some((round, gone)) = lost(records, record, names) {
        lines.push(format!(
            "  NOTE: this sum is that of round {round} without {}: the difference of both points at what was left out (docs/masks.md)",
            gone.join(" and ")
        ));
    }
    lines
}

/// The pooled loss that came with a sum, in a line.
pub fn pooled(record: &RoundRecord) -> Option<String> {
    let masked = record.masked.as_ref().filter(|_| record.kind != Kind::Statistics)?;
    let loss = f64::from(masked.pooled?) / 1e6;
    Some(format!("  round {}: {loss:.4}, over all sites' validation rows together", masked.evaluated))
}

/// For programs; null without masks.
pub fn json(study: &Study, records: &[RoundRecord], record: &RoundRecord, names: &Names) -> Value {
    let Some(masked) = &record.masked else { return Value::Null };
    let (undealt, absent) = missing(study, record, masked);
    json!({
        "pairing": masked.pairing,
        "partners": members(study, masked.partners, names),
        "without_shares": members(study, undealt, names),
        "missing": members(study, absent, names),
        "weight": masked.weight,
        "fixed_at": masked.fixed_at,
        "evaluated": masked.evaluated,
        "pooled_loss": masked.pooled.map(|loss| f64::from(loss) / 1e6),
        "void": masked.void.map(void_name),
        "void_words": masked.void.map(|why| why_void(why, names)),
        "lost_since": lost(records, record, names).map(|(round, gone)| json!({ "round": round, "sites": gone })),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;

    fn masked(record: &RoundRecord, inputs: usize) -> RoundRecord {
        let kept: Vec<_> = record.inputs.iter().take(inputs).cloned().collect();
        RoundRecord {
            inputs: kept.try_into().unwrap(),
            masked: Some(MaskedRecord {
                pairing: 5,
                listed: 0b111,
                partners: 0b111,
                weight: 200,
                fixed_at: 9,
                evaluated: record.round - 1,
                pooled: Some(250_000),
                void: None,
            }),
            ..record.clone()
        }
    }

    #[test]
    fn a_sum_that_has_lost_one_or_two_is_marked_with_their_names() {
        let mut world = World::new();
        let (one, two) = (world.round(1).clone(), world.round(2).clone());
        let (study, names) = (world.history.info.state.clone(), world.history.names.clone());
        let (whole, short) = (masked(&one, 3), masked(&two, 2));
        let gone = name(&names, &one.inputs[2].institution);
        let said = lines(&study, &[whole.clone(), short.clone()], &short, &names).join("\n");
        for part in
            ["masks of 3 partners", "the sum is of 2 of them", "no update in the sum", "that of round 1 without", &gone]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        let document = json(&study, &[whole.clone(), short.clone()], &short, &names);
        consilium_e2e::schema::documented("consilium study N")
            .unwrap()
            .part("rounds[].masked")
            .check(&document)
            .unwrap();
        assert_eq!(document["lost_since"]["round"], 1);
        assert_eq!((document["pairing"].as_u64(), document["pooled_loss"].as_f64()), (Some(5), Some(0.25)));
        assert!(pooled(&short).unwrap().contains("round 1: 0.2500"));
        // nobody was lost, or nothing was opened
        let same = masked(&two, 3);
        assert!(!lines(&study, &[whole.clone(), same.clone()], &same, &names).join("\n").contains("NOTE"));
        let void = |record: &RoundRecord, why| {
            let mut void = record.clone();
            void.masked.as_mut().unwrap().void = Some(why);
            void
        };
        let given_up = void(&short, VoidReason::Abandoned);
        let said = lines(&study, &[whole.clone(), given_up.clone()], &given_up, &names).join("\n");
        assert!(said.contains("void (Abandoned)") && !said.contains("NOTE"), "{said}");
        // a sum that could not be used was opened all the same: it differs from the one before, and the next one from it
        let useless = void(&short, VoidReason::OutOfRange);
        let said = lines(&study, &[whole.clone(), useless.clone()], &useless, &names).join("\n");
        assert!(said.contains("void (OutOfRange)") && said.contains("that of round 1 without"), "{said}");
        let useless = void(&whole, VoidReason::OutOfRange);
        let said = lines(&study, &[useless, short.clone()], &short, &names).join("\n");
        assert!(said.contains("that of round 1 without"), "{said}");
        // without masks nothing is said
        assert!(lines(&study, &[], &one, &names).is_empty() && json(&study, &[], &one, &names).is_null());
        assert_eq!(pooled(&one), None);
    }
}
