//! How a node goes on after most validators are gone for good: by a file that the survivors have signed, which says who votes
//! on finality from the last final block on.
//!
//! The SDK replaces the set that is in force, and keeps its number, where a node starts with the file and that set. A node that
//! is not there yet starts without, follows the chain to the last final block, and ends, to be started again: applied earlier,
//! the smaller set would judge blocks that the larger one has signed.

use crate::types::FullClient;
use codec::Decode;
use consilium_founding::RecoveryFile;
use consilium_primitives::{Consent, FinalitySet, Recovery};
use consilium_runtime::{opaque::Block, AccountId};
use pallet_consortium_runtime_api::ConsortiumApi;
use sc_client_api::backend::AuxStore;
use sc_consensus_grandpa::{AuthorityId, AuthoritySetHardFork, SharedAuthoritySet};
use sc_network::config::SyncMode;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_core::{crypto::AccountId32, ed25519, sr25519, Pair, H256};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Target of the log lines.
const LOG: &str = "recovery";
/// Whether a recovery can be taken up is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// First bytes of the database's notes of recoveries that were taken up.
const MARK: &[u8] = b"consilium/recovery/";
/// Version of the runtime's interface from which on it can judge a recovery.
const API_VERSION: u32 = 2;

type Set = SharedAuthoritySet<H256, u32>;

/// The recoveries that this node was given.
#[derive(Clone, Default)]
pub struct Recoveries(Vec<Taken>);

#[derive(Clone)]
struct Taken {
    shown: String,
    fingerprint: String,
    recovery: Recovery<AccountId>,
    consents: Vec<Consent<AccountId>>,
}

/// Where a node stands towards a recovery.
#[derive(Debug, PartialEq, Eq)]
enum Stand {
    /// Its last final block is not known here yet, or another set is in force.
    Elsewhere,
    /// It is to be taken up now.
    Here,
    /// This node holds another block final.
    Another(H256),
}

impl Recoveries {
    /// Reads the files.
    ///
    /// # Errors
    /// One is none.
    pub fn read(files: &[PathBuf]) -> Result<Self, String> {
        files.iter().map(|file| Taken::read(file)).collect::<Result<_, _>>().map(Self)
    }

    /// The sets that hold instead of the chain's own, for who follows the chain by its sets alone.
    #[must_use]
    pub fn for_warp(&self) -> Vec<AuthoritySetHardFork<Block>> {
        self.0.iter().flat_map(Taken::forks).filter(|fork| fork.block.0 != H256::zero()).collect()
    }

    /// Those for a node that stands where the set numbered `set` is in force.
    ///
    /// # Errors
    /// A recovery is for another chain, or not what the survivors have signed; for people.
    pub fn at_start(
        &self,
        client: &FullClient,
        set: u64,
        mode: SyncMode,
    ) -> Result<Vec<AuthoritySetHardFork<Block>>, String> {
        for taken in &self.0 {
            taken.check(client)?;
            if let Stand::Another(hash) = taken.stand(client, set, mode) {
                return Err(format!(
                    "{}: its last final block {} is another than this node holds final ({hash}); start it without, and \
                     compare by telephone",
                    taken.shown, taken.recovery.last_final.0
                ));
            }
        }
        if client.info().best_number == 0 && by_sets(mode) {
            // it checks the proofs by all of them; which one must be taken up, if any, shows where the proofs end
            self.0.iter().try_for_each(|taken| taken.note(client))?;
        }
        let Some(taken) = self.to_take(client, set, mode) else { return Ok(Vec::new()) };
        log::warn!(
            target: LOG,
            "finality goes on from block {} without {} institutions that are lost, as {} have signed; fingerprint {}",
            taken.recovery.last_final.0,
            taken.recovery.lost.len(),
            taken.consents.len(),
            taken.fingerprint
        );
        taken.note(client)?;
        Ok(taken.forks())
    }

    /// The newest of those that can be taken up now: two from one set follow each other.
    fn to_take(&self, client: &FullClient, set: u64, mode: SyncMode) -> Option<&Taken> {
        let here = self.0.iter().filter(|taken| taken.stand(client, set, mode) == Stand::Here);
        here.max_by_key(|taken| taken.recovery.last_final.0)
    }

