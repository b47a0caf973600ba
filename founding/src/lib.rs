//! What institutions exchange before there is a chain, and what a chain is founded with.
//!
//! An institution tells the others who it is by a [`Card`]: a small public file, signed by its people's key and by its node's.
//! From all cards, the runtime and the founding's terms ([`Terms`]) follows the chain's specification, the same bytes for
//! everybody. The command line makes cards; the node founds. And what survivors exchange when most nodes are gone, and the
//! chain can decide nothing any more ([`RecoveryFile`]).
#![forbid(unsafe_code)]

mod address;
mod bytes;
mod card;
mod peer;
mod recovery;
mod terms;

pub use address::{check_address, is_private};
pub use card::{Card, Identity, CONTEXT};
pub use peer::PeerId;
pub use recovery::{BlockEntry, ConsentEntry, InstitutionEntry, RecoveryFile, SetEntry};
pub use terms::{Span, Terms};

/// Exit code of programs for what starting again does not mend: a wrong command line, key, file or mode. `EX_CONFIG` of
/// `sysexits.h`.
pub const EXIT_CONFIGURATION: u8 = 78;

/// First bytes of what a node key signs to claim its peer id for an institution of a chain that exists.
pub const PEER_CONTEXT: &[u8] = b"consilium/peer/1";

/// What a node key signs to claim a peer id for an institution on the chain with this genesis hash.
pub fn peer_claim(genesis: &[u8; 32], institution: &[u8; 32], peer: &PeerId) -> Vec<u8> {
    [PEER_CONTEXT, genesis, institution, &peer.bytes()].concat()
}
