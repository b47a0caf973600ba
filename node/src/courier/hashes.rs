//! The hashes of a blob, from its bytes.

use super::wire;
use bao_tree::io::{outboard::PreOrderOutboard, sync::outboard};
use consilium_primitives::BlobRef;
use std::io::{self, Read};

/// Blobs up to this length, which fit into one response, have no outboard on disk: to hash such a one whole takes no longer than
/// to check the part of it that is given.
pub const SMALL: u64 = wire::SPAN as u64;

/// The hash pairs of a blob in pre-order; none if the bytes are not that blob.
pub fn hashes_of(data: impl Read, blob: &BlobRef) -> io::Result<Option<Vec<u8>>> {
    let tree = wire::tree(blob);
    let size = usize::try_from(tree.outboard_size()).map_err(io::Error::other)?;
    let mut hashes = PreOrderOutboard { root: wire::root(blob), tree, data: vec![0; size] };
    match outboard(data, tree, &mut hashes) {
        Ok(found) => Ok((found == hashes.root).then_some(hashes.data)),
        // shorter than it should be
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