    /// Waits until one of them can be taken up that could not be when the node was started. Then the node must be started
    /// again.
    pub async fn wait(self, client: Arc<FullClient>, set: Set) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let found = self.to_take(&client, set.set_id(), SyncMode::Full);
            if let Some(taken) = found.filter(|taken| !taken.in_force(&set)) {
                log::warn!(
                    target: LOG,
                    "block {} is here: the node ends, and takes up {} when it is started again",
                    taken.recovery.last_final.0,
                    taken.shown
                );
                return;
            }
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a node follows the chain by its sets alone at first.
fn by_sets(mode: SyncMode) -> bool {
    mode.is_warp() || mode.light_state()
}

impl Taken {
    fn read(file: &Path) -> Result<Self, String> {
        let shown = format!("--recovery {}", file.display());
        let bytes = std::fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
        let file = RecoveryFile::parse(&bytes).map_err(|error| format!("{shown}: {error:#}"))?;
        let told = |error| format!("{shown}: {error:#}");
        let stated = file.statement().map_err(told)?;
        let consents = file.consents().map_err(told)?;
        let recovery = Recovery {
            genesis: stated.genesis,
            last_final: stated.last_final,
            lost: stated.lost.into_iter().map(AccountId32::from).collect(),
            sets: stated.sets,
        };
        let consent = |it: Consent<[u8; 32]>| Consent { institution: it.institution.into(), signature: it.signature };
        let fingerprint = file.fingerprint().map_err(told)?;
        Ok(Self { shown, fingerprint, recovery, consents: consents.into_iter().map(consent).collect() })
    }

    fn forks(&self) -> Vec<AuthoritySetHardFork<Block>> {
        let key = |bytes: &[u8; 32]| (AuthorityId::from(ed25519::Public::from_raw(*bytes)), 1);
        let fork = |set: &FinalitySet| {
            let (number, hash) = set.signalled.unwrap_or_default();
            let authorities = set.authorities.iter().map(key).collect();
            // never forced: the chain does not count such a change, and set numbers would part
            AuthoritySetHardFork { set_id: set.id, block: (hash, number), authorities, last_finalized: None }
        };
        self.recovery.sets.iter().map(fork).collect()
    }

    /// Where it is noted in the database that this node has taken it up.
    fn mark(&self) -> Vec<u8> {
        [MARK, &self.recovery.digest()].concat()
    }

    fn note(&self, client: &FullClient) -> Result<(), String> {
        client
            .insert_aux(&[(&self.mark()[..], &[1u8][..])], &[])
            .map_err(|error| format!("{}: cannot be noted: {error}", self.shown))
    }

    fn set(&self, id: u64) -> Option<&FinalitySet> {
        self.recovery.sets.iter().find(|set| set.id == id)
    }

    fn stand(&self, client: &FullClient, set: u64, mode: SyncMode) -> Stand {
        let (number, hash) = self.recovery.last_final;
        let info = client.info();
        let here = client.hash(number).ok().flatten();
        if let Some(other) = here.filter(|other| *other != hash && info.finalized_number >= number) {
            return Stand::Another(other);
        }
        if self.set(set).is_none() {
            return Stand::Elsewhere;
        }
        // who follows by sets alone begins with the first one, and sees no older block
        let begins = set == 0 && info.best_number == 0 && by_sets(mode);
        let jumped = here.is_none() && info.finalized_number > number;
        // where finality has gone on without it, it is not needed any more
        let stalled = here == Some(hash) && info.finalized_number <= number;
        let taken = here == Some(hash) && client.get_aux(&self.mark()).ok().flatten().is_some();
        if begins || jumped || stalled || taken {
            Stand::Here
        } else {
            Stand::Elsewhere
        }
    }

    /// Whether its set is the one in force.
    fn in_force(&self, set: &Set) -> bool {
        let key = |id: &AuthorityId| <[u8; 32]>::decode(&mut id.as_ref()).unwrap_or_default();
        let mut now: Vec<[u8; 32]> = set.current_authorities().iter().map(|(id, _)| key(id)).collect();
        let mut then = self.set(set.set_id()).map(|it| it.authorities.clone()).unwrap_or_default();
        now.sort_unstable();
        then.sort_unstable();
        now == then
    }

