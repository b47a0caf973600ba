//! Closed rounds of a study: each is read once, and the last ones again, since figures and late votes come after a round's end.

use super::{
    spans::{came_last, last_update, part_votes, split},
    state::{Round, Spans},
};
use crate::{
    chain::{Block, Chain},
    show::{dropped_name, why_dropped, why_void, Names},
    study::masked::opened,
};
use anyhow::Result;
use consilium_primitives::{
    round::{bit, Kind, Member, RoundRecord},
    InstitutionId, StudyId,
};
use futures::{stream, StreamExt, TryStreamExt};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

/// How many of the last rounds are read again.
const AGAIN: u32 = 3;
/// The place of the last figures among what is read.
const FIGURES: u8 = 2;
/// How many values are asked for at once.
const AT_ONCE: usize = 32;

/// A round's record, and the figures of its model.
type Closed = (RoundRecord, Vec<(InstitutionId, u32)>);

/// The rounds of one study, as far as they were read.
#[derive(Default)]
pub struct Rounds {
    records: BTreeMap<(u8, u32), Closed>,
    /// Times of blocks; none where nothing tells.
    times: HashMap<u32, Option<u64>>,
}

/// What a round is told with.
pub struct Frame<'a> {
    /// The node.
    pub chain: &'a Chain,
    /// The block that is looked at, and its time.
    pub at: (Block, u64),
    /// From one block to the next.
    pub block_ms: u32,
    /// Which study.
    pub study: StudyId,
    /// The round it is in.
    pub round: u32,
    /// Whether it has ended: no figure comes any more.
    pub ended: bool,
    /// Who takes part.
    pub members: &'a [Member],
    /// Names of institutions.
    pub names: &'a Names,
    /// Whether updates are masked.
    pub masked: bool,
    /// The own worker's notes on it.
    pub notes: &'a Path,
}

