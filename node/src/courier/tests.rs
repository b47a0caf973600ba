//! Couriers against each other and against peers that mean harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attached;
mod counting;
mod disk;
mod egress_log;
mod expiring;
mod fetching;
mod giving;
mod grants;
mod network;
mod older;
mod power;
mod reading;
mod receiving;
mod returning;
mod serving;
mod stalling;
mod waiting;

use super::{
    egress::{EgressLog, Line},
    figures::Figures,
    gate::Snapshot,
    listed::Notice,
    serve::Server,
    store::Store,
    wire::{Entry, Kind, Request, Response, SPAN},
};
use codec::Encode;
use consilium_primitives::{BlobRef, Hash, InstitutionId, InstitutionNotice, Name};
use sc_network_types::PeerId;
use std::{fs, path::PathBuf, sync::Arc};

/// The sizes around which trees change their shape, and one of several responses.
const SIZES: [usize; 8] = [1, 512, 1024, 16 * 1024, 16 * 1024 + 1, 1024 * 1024, 3 * 1024 * 1024, 3 * 1024 * 1024 + 5];

fn site(n: u8) -> InstitutionId {
    InstitutionId([n; 32])
}

fn peer(n: u8) -> PeerId {
    // an identity multihash of 32 bytes
    PeerId::from_bytes(&[vec![0, 32], vec![n; 32]].concat()).unwrap()
}

/// Bytes that are different in every place, and their name.
fn blob(len: usize, seed: u8) -> (Vec<u8>, BlobRef) {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    let root = Hash::from(*blake3::hash(&bytes).as_bytes());
    (bytes, BlobRef { root, len: len as u64 })
}

fn notice(kind: Kind, blob: BlobRef, holders: &[u8], members: &[u8]) -> Notice {
    let ids = |list: &[u8]| list.iter().map(|n| site(*n)).collect();
    Notice { study: 7, round: 3, kind, blob, holders: ids(holders), members: ids(members), wanted: true }
}

/// A blob as [`notice`] lists it.
fn entry(kind: Kind, blob: BlobRef) -> Entry {
    Entry { study: 7, round: 3, kind, blob }
}

/// An update as [`notice`] lists it.
fn update(blob: BlobRef) -> Entry {
    entry(Kind::Update, blob)
}

/// What node `local` reads from a chain with institutions 1 to 5.
fn chain(local: u8, best: &[Notice], finalised: &[Notice]) -> Arc<Snapshot> {
    let nodes: Vec<_> = (1..=5).map(|n| (n, peer(n))).collect();
    chain_of(&peer(local), &nodes, best, finalised)
}

/// What a node reads from a chain with these institutions and nodes.
fn chain_of(local: &PeerId, nodes: &[(u8, PeerId)], best: &[Notice], finalised: &[Notice]) -> Arc<Snapshot> {
    let institution = |(n, peer): &(u8, PeerId)| InstitutionNotice {
        id: site(*n),
        name: Name::truncate_from(format!("hospital {n}").into_bytes()),
        peer_id: Some(peer.to_bytes()),
        validator: true,
        participant: true,
    };
    Arc::new(Snapshot::new(local, nodes.iter().map(institution).collect(), best.to_vec(), finalised))
}

/// A chain that tests are on.
const GENESIS: sp_core::H256 = sp_core::H256::repeat_byte(9);

/// The folders and the serving side of one node.
struct House {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    server: Arc<Server>,
    figures: Figures,
}

impl House {
    fn new() -> Self {
        Self::with_quota(u64::MAX)
    }

    fn with_quota(quota: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("blobs"), &dir.path().join("courier"), quota).unwrap());
        let egress = EgressLog::open(&dir.path().join("courier/egress.log"), &GENESIS).unwrap();
        let figures = Figures::quiet();
        let server = Arc::new(Server::new(store.clone(), egress, std::convert::identity, figures.clone()));
        server.set_behind(false);
        Self { dir, store, server, figures }
    }

    /// The store as a restarted node finds it.
    fn reopened(&self) -> Store {
        Store::open(&self.dir.path().join("blobs"), &self.dir.path().join("courier"), u64::MAX).unwrap()
    }

    fn file(&self, blob: &BlobRef) -> PathBuf {
        self.dir.path().join("blobs").join(hex::encode(blob.root.0))
    }

    /// Puts bytes into the blob store, as a worker would.
    fn put(&self, blob: &BlobRef, bytes: &[u8]) {
        fs::write(self.file(blob), bytes).unwrap();
    }

    fn ask(&self, from: u8, request: &Request) -> Response {
        self.server.answer(&request.encode(), peer(from)).response
    }

    fn egress(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.dir.path().join("courier/egress.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A node of institution 1 that holds a blob of its own and may give it to institutions 2 and 3.
fn holder(len: usize, seed: u8) -> (House, Vec<u8>, BlobRef) {
    let house = House::new();
    let (bytes, blob) = blob(len, seed);
    house.put(&blob, &bytes);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    house.server.update(chain(1, &listed, &listed));
    (house, bytes, blob)
}

fn first(entry: Entry) -> Request {
    Request { entry, start: 0, len: SPAN }
}

fn slice(response: Response) -> Vec<u8> {
    match response {
        Response::Data(slice) => slice,
        other => panic!("{other:?} instead of bytes"),
    }
}
