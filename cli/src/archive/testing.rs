//! An archive of the made-up study of [`crate::audit::testing`]: a chain's state with it, its proof, and who finalised it.
#![allow(clippy::unwrap_used)]

use super::{
    export::{files, write, Target},
    finality::{AuthoritySet, FinalityProof},
    format::{open, Evidence, Manifest, VERSION},
    state, verify, Opened, Trust,
};
use crate::{
    audit::{
        blobs::Folder,
        testing::{World, STUDY},
    },
    chain::{entry, map, BlockHeader},
};
use anyhow::Result;
use codec::Encode;
use consilium_primitives::Hash;
use finality_grandpa::{Commit, Message, Precommit, SignedPrecommit};
use sp_consensus_grandpa::{localized_payload, AuthorityId, GrandpaJustification};
use sp_core::{ed25519, storage::StateVersion, Pair};
use sp_crypto_hashing::{blake2_128, twox_128, twox_64};
use sp_runtime::{
    traits::{BlakeTwo256, Header},
    Storage,
};
use sp_state_machine::{prove_read, InMemoryBackend};
use std::{fs, path::PathBuf};

pub(super) const SET: u64 = 5;
const ROUND: u64 = 11;

pub(super) fn pair(seed: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[seed; 32])
}

pub(super) fn set(id: u64, seeds: &[u8]) -> AuthoritySet {
    let authorities = seeds.iter().map(|seed| (AuthorityId::from(pair(*seed).public()), 1)).collect();
    AuthoritySet { id, authorities }
}

/// A justification of a block, signed by these keys for this set.
pub(super) fn justify(header: &BlockHeader, set_id: u64, seeds: &[u8]) -> Vec<u8> {
    let precommit = Precommit { target_hash: header.hash(), target_number: header.number };
    let payload = localized_payload(ROUND, set_id, &Message::Precommit(precommit.clone()));
    let precommits = seeds
        .iter()
        .map(|seed| SignedPrecommit {
            precommit: precommit.clone(),
            signature: pair(*seed).sign(&payload).into(),
            id: pair(*seed).public().into(),
        })
        .collect();
    let commit = Commit { target_hash: header.hash(), target_number: header.number, precommits };
    GrandpaJustification::<BlockHeader> { round: ROUND, commit, votes_ancestries: Vec::new() }.encode()
}

pub(super) fn header(number: u32, parent: Hash, state_root: Hash) -> BlockHeader {
    BlockHeader::new(number, Hash::zero(), state_root, parent, Default::default())
}

/// The finality proof of a block by its child.
pub(super) fn by_child(block: &BlockHeader, set_id: u64, seeds: &[u8]) -> FinalityProof {
    let child = header(block.number + 1, block.hash(), Hash::repeat_byte(2));
    let justification = justify(&child, set_id, seeds);
    FinalityProof { block: child.hash(), justification, unknown_headers: vec![child] }
}

/// The state of a chain with this study in it.
pub(super) fn chain_state(world: &World) -> InMemoryBackend<BlakeTwo256> {
    let history = &world.history;
    let item = |pallet: &str, name: &str| [twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat();
    let zero = 0u32.encode();
    let mut top = vec![
        (map("Studies", &[STUDY.encode()]), history.info.encode()),
        (map("Specs", &[STUDY.encode()]), history.spec.encode()[1..].to_vec()),
        ([item("System", "BlockHash"), twox_64(&zero).to_vec(), zero].concat(), history.genesis.encode()),
        (item("Grandpa", "Authorities"), set(SET, &[1, 2, 3, 4]).authorities.encode()),
        (entry("Ended"), vec![STUDY].encode()),
        (item("Grandpa", "CurrentSetId"), SET.encode()),
    ];
    for record in &history.records {
        let key = map("History", &[STUDY.encode(), (record.kind, record.round).encode()]);
        top.push((key, record.encode()));
    }
    for (id, name) in &history.names {
        let key = [item("Consortium", "Institutions"), blake2_128(&id.0).to_vec(), id.0.to_vec()].concat();
        top.push((key, (name, true, true, false).encode()));
    }
    // what else a chain holds
    top.extend((0u32..200).map(|n| (twox_128(&n.encode()).to_vec(), vec![1; 40])));
    let storage = Storage { top: top.into_iter().collect(), children_default: Default::default() };
    (storage, StateVersion::V1).into()
}

pub(super) fn evidence(world: &World, updates: bool) -> (Evidence, state::Proven) {
    let backend = chain_state(world);
    let root = *backend.root();
    let proof = prove_read(backend, state::keys(STUDY, &world.history.info, &[])).unwrap();
    let proof: Vec<Vec<u8>> = proof.into_iter_nodes().collect();
    let block = header(20, Hash::repeat_byte(1), root);
    let proven = state::read(root, 1, &proof, STUDY).unwrap();
    let manifest = Manifest {
        version: VERSION,
        genesis: hex::encode(world.history.genesis),
        study: STUDY,
        block: hex::encode(block.hash()),
        number: 20,
        set_id: SET,
        updates,
    };
    let finality = by_child(&block, SET, &[1, 2, 3]).encode();
    let spec = world.history.spec.clone().unwrap();
    (Evidence { manifest, header: block.encode(), finality, proof, spec }, proven)
}

/// An archive that can be written, and what it is made of.
pub(super) struct Made {
    pub world: World,
    pub folder: tempfile::TempDir,
    pub evidence: Evidence,
    pub proven: state::Proven,
}

impl Made {
    pub fn new(updates: bool) -> Self {
        let world = World::new();
        let (evidence, proven) = evidence(&world, updates);
        Self { world, folder: tempfile::tempdir().unwrap(), evidence, proven }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("study.tar")
    }

    pub fn blobs(&self) -> Folder {
        Folder::open(self.world.folder().to_path_buf()).unwrap()
    }

    pub fn write(&self, evidence: &Evidence) {
        let wanted = files(&self.proven, evidence.manifest.updates);
        let path = self.path();
        let target = Target { path: &path, force: true, private: false, recipient: None };
        assert!(write(evidence, &wanted, &self.blobs(), &target).unwrap().is_empty());
    }

    /// What an auditor's program makes of changed evidence.
    pub fn opened(&self, evidence: &Evidence, trust: &Trust) -> Result<Opened> {
        self.write(evidence);
        let (evidence, blobs) = open(&self.path(), None)?;
        verify(&evidence, blobs, trust)
    }

    pub fn refused(&self, evidence: &Evidence, trust: &Trust) -> String {
        match self.opened(evidence, trust) {
            Ok(_) => panic!("it was accepted"),
            Err(error) => format!("{error:#}"),
        }
    }

    pub fn trust_block(&self) -> Trust {
        Trust { trust_block: Some(self.evidence.manifest.block.clone()), ..Trust::default() }
    }

    pub fn trust_set(&self, set: &AuthoritySet) -> Trust {
        let path = self.folder.path().join("authorities.json");
        fs::write(&path, set.json(&self.proven.history.genesis).unwrap().to_string()).unwrap();
        Trust { trust_authorities: Some(path), ..Trust::default() }
    }
}