impl Rounds {
    /// All closed rounds.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn told(&mut self, frame: &Frame<'_>) -> Result<Vec<Round>> {
        let all = [(0, Kind::Statistics, 0)].into_iter().chain((0..=frame.round).map(|round| (1, Kind::Model, round)));
        // the last figures are no round of their own: what they say is told with the last one
        let all = all.chain(frame.masked.then_some((FIGURES, Kind::Evaluation, frame.round)));
        let wanted: Vec<_> = all
            .filter(|(order, _, round)| {
                !self.records.contains_key(&(*order, *round)) || round.saturating_add(AGAIN) >= frame.round
            })
            .collect();
        let read = stream::iter(wanted).map(|(order, kind, round)| async move {
            let record = frame.chain.record(frame.study, kind, round, frame.at.0).await?;
            let losses = match (&record, kind) {
                (Some(_), Kind::Model) => frame.chain.losses(frame.study, round, frame.at.0).await?,
                _ => Vec::new(),
            };
            anyhow::Ok(((order, round), record, losses))
        });
        let read: Vec<_> = read.buffered(AT_ONCE).try_collect().await?;
        for (key, record, losses) in read {
            if let Some(record) = record {
                self.records.insert(key, (record, losses));
            }
        }
        self.know_times(frame).await;
        let closed = self.records.iter().filter(|((order, _), _)| *order < FIGURES).map(|(_, closed)| closed);
        let mut rounds: Vec<Round> = closed.map(|(record, losses)| self.round(frame, record, losses)).collect();
        part_votes(&mut rounds);
        if frame.masked {
            let pooled = self.records.values().filter_map(|(record, _)| {
                let masked = record.masked.as_ref().filter(|_| record.kind != Kind::Statistics)?;
                Some((masked.evaluated, f64::from(masked.pooled?) / 1e6))
            });
            let sums = self
                .records
                .values()
                .filter(|(record, _)| record.kind == Kind::Model && record.masked.is_some() && opened(record));
            masks(&mut rounds, &pooled.collect(), &sums.map(|(record, _)| record.round).collect());
        }
        Ok(rounds)
    }

    /// Reads the times of all blocks that rounds begin, freeze or end in.
    async fn know_times(&mut self, frame: &Frame<'_>) {
        let blocks = self.records.values().flat_map(|(r, _)| [r.opened_at, last_update(r), r.frozen_at, r.closed_at]);
        let mut wanted: Vec<u32> = blocks.filter(|block| *block > 0 && !self.times.contains_key(block)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let read = stream::iter(wanted)
            .map(|block| async move { (block, frame.chain.made(block, (frame.at.1, frame.block_ms)).await) });
        self.times.extend(read.buffered(AT_ONCE).collect::<Vec<_>>().await);
    }

    /// When a block was made, and whether that is estimated.
    fn time(&self, frame: &Frame<'_>, block: u32) -> (u64, bool) {
        match self.times.get(&block).copied().flatten() {
            Some(time) => (time, false),
            None => {
                let before = u64::from(frame.at.0.number.saturating_sub(block)) * u64::from(frame.block_ms);
                (frame.at.1.saturating_sub(before), true)
            }
        }
    }

    fn round(&self, frame: &Frame<'_>, record: &RoundRecord, losses: &[(InstitutionId, u32)]) -> Round {
        let place = |who: &InstitutionId| {
            let found = frame.members.iter().position(|member| member.id == *who);
            found.and_then(|at| u8::try_from(at).ok())
        };
        let places = |all: &[InstitutionId]| all.iter().filter_map(place).collect();
        let marked = |mask: u64| {
            let inputs = record.inputs.iter().zip(0u8..).filter(|(_, at)| mask & bit(*at) != 0);
            inputs.filter_map(|(input, _)| place(&input.institution)).collect()
        };
        let losses: Vec<(u8, f64)> =
            losses.iter().filter_map(|(who, micro)| Some((place(who)?, f64::from(*micro) / 1e6))).collect();
        let kind = match (record.kind, record.round) {
            (Kind::Statistics, _) => "statistics",
            (Kind::Model, 0) => "initial",
            (Kind::Model, _) => "round",
            (Kind::Evaluation, _) => "figures",
        };
        let ended = self.time(frame, record.closed_at).0;
        let settled = self.settled(record.round, frame.ended);
        ordered(Round {
            kind: kind.into(),
            round: record.round,
            root: hex::encode(record.root),
            base: hex::encode(record.base),
            inputs: record.inputs.iter().filter_map(|i| Some((place(&i.institution)?, i.weight))).collect(),
            last: places(&came_last(record)),
            attesters: places(&record.attesters),
            dissenters: record
                .dissenters
                .iter()
                .filter_map(|(who, root)| Some((place(who)?, hex::encode(root))))
                .collect(),
            silent: places(&record.silent),
            dropped: record
                .dropped
                .iter()
                .filter_map(|(who, why)| Some((place(who)?, format!("{} ({})", why_dropped(*why), dropped_name(*why)))))
                .collect(),
            left_out: marked(record.marks.left_out),
            shortened: marked(record.marks.shortened),
            mean: mean(frame.members, &losses, if settled { 0 } else { record.inputs.len() }),
            losses,
            attempts: record.attempts,
            opened: record.opened_at,
            closed: record.closed_at,
            closed_at_ms: ended,
            spans: self.spans(frame, record),
            own_training_ms: (kind == "round").then(|| trained(frame.notes, record.round)).flatten(),
            unusable: record.void().map(|why| why_void(why, frame.names)),
            lost: Vec::new(),
        })
    }

    /// Whether all figures of a round are there that will come: they come with the updates of the next one, and of a site without
    /// a part in that one none does.
    fn settled(&self, round: u32, ended: bool) -> bool {
        ended || self.records.contains_key(&(1, round.saturating_add(1)))
    }

    fn spans(&self, frame: &Frame<'_>, record: &RoundRecord) -> Spans {
        let at = |block| self.time(frame, block);
        let places = [record.opened_at, last_update(record), record.frozen_at, record.closed_at].map(at);
        let [opened, update, frozen, closed] = places.map(|(time, _)| time);
        split(opened, update, frozen, closed, frame.block_ms.into(), places.iter().any(|(_, estimated)| *estimated))
    }
}

/// A round with its sites in the order of the members: the chain has them by their accounts, or as their votes came.
fn ordered(mut round: Round) -> Round {
    let Round { last, attesters, silent, left_out, shortened, .. } = &mut round;
    [last, attesters, silent, left_out, shortened].into_iter().for_each(|places| places.sort_unstable());
    round.inputs.sort_by_key(|(site, _)| *site);
    round.dissenters.sort_by_key(|(site, _)| *site);
    round.dropped.sort_by_key(|(site, _)| *site);
    round.losses.sort_by_key(|(site, _)| *site);
    round
}

/// With masks: the loss of all sites together where it is known, and whose updates a sum has lost against the last one before it that was
/// opened, too. Most that could not be used were opened all the same.
fn masks(rounds: &mut [Round], pooled: &HashMap<u32, f64>, opened: &HashSet<u32>) {
    let mut before: Option<Vec<u8>> = None;
    for round in rounds.iter_mut().filter(|round| round.kind == "round") {
        round.mean = pooled.get(&round.round).copied().filter(|_| round.unusable.is_none());
        if !opened.contains(&round.round) {
            continue;
        }
        let own: Vec<u8> = round.inputs.iter().map(|(site, _)| *site).collect();
        let gone: Vec<u8> = before.into_iter().flatten().filter(|site| !own.contains(site)).collect();
        if gone.len() <= 2 {
            round.lost = gone;
        }
        before = Some(own);
    }
}

