//! Whether an order says of one thing what its duty says of it.

use consilium_primitives::{BlobRef, Duty, DutyKind, DutyOrder, Hash};

/// What an order hands over that is not what its duty names. A node takes both from one block, so that they are never two
/// things; what was made under one of them would be told as made under the other.
pub(super) fn contradiction(order: &DutyOrder) -> Option<String> {
    let Duty { kind, base, statistics, .. } = order.duty;
    let reads_rows = matches!(kind, DutyKind::Train | DutyKind::Evaluate);
    let looks_at_model = reads_rows || kind == DutyKind::Acknowledge;
    let differs = |what: &str, named: Hash, blob: Option<BlobRef>| {
        let given = blob.map(|blob| blob.root).unwrap_or_default();
        (given != named).then(|| {
            format!("the duty names the {what} {}, and its order hands over {}", hex::encode(named), hex::encode(given))
        })
    };
    let other_statistics = || differs("statistics", statistics, order.statistics);
    let other_model = || differs("model", base, order.base);
    reads_rows.then(other_statistics).flatten().or_else(|| looks_at_model.then(other_model).flatten())
}
