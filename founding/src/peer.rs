//! Names of nodes in the network.

use anyhow::{bail, Result};
use std::fmt;

/// Identity multihash (code 0, 36 bytes) of a protobuf `PublicKey` of type ed25519 with 32 bytes of data. Source:
/// libp2p specification, "Peer Ids and Keys".
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The name of a node in the network: its ed25519 key, in libp2p's wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId {
    /// The node's public key.
    pub key: [u8; 32],
}

impl PeerId {
    /// Its 38 bytes, as the chain keeps them.
    pub fn bytes(&self) -> Vec<u8> {
        [&PREFIX[..], &self.key].concat()
    }

    /// Reads one as people see it, in base 58.
    ///
    /// # Errors
    /// It is no peer id of an ed25519 key.
    pub fn read(text: &str) -> Result<Self> {
        let bytes = bs58::decode(text).into_vec().unwrap_or_default();
        match bytes.strip_prefix(&PREFIX).and_then(|key| key.try_into().ok()) {
            Some(key) => Ok(Self { key }),
            None => bail!("{text}: no peer id of an ed25519 key; it begins with 12D3KooW"),
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.bytes()).into_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_peer_id_reads_as_it_is_written() {
        let peer = PeerId { key: [7; 32] };
        let text = peer.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(PeerId::read(&text).unwrap(), peer);
        assert_eq!(peer.bytes().len(), 38);
        for wrong in ["", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl", &format!("{text}1")] {
            assert!(PeerId::read(wrong).unwrap_err().to_string().contains("12D3KooW"), "{wrong}");
        }
    }
}