/// The mean of all sites' figures, each counting by its rows; none while fewer are known than are `awaited`, since it would change
/// with each that comes.
fn mean(members: &[Member], losses: &[(u8, f64)], awaited: usize) -> Option<f64> {
    if losses.is_empty() || losses.len() < awaited {
        return None;
    }
    let weighted = |(at, loss): &(u8, f64)| {
        let rows = members.get(usize::from(*at)).map(|member| f64::from(member.samples))?;
        Some((rows * loss, rows))
    };
    let (sum, rows) = losses.iter().filter_map(weighted).fold((0.0, 0.0), |(s, n), (loss, rows)| (s + loss, n + rows));
    (rows > 0.0).then(|| sum / rows)
}

/// For how many milliseconds the own worker trained in a round, by its note.
fn trained(notes: &Path, round: u32) -> Option<f64> {
    let note = fs::read(notes.join(format!("training-{round:04}.json"))).ok()?;
    serde_json::from_slice::<Value>(&note).ok()?["seconds"].as_f64().map(|seconds| seconds * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sites_of_a_round_are_in_the_order_of_the_members() {
        let told = ordered(Round {
            inputs: vec![(3, 40), (0, 10), (1, 20)],
            last: vec![1, 0],
            attesters: vec![0, 3, 1],
            silent: vec![5, 4],
            dissenters: vec![(7, "b".into()), (6, "a".into())],
            dropped: vec![(9, "b".into()), (8, "a".into())],
            left_out: vec![3, 1],
            shortened: vec![1, 0],
            losses: vec![(3, 0.3), (0, 0.1), (1, 0.2)],
            ..Round::default()
        });
        assert_eq!((told.inputs, told.last), (vec![(0, 10), (1, 20), (3, 40)], vec![0, 1]));
        assert_eq!((told.attesters, told.silent, told.left_out), (vec![0, 1, 3], vec![4, 5], vec![1, 3]));
        assert_eq!((told.shortened, told.losses), (vec![0, 1], vec![(0, 0.1), (1, 0.2), (3, 0.3)]));
        let [dissenters, dropped] =
            [told.dissenters, told.dropped].map(|all| all.into_iter().map(|(site, _)| site).collect::<Vec<_>>());
        assert_eq!((dissenters, dropped), (vec![6, 7], vec![8, 9]));
    }

    #[test]
    fn with_masks_a_round_has_the_loss_of_all_together_and_says_whom_its_sum_has_lost() {
        let round = |round, inputs: &[u8], unusable: Option<&str>| Round {
            kind: "round".into(),
            round,
            inputs: inputs.iter().map(|site| (*site, 1)).collect(),
            unusable: unusable.map(str::to_owned),
            ..Round::default()
        };
        let mut rounds = [
            round(1, &[0, 1, 2, 3], None),
            round(2, &[0, 1, 2], Some("out of range")),
            round(3, &[0, 2, 3], Some("given up")),
            round(4, &[0, 2, 3], None),
            round(5, &[0, 2, 3, 1], None),
            round(6, &[1], None),
        ];
        let pooled = HashMap::from([(1, 0.5), (2, 0.4), (4, 0.3)]);
        masks(&mut rounds, &pooled, &HashSet::from([1, 2, 4, 5, 6]));
        let told = rounds.map(|round| (round.mean, round.lost));
        assert_eq!(told[0], (Some(0.5), Vec::new()));
        // a sum that could not be used was opened all the same: it differs from the one before, and the next one from it
        assert_eq!(told[1], (None, vec![3]));
        // one that was given up was not
        assert_eq!(told[2], (None, Vec::new()));
        assert_eq!(told[3], (Some(0.3), vec![1]));
        assert_eq!(told[4], (None, Vec::new()));
        assert_eq!(told[5], (None, Vec::new()), "three at once point at nobody");
    }

    #[test]
    fn a_mean_is_of_all_sites_that_will_tell_a_figure_or_is_not_told_yet() {
        let member = |samples| Member {
            id: InstitutionId([1; 32]),
            samples,
            weight: samples,
            active: true,
            since: 0,
            struck: None,
            benched_until: None,
        };
        let members = [member(100), member(300)];
        assert_eq!(mean(&members, &[(0, 0.4), (1, 0.2)], 2), Some(0.25));
        assert_eq!(mean(&members, &[(0, 0.4)], 2), None);
        assert_eq!(mean(&members, &[], 0), None);
        // a site with a part in this round and none in the next one never tells its figure of it
        assert_eq!(mean(&members, &[(0, 0.4)], 0), Some(0.4));
    }

    #[test]
    fn figures_of_a_round_are_all_there_once_the_next_one_has_closed_or_the_study_has_ended() {
        use crate::audit::testing::World;
        let record = World::new().history.records[0].clone();
        let mut rounds = Rounds::default();
        rounds.records.insert((1, 25), (record.clone(), Vec::new()));
        assert!(!rounds.settled(25, false));
        assert!(rounds.settled(25, true));
        rounds.records.insert((1, 26), (record, Vec::new()));
        assert!(rounds.settled(25, false) && !rounds.settled(26, false));
    }
}
