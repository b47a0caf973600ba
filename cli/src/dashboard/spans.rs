//! How long a round took, of what that is made, and whose update came last. Pure.

use super::state::{Round, Spans};
use consilium_primitives::{round::RoundRecord, InstitutionId};

/// How a round's time is shared out. A vote takes the slot in which the chain takes it in; what else passes before it is the site's.
pub fn split(opened: u64, update: u64, frozen: u64, closed: u64, slot: u64, estimated: bool) -> Spans {
    let training_ms = update.saturating_sub(opened).saturating_sub(slot);
    let transfer_ms = closed.saturating_sub(frozen).saturating_sub(slot);
    // no longer than what the other two leave, where times of blocks are estimated
    let rest = closed.saturating_sub(opened).saturating_sub(training_ms).saturating_sub(transfer_ms);
    let grace_ms = frozen.saturating_sub(update).min(rest);
    Spans { training_ms, transfer_ms, grace_ms, votes_ms: 0, chain_ms: rest - grace_ms, estimated }
}

/// Of how many merges before it the median is taken, on which all had voted.
const BEFORE: usize = 9;

/// Tells the wait for votes that did not come from transfer and merging. The chain keeps no time of each vote, so that it is what such a
/// merge took beyond the median of those before it on which all had voted. Those before it alone: what was told once stays.
pub fn part_votes(rounds: &mut [Round]) {
    let mut whole: Vec<u64> = Vec::new();
    for round in rounds.iter_mut().filter(|round| round.kind == "round") {
        if round.silent.is_empty() {
            whole.push(round.spans.transfer_ms);
            continue;
        }
        let mut last = whole.iter().rev().take(BEFORE).copied().collect::<Vec<_>>();
        last.sort_unstable();
        let Some(usual) = last.get(last.len() / 2) else { continue };
        let votes = round.spans.transfer_ms.saturating_sub(*usual);
        round.spans.votes_ms = votes;
        round.spans.transfer_ms -= votes;
    }
}

/// The block with the last update that is in a round; of one without updates, its first.
pub fn last_update(record: &RoundRecord) -> u32 {
    let last = record.inputs.iter().map(|input| input.committed_at).max();
    last.map_or(record.opened_at, |last| last.max(record.opened_at))
}

/// Whose updates came in the last block with any that are in a round, the slowest sites; none where all came in one.
pub fn came_last(record: &RoundRecord) -> Vec<InstitutionId> {
    let last = last_update(record);
    let late = |at: u32| at >= last;
    if record.inputs.iter().all(|input| late(input.committed_at)) {
        return Vec::new();
    }
    record.inputs.iter().filter(|input| late(input.committed_at)).map(|input| input.institution).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{id, World};

    #[test]
    fn a_round_s_time_is_shared_out_without_rest() {
        // updates after 4 slots of training, one slot for their votes, a slot of grace, three of transfer and merge, one for votes
        let spans = split(10_000, 12_500, 13_000, 15_000, 500, false);
        assert_eq!((spans.training_ms, spans.transfer_ms), (2_000, 1_500));
        // the wait for who is late is no vote
        assert_eq!((spans.grace_ms, spans.chain_ms), (500, 1_000));
        // what came ahead was there when the round was opened
        let spans = split(10_000, 10_000, 10_000, 10_500, 500, true);
        assert_eq!((spans.training_ms, spans.transfer_ms, spans.chain_ms, spans.estimated), (0, 0, 500, true));
        // a site that never came: the others had sent theirs, and the grace of 20 slots went by
        let spans = split(10_000, 11_000, 21_000, 22_000, 500, false);
        assert_eq!((spans.training_ms, spans.transfer_ms, spans.grace_ms, spans.chain_ms), (500, 500, 10_000, 1_000));
    }

    #[test]
    fn whose_update_came_last_is_known_where_others_came_before() {
        let mut record = World::new().history.records.remove(2);
        assert_eq!(record.inputs.len(), 3, "a round of training");
        record.opened_at = 10;
        let mut came = |blocks: [u32; 3]| {
            record.inputs.iter_mut().zip(blocks).for_each(|(input, block)| input.committed_at = block);
            (last_update(&record), came_last(&record))
        };
        assert_eq!(came([12, 40, 11]), (40, vec![id(2)]));
        assert_eq!(came([12, 40, 40]), (40, vec![id(2), id(3)]));
        assert_eq!(came([12, 12, 12]), (12, Vec::new()), "all came in one block");
        // what came ahead was there when the round was opened
        assert_eq!(came([8, 9, 8]), (10, Vec::new()));
    }

    #[test]
    fn the_wait_for_a_vote_that_did_not_come_is_no_transfer() {
        let round = |transfer_ms, silent: &[u8]| Round {
            kind: "round".into(),
            silent: silent.to_vec(),
            spans: Spans { transfer_ms, ..Spans::default() },
            ..Round::default()
        };
        let mut rounds = [
            round(9_000, &[1]),
            round(500, &[]),
            round(700, &[]),
            round(600, &[]),
            round(9_000, &[1]),
            round(400, &[1]),
        ];
        part_votes(&mut rounds);
        let told = rounds.map(|round| (round.spans.transfer_ms, round.spans.votes_ms));
        // of the first one nothing is known to compare with
        assert_eq!(told, [(9_000, 0), (500, 0), (700, 0), (600, 0), (600, 8_400), (400, 0)]);
    }
}
