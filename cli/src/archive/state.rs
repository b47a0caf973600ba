//! A study's part of a chain's state, with the proof that it is what a header's state root commits to.

use crate::{
    audit::history::{History, Postings},
    chain::{
        budgets::{counted, Counts},
        entry, listed, map, posted, posting, StudyInfo,
    },
    show::Names,
};
use anyhow::{anyhow, ensure, Context, Result};
use codec::{Decode, DecodeAll, Encode};
use consilium_primitives::{
    round::{Kind, RoundRecord},
    rules::MAX_ROUNDS,
    Hash, InstitutionId, StudyId,
};
use sp_consensus_grandpa::AuthorityList;
use sp_crypto_hashing::{blake2_128, twox_128, twox_64};
use sp_runtime::traits::BlakeTwo256;
use sp_trie::StorageProof;
use std::collections::HashMap;

use super::finality::AuthoritySet;

/// Most sums of one study whose postings a chain keeps.
const MAX_KEPT: usize = pallet_swarm_learning::MAX_KEPT as usize;

/// What a proof shows.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The study, with all its records.
    pub history: History,
    /// Who finalised blocks when the state was as it is.
    pub set: AuthoritySet,
}

fn item(pallet: &str, name: &str) -> Vec<u8> {
    [twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat()
}

fn genesis_key() -> Vec<u8> {
    let zero = 0u32.encode();
    [item("System", "BlockHash"), twox_64(&zero).to_vec(), zero].concat()
}

fn name_key(id: &InstitutionId) -> Vec<u8> {
    [item("Consortium", "Institutions"), blake2_128(&id.0).to_vec(), id.0.to_vec()].concat()
}

fn record_key(study: StudyId, kind: Kind, round: u32) -> Vec<u8> {
    map("History", &[study.encode(), (kind, round).encode()])
}

/// Keys that are known without reading anything.
fn fixed_keys(study: StudyId) -> Vec<Vec<u8>> {
    vec![
        map("Studies", &[study.encode()]),
        map("Specs", &[study.encode()]),
        entry("Ended"),
        genesis_key(),
        item("Grandpa", "Authorities"),
        item("Grandpa", "CurrentSetId"),
    ]
}

/// Keys that follow from the study: its records, those too that may not be there, and its members' names.
fn study_keys(study: StudyId, info: &StudyInfo) -> Vec<Vec<u8>> {
    let mut keys = vec![record_key(study, Kind::Statistics, 0)];
    keys.extend((0..=info.state.round).map(|round| record_key(study, Kind::Model, round)));
    if info.state.rules.masked.is_some() {
        keys.push(record_key(study, Kind::Evaluation, info.state.round));
        keys.push(map("Kept", &[study.encode()]));
    }
    if info.state.rules.privacy.is_some() {
        keys.extend(info.state.members.iter().map(|member| counted(study, &member.id)));
    }
    keys.extend(info.state.members.iter().map(|member| name_key(&member.id)));
    keys
}

/// Keys of what institutions posted in these pairings, and of what they may have.
fn posting_keys(study: StudyId, info: &StudyInfo, kept: &[(u32, u32)]) -> Vec<Vec<u8>> {
    let of = |(round, pairing): &(u32, u32)| {
        let (round, pairing) = (*round, *pairing);
        posted(&info.state).map(move |(step, who)| posting(study, (round, pairing, step, who)))
    };
    kept.iter().flat_map(of).collect()
}

/// All keys whose values, or absence, an archive of this study proves; `kept` are the pairings of which there are postings.
pub fn keys(study: StudyId, info: &StudyInfo, kept: &[(u32, u32)]) -> Vec<Vec<u8>> {
    [fixed_keys(study), study_keys(study, info), posting_keys(study, info, kept)].concat()
}

/// Reads a study from a proof, against the state root of a block's header, and as of that block, which has this number.
///
/// # Errors
/// The proof does not belong to this root, does not show a key that it must show, or shows what cannot be read.
pub fn read(root: Hash, now: u32, nodes: &[Vec<u8>], study: StudyId) -> Result<Proven> {
    let mut values = values(root, nodes, fixed_keys(study))?;
    let info: StudyInfo = take(&mut values, &map("Studies", &[study.encode()]), "the study")?
        .with_context(|| format!("the chain has no study {study} at this block"))?;
    let spec: Option<Vec<u8>> = take(&mut values, &map("Specs", &[study.encode()]), "the specification")?;
    ensure!(info.state.round <= MAX_ROUNDS, "the study is in round {}: no study can be", info.state.round);
    let ended: Vec<StudyId> = take(&mut values, &entry("Ended"), "the list of ended studies")?.unwrap_or_default();
    let genesis: Hash =
        take(&mut values, &genesis_key(), "the hash of block 0")?.context("the chain names no block 0")?;
    let authorities: AuthorityList =
        take(&mut values, &item("Grandpa", "Authorities"), "the authority list")?.unwrap_or_default();
    let id: u64 = take(&mut values, &item("Grandpa", "CurrentSetId"), "the number of the authority set")?.unwrap_or(0);
    let mut values = self::values(root, nodes, study_keys(study, &info))?;
    let mut records: Vec<RoundRecord> = Vec::new();
    let rounds = (0..=info.state.round).map(|round| (Kind::Model, round));
    let last = info.state.rules.masked.map(|_| (Kind::Evaluation, info.state.round));
    for (kind, round) in std::iter::once((Kind::Statistics, 0)).chain(rounds).chain(last) {
        let what = match kind {
            Kind::Statistics => "the record of the statistics".to_owned(),
            Kind::Model => format!("the record of round {round}"),
            Kind::Evaluation => "the record of the last evaluation".to_owned(),
        };
        let record = take::<RoundRecord>(&mut values, &record_key(study, kind, round), &what)?;
        if let Some(record) = &record {
            ensure!((record.kind, record.round) == (kind, round), "{what} says that it is of another round");
        }
        records.extend(record);
    }
    let mut kept: Vec<(u32, u32)> = Vec::new();
    if info.state.rules.masked.is_some() {
        kept = take(&mut values, &map("Kept", &[study.encode()]), "the list of what was posted")?.unwrap_or_default();
    }
    // a chain keeps some rounds, and no more
    ensure!(kept.len() <= MAX_KEPT, "postings of {} sums are kept: no chain keeps so many", kept.len());
    let mut postings = Postings::new();
    let mut found = self::values(root, nodes, posting_keys(study, &info, &kept))?;
    for (round, pairing) in kept {
        for (step, who) in posted(&info.state) {
            let which = (round, pairing, step, who);
            if let Some(bytes) = take(&mut found, &posting(study, which), "what was posted for a masked sum")? {
                postings.insert(which, bytes);
            }
        }
    }
    let mut counts = Counts::new();
    for member in info.state.members.iter().filter(|_| info.state.rules.privacy.is_some()) {
        if let Some(found) = take(&mut values, &counted(study, &member.id), "what was charged to a data set")? {
            counts.insert(member.id, found);
        }
    }
    let mut names = Names::new();
    for member in &info.state.members {
        let bytes = values.remove(&name_key(&member.id)).flatten();
        // an institution's entry begins with its name; what follows is of no use here
        if let Some(name) = bytes.and_then(|bytes| Vec::<u8>::decode(&mut &bytes[..]).ok()) {
            let plain = |c: char| if c.is_control() { '?' } else { c };
            names.insert(member.id, String::from_utf8_lossy(&name).chars().map(plain).collect());
        }
    }
    let listed = listed(study, &info, &ended);
    let history =
        History { genesis, study, info, spec, records, postings, counts, names, left_out: false, listed, now };
    Ok(Proven { history, set: AuthoritySet { id, authorities } })
}

type Values = HashMap<Vec<u8>, Option<Vec<u8>>>;

fn values(root: Hash, nodes: &[Vec<u8>], keys: Vec<Vec<u8>>) -> Result<Values> {
    let proof = StorageProof::new(nodes.iter().cloned());
    sp_state_machine::read_proof_check::<BlakeTwo256, _>(root, proof, keys)
        .map_err(|error| anyhow!("it is no proof of this study under the header's state root ({error})"))
}

fn take<T: Decode>(values: &mut Values, key: &[u8], what: &str) -> Result<Option<T>> {
    let bytes = values.remove(key).flatten();
    let decoded = bytes.map(|bytes| T::decode_all(&mut &bytes[..])).transpose();
    // the decoder's own account of nested types says nothing to people
    decoded.map_err(|_| {
        anyhow!("{what} cannot be read: was the archive made from a chain that this version of the program fits?")
    })
}
