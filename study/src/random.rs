//! Where chance comes from: ChaCha20 key streams (Bernstein 2008), one per purpose.
//!
//! A stream's key is BLAKE2b-256 of its purpose and of what it depends on, so that the same purpose gives the same
//! numbers on every machine. What is keyed by a site's secret cannot be guessed by others: public masks and batch
//! orders would help to invert updates.

use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha20Rng,
};

/// Key of a stream: BLAKE2b-256 over the purpose and the parts, each with its length (8 bytes, little-endian) before
/// it.
pub fn key(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut bytes = Vec::new();
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    sp_crypto_hashing::blake2_256(&bytes)
}

/// A stream of numbers. Words are the key stream's little-endian `u32`s; nonce and counter start at zero.
pub struct Stream(ChaCha20Rng);

impl Stream {
    /// The stream of this key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(key))
    }

    /// The stream of this key from its `word`-th word on.
    pub fn at(key: [u8; 32], word: u64) -> Self {
        let mut stream = ChaCha20Rng::from_seed(key);
        stream.set_word_pos(u128::from(word));
        Self(stream)
    }

    /// The next words.
    pub fn words(&mut self, words: &mut [u32]) {
        for word in words {
            *word = self.0.next_u32();
        }
    }

    /// Uniform on `[0, 1)`: `(x >> 8)·2⁻²⁴` of the next word.
    pub fn uniform(&mut self) -> f64 {
        f64::from(self.0.next_u32() >> 8) / f64::from(1u32 << 24)
    }

    /// Nearly normal, mean 0 and variance 1: the sum of twelve uniforms minus six. No logarithm or root is needed, so
    /// that every machine gives the same bits.
    pub fn normal(&mut self) -> f64 {
        (0..12).fold(0.0, |sum, _| sum + self.uniform()) - 6.0
    }

    /// Uniform below `n`, which must not be 0; words that would favour small results are drawn again.
    pub fn below(&mut self, n: u32) -> u32 {
        let whole = u32::MAX - u32::MAX % n;
        loop {
            let word = self.0.next_u32();
            if word < whole {
                return word % n;
            }
        }
    }

    /// Shuffles in place (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            // lists longer than u32 are refused when data are read
            let other = self.below(u32::try_from(i + 1).unwrap_or(u32::MAX)) as usize;
            items.swap(i, other);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Made by `tests/golden/streams.py`, which has its own ChaCha20.
    const GOLDEN: &str = include_str!("../tests/golden/streams.json");

    #[test]
    fn streams_are_what_independent_python_gives() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let key = key("consilium/test/1", &[b"part", b""]);
        assert_eq!(hex::encode(key), golden["key"].as_str().unwrap());
        let numbers =
            |name: &str| -> Vec<f64> { golden[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        let mut stream = Stream::new(key);
        assert_eq!((0..20).map(|_| stream.uniform()).collect::<Vec<_>>(), numbers("uniform"));
        let mut stream = Stream::new(key);
        assert_eq!((0..10).map(|_| stream.normal()).collect::<Vec<_>>(), numbers("normal"));
        for start in 0..20 {
            assert_eq!(Stream::at(key, start as u64).uniform(), numbers("uniform")[start], "from word {start} on");
        }
        let mut items: Vec<u32> = (0..17).collect();
        Stream::new(key).shuffle(&mut items);
        assert_eq!(items.iter().map(|i| f64::from(*i)).collect::<Vec<_>>(), numbers("shuffle"));
    }
}
