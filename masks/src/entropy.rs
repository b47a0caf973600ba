//! Random numbers from 32 bytes, so that a worker that is started again draws the same.
use crate::{hash::derive, stream::Cipher};
use ctr::cipher::{KeyIvInit, StreamCipher};
use rand_core::{impls, CryptoRng, Error, RngCore};

/// A stream of random bytes that follows from 32 secret bytes and a label.
///
/// The 32 bytes must come from the system's random generator and serve nothing else.
pub struct Entropy(Cipher);

impl Entropy {
    /// The stream for `label`. Other labels give independent streams.
    pub fn new(secret: &[u8; 32], label: &[u8]) -> Self {
        let key = derive(b"consilium/entropy/1", secret, &[label]);
        Self(Cipher::new((&*key).into(), (&[0_u8; 16]).into()))
    }
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(secret)")
    }
}

impl RngCore for Entropy {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        self.0.apply_keystream(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Entropy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_again_and_others_for_another_label() {
        let draw = |label: &[u8]| {
            let mut bytes = [0; 100];
            Entropy::new(&[7; 32], label).fill_bytes(&mut bytes);
            bytes
        };
        assert_eq!(draw(b"a"), draw(b"a"));
        assert_ne!(draw(b"a"), draw(b"b"));

        // drawn in pieces, over whatever stood there
        let mut entropy = Entropy::new(&[7; 32], b"a");
        let mut pieces = [0xff; 100];
        for piece in pieces.chunks_mut(7) {
            entropy.fill_bytes(piece);
        }
        assert_eq!(pieces, draw(b"a"));
    }
}
