//! Keys and identities of a local network's institutions.

use crate::{chain::Chain, programs::random};
use anyhow::{bail, Context, Result};
use codec::Encode;
use consilium_primitives::{Hash, InstitutionId};
use sp_core::{ed25519, Pair};
use std::net::TcpListener;
use subxt_signer::sr25519::{dev, Keypair};

/// First bytes of what a node key signs to claim its peer id for an institution.
const PEER_CONTEXT: &[u8] = b"consilium/peer/1";
/// Identity multihash (code 0, 36 bytes) of a protobuf `PublicKey` of type ed25519 with 32 bytes of data. Source:
/// libp2p specification, "Peer Ids and Keys".
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// An institution of the local testnet: well-known keys, for trying things out only.
pub struct Account {
    /// Its name on the chain.
    pub name: &'static str,
    /// The node's flag for its session keys.
    pub flag: &'static str,
    /// Its key, as a key file holds it.
    pub secret: &'static str,
    /// The key that signs for its people.
    pub signer: Keypair,
}

impl Account {
    /// Its id on the chain.
    pub fn id(&self) -> InstitutionId {
        InstitutionId(self.signer.public_key().0)
    }
}

/// The four institutions of the local testnet.
pub fn accounts() -> [Account; 4] {
    [
        Account { name: "hospital-a", flag: "--alice", secret: "//Alice", signer: dev::alice() },
        Account { name: "hospital-b", flag: "--bob", secret: "//Bob", signer: dev::bob() },
        Account { name: "hospital-c", flag: "--charlie", secret: "//Charlie", signer: dev::charlie() },
        Account { name: "hospital-d", flag: "--dave", secret: "//Dave", signer: dev::dave() },
    ]
}

/// A node's ed25519 key, made for one run.
pub struct NodeKey(ed25519::Pair, [u8; 32]);

impl NodeKey {
    /// A fresh key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn fresh() -> Result<Self> {
        let seed = random()?;
        Ok(Self(ed25519::Pair::from_seed(&seed), seed))
    }

    /// The secret key in hexadecimal, as the node takes it.
    pub fn secret(&self) -> String {
        hex::encode(self.1)
    }

    /// The peer id in base 58.
    pub fn peer_id(&self) -> String {
        bs58::encode(self.peer_id_bytes()).into_string()
    }

    fn peer_id_bytes(&self) -> Vec<u8> {
        [&PEER_ID_PREFIX[..], &self.0.public().0].concat()
    }

    /// Claims this node's peer id for an institution, on the chain.
    ///
    /// # Errors
    /// The chain refused it, or is out of reach.
    pub async fn register(&self, chain: &Chain, account: &Account) -> Result<()> {
        let claim = claim(&chain.genesis(), &account.id(), &self.peer_id_bytes());
        let arguments = (self.0.public().0, self.0.sign(&claim).0).encode();
        chain
            .submit(&account.signer, "Consortium", "set_peer_id", arguments)
            .await
            .with_context(|| format!("cannot register the peer id of {}", account.name))
    }
}

fn claim(genesis: &Hash, institution: &InstitutionId, peer_id: &[u8]) -> Vec<u8> {
    [PEER_CONTEXT, genesis.as_bytes(), &institution.0, peer_id].concat()
}

/// Where ports are looked for: below those that Linux gives to outgoing connections, one of which could take a port between the
/// moment it is found free and the moment it is used.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Free TCP ports of the loopback interface, other than one that is spoken for. Those that come first after a random one: runs
/// that start at the same time do not meet.
///
/// # Errors
/// There are none left.
pub fn free_ports(count: usize, taken: Option<u16>) -> Result<Vec<u16>> {
    let first = u16::from_le_bytes(random()?) % PORTS.len() as u16;
    let ports = PORTS.skip(first.into()).chain(PORTS.take(first.into()));
    let free = ports.filter(|port| Some(*port) != taken && TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let free: Vec<u16> = free.take(count).collect();
    anyhow::ensure!(
        free.len() == count,
        "no {count} free ports on 127.0.0.1 between {} and {}",
        PORTS.start,
        PORTS.end
    );
    Ok(free)
}

/// Whether a port of the loopback interface is free.
///
/// # Errors
/// It is not.
pub fn check_free(port: u16) -> Result<()> {
    if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
        bail!("port {port} of 127.0.0.1 cannot be used ({error}): choose another with --rpc-port, or leave the option out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn peer_ids_have_the_form_that_libp2p_prints() {
        assert!(NodeKey::fresh().unwrap().peer_id().starts_with("12D3KooW"));
        assert_eq!(NodeKey::fresh().unwrap().peer_id_bytes().len(), 38);
    }

    #[test]
    fn a_busy_port_is_refused_by_number() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(check_free(port).unwrap_err().to_string().contains(&format!("port {port} ")));
    }

    #[test]
    fn free_ports_differ_and_are_not_the_one_that_is_spoken_for() {
        let given = free_ports(8, None).unwrap();
        let ports: std::collections::BTreeSet<u16> = given.iter().copied().collect();
        assert!(ports.len() == 8 && ports.iter().all(|port| PORTS.contains(port)), "{given:?}");
        // so many that the one would be among them
        let taken = PORTS.start + 17;
        let most = free_ports(PORTS.len() * 9 / 10, Some(taken)).unwrap();
        assert!(!most.contains(&taken));
        let error = free_ports(PORTS.len() + 1, None).unwrap_err().to_string();
        assert!(error.contains("20000"), "{error}");
    }
}