    /// Whether it is for this chain and signed by those who remain, as far as this node can know.
    fn check(&self, client: &FullClient) -> Result<(), String> {
        let shown = &self.shown;
        if self.recovery.genesis != client.info().genesis_hash {
            return Err(format!("{shown}: it is for another chain, with genesis {}", self.recovery.genesis));
        }
        let (number, hash) = self.recovery.last_final;
        let api = client.runtime_api();
        match api.api_version::<dyn ConsortiumApi<Block, AccountId>>(hash) {
            Ok(Some(version)) if version >= API_VERSION => {
                match api.recovery_error(hash, self.recovery.clone(), self.consents.clone()) {
                    Ok(None) => return Ok(()),
                    Ok(Some(error)) => {
                        return Err(format!(
                            "{shown}: refused by the state of block {number}: {}; `consilium recover show` says who has signed",
                            String::from_utf8_lossy(&error)
                        ))
                    }
                    Err(error) => return Err(format!("{shown}: the state of block {number} does not answer: {error}")),
                }
            }
            Ok(Some(_)) => return Err(format!("{shown}: the runtime of block {number} knows no recoveries yet")),
            Ok(None) | Err(_) => {}
        }
        let info = client.info();
        if info.finalized_number > number && client.hash(number).ok().flatten().is_some() {
            // past: it was taken up, of which there is a note, or is not needed here
            return Ok(());
        }
        // a newcomer has not that state yet, or got the chain without it
        let digest = self.recovery.digest();
        let by_itself = |it: &&Consent<AccountId>| {
            let account = sr25519::Public::from_raw(*it.institution.as_ref());
            sr25519::Pair::verify(&sr25519::Signature::from_raw(it.signature), digest, &account)
        };
        let signed = self.consents.iter().filter(by_itself).count();
        if signed == 0 {
            return Err(format!("{shown}: none of the accounts that it names has signed it"));
        }
        log::warn!(
            target: LOG,
            "{shown}: the state of block {number}, which says who may sign it, is not here; {signed} of {} signatures are of the \
             named accounts. Compare its fingerprint with the others by telephone: {}",
            self.consents.len(),
            self.fingerprint
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery(sets: Vec<FinalitySet>) -> Recovery<[u8; 32]> {
        let last_final = (9, H256::repeat_byte(9));
        Recovery { genesis: H256::repeat_byte(1), last_final, lost: vec![[4; 32]], sets }
    }

    #[test]
    fn sets_are_replaced_as_they_are_and_never_forced() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("recovery-9.json");
        let first = FinalitySet { id: 0, signalled: None, authorities: vec![[7; 32], [8; 32]] };
        let next = FinalitySet { id: 1, signalled: Some((12, H256::repeat_byte(2))), authorities: vec![[7; 32]] };
        let file = RecoveryFile::of(&recovery(vec![first, next]), |_| String::new());
        std::fs::write(&path, file.file()).expect("written");
        let read = Recoveries::read(&[path]).expect("a recovery");
        let forks: Vec<_> = read.0[0].forks();
        let shown: Vec<_> = forks.iter().map(|fork| (fork.set_id, fork.block.1, fork.authorities.len())).collect();
        assert_eq!(shown, [(0, 0, 2), (1, 12, 1)]);
        assert!(forks.iter().all(|fork| fork.last_finalized.is_none()));
        // no header signals the set of block 0
        let warp: Vec<u64> = read.for_warp().iter().map(|fork| fork.set_id).collect();
        assert_eq!((warp, read.is_empty()), (vec![1], false));
        assert!(read.0[0].set(1).is_some() && read.0[0].set(2).is_none());
        assert!(Recoveries::default().is_empty());
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.json");
        let told = |path: &PathBuf| Recoveries::read(std::slice::from_ref(path)).err().expect("an error");
        assert!(told(&path).contains("--recovery") && told(&path).contains("x.json"));
        std::fs::write(&path, "{}").expect("written");
        assert!(told(&path).contains("no recovery of a consortium"), "{}", told(&path));
    }
}
