//! What the voters for finality note of each of their rounds, and nobody reads: it goes again.
//!
//! The SDK's voter keeps every concluded round with all its votes among the client's own data (`write_concluded_round` in
//! sc-consensus-grandpa's `aux_schema.rs`), and never takes one away: with four validators and two rounds a second, some 400 MB a
//! day. What a voter needs after a restart lies elsewhere.

use codec::{Decode, Encode};
use sc_client_api::AuxStore;
use sc_consensus_grandpa::SharedVoterState;
use std::{ops::Range, sync::Arc, time::Duration};

/// What the voter's keys begin with; the round's number follows.
const ROUNDS: &[u8] = b"grandpa_concluded_rounds";
/// Where it is noted up to which round they were taken away.
const MARK: &[u8] = b"consilium/concluded";
/// So many of the newest stay, for whoever wants to see how finality came about.
const KEEP: u64 = 100;
/// Most that go at once: a database of an earlier version has millions.
const AT_ONCE: u64 = 2_000;
const EVERY: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(200);

/// Takes old rounds away for as long as the node runs.
pub async fn run<C: AuxStore>(client: Arc<C>, voter: SharedVoterState) {
    loop {
        let best = voter.voter_state().map(|state| state.best_round.0);
        let more = match best.map(|best| tidy(&*client, best)) {
            Some(Ok(more)) => more,
            Some(Err(error)) => {
                log::warn!("old rounds of the voters cannot be taken out of the database: {error}");
                false
            }
            None => false,
        };
        tokio::time::sleep(if more { REST } else { EVERY }).await;
    }
}

/// Takes some away that are old now that the voters are in round `best`; says whether there are more.
fn tidy(client: &impl AuxStore, best: u64) -> sp_blockchain::Result<bool> {
    let mark = client.get_aux(MARK)?.and_then(|bytes| u64::decode(&mut &bytes[..]).ok()).unwrap_or_default();
    let Range { start, end } = due(mark, best);
    if start == end {
        return Ok(false);
    }
    let keys: Vec<Vec<u8>> = (start..end).map(|round| [ROUNDS, &round.encode()].concat()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    client.insert_aux(&[(MARK, &end.encode()[..])], &keys)?;
    Ok(end < best.saturating_sub(KEEP))
}

/// Which go next. With each set of validators rounds are counted from one again: those of the set before that are left go when the
/// count comes to them.
fn due(mark: u64, best: u64) -> Range<u64> {
    let start = if mark > best { 0 } else { mark };
    let end = best.saturating_sub(KEEP).min(start.saturating_add(AT_ONCE));
    start..end.max(start)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Store(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl AuxStore for Store {
        fn insert_aux<
            'a,
            'b: 'a,
            'c: 'a,
            I: IntoIterator<Item = &'a (&'c [u8], &'c [u8])>,
            D: IntoIterator<Item = &'a &'b [u8]>,
        >(
            &self,
            insert: I,
            delete: D,
        ) -> sp_blockchain::Result<()> {
            let mut all = self.0.lock();
            insert.into_iter().for_each(|(key, value)| drop(all.insert(key.to_vec(), value.to_vec())));
            delete.into_iter().for_each(|key| drop(all.remove(*key)));
            Ok(())
        }

        fn get_aux(&self, key: &[u8]) -> sp_blockchain::Result<Option<Vec<u8>>> {
            Ok(self.0.lock().get(key).cloned())
        }
    }

    impl Store {
        fn conclude(&self, rounds: Range<u64>) {
            for round in rounds {
                let key = [ROUNDS, &round.encode()].concat();
                self.insert_aux(&[(&key[..], &b"votes"[..])], &[]).unwrap();
            }
        }

        fn rounds(&self) -> Vec<u64> {
            let all = self.0.lock();
            let keys = all.keys().filter_map(|key| key.strip_prefix(ROUNDS));
            let mut rounds: Vec<u64> = keys.map(|mut round| u64::decode(&mut round).unwrap()).collect();
            rounds.sort_unstable();
            rounds
        }
    }

    #[test]
    fn all_but_the_newest_go_and_nothing_else() {
        let store = Store::default();
        store.insert_aux(&[(&b"grandpa_voters"[..], &b"set"[..])], &[]).unwrap();
        store.conclude(1..51);
        assert!(!tidy(&store, 50).unwrap());
        assert_eq!(store.rounds().len(), 50, "young ones stay");
        store.conclude(51..5_001);
        // a long past goes in parts
        let mut times = 0;
        while tidy(&store, 5_000).unwrap() {
            times += 1;
        }
        assert_eq!((times, store.rounds()), (2, (4_900..5_001).collect()));
        assert_eq!(store.get_aux(b"grandpa_voters").unwrap(), Some(b"set".to_vec()));
    }

    #[test]
    fn a_new_set_counts_from_one_and_what_the_old_one_left_goes_later() {
        let store = Store::default();
        store.conclude(1..301);
        assert!(!tidy(&store, 300).unwrap());
        assert_eq!(store.rounds(), (200..301).collect::<Vec<_>>());
        store.conclude(1..121);
        assert!(!tidy(&store, 120).unwrap());
        assert_eq!(store.rounds(), (20..121).chain(200..301).collect::<Vec<_>>());
        store.conclude(121..401);
        assert!(!tidy(&store, 400).unwrap());
        assert_eq!(store.rounds(), (300..401).collect::<Vec<_>>());
    }
}
