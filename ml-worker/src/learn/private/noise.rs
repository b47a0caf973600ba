//! Normal numbers of an AES-256 key stream, by the ziggurat method (J. A. Doornik, "An Improved Ziggurat Method to Generate
//! Normal Random Samples", 2005).

use crate::learn::real::Real;
use aes::{
    cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
    Aes256Enc,
};
use consilium_aggregation::masked::Noised;
use ctr::Ctr128BE;
use rand_core::{Error, RngCore};
use rand_distr::{Distribution, StandardNormal};

/// Words of the key stream that are made at a time.
const MADE: usize = 64;
/// Log₂ of the bytes of the key stream between the parameters' places in it: no parameter's noise reaches into that of the next.
const APART: u32 = 68;

/// A key stream: AES-256 in counter mode, with a counter of 128 bits, big-endian, from 0.
#[derive(Clone)]
pub(super) struct Bytes(Ctr128BE<Aes256Enc>);

impl Bytes {
    /// That of this key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Ctr128BE::<Aes256Enc>::new(key.into(), &[0u8; 16].into()))
    }

    /// Its words from a place on. Places are `2⁶⁸` bytes apart.
    pub fn at(&self, place: usize) -> Words {
        let mut cipher = self.0.clone();
        cipher.seek((place as u128) << APART);
        Words { cipher, made: [0; MADE], used: MADE }
    }
}

/// Words of a key stream, little-endian.
pub(super) struct Words {
    cipher: Ctr128BE<Aes256Enc>,
    made: [u64; MADE],
    used: usize,
}

impl Words {
    fn make(&mut self) {
        let mut bytes = [0u8; 8 * MADE];
        self.cipher.apply_keystream(&mut bytes);
        for (made, word) in self.made.iter_mut().zip(bytes.as_chunks().0) {
            *made = u64::from_le_bytes(*word);
        }
        self.used = 0;
    }
}

impl RngCore for Words {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    #[inline]
    fn next_u64(&mut self) -> u64 {
        if self.used == MADE {
            self.make();
        }
        let word = self.made[self.used];
        self.used += 1;
        word
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// What makes a step's private gradient of the sum of clipped gradients.
pub struct Noise {
    bytes: Bytes,
    deviation: f64,
    share: f64,
}

impl Noise {
    /// Noise of this `deviation` on sums that are then multiplied by `share`. A key is for one step alone.
    pub fn new(key: &[u8; 32], deviation: f64, share: f64) -> Self {
        Self { bytes: Bytes::new(key), deviation, share }
    }

    /// `(sum + deviation·z)·share` of sums that begin at parameter `start`, each with a normal number `z` of its own, in f64.
    /// The numbers are those of this beginning: the same sums in other parts get others.
    pub fn add<R: Real>(&self, start: usize, sums: &mut [R]) {
        let mut words = self.bytes.at(start);
        for sum in sums {
            let z: f64 = StandardNormal.sample(&mut words);
            *sum = R::of((sum.f64() + self.deviation * z) * self.share);
        }
    }

    /// `sum + deviation·z` of all parameters' sums, in f64, counted on the grid of a sum whose noise sites share. It is rounded after the
    /// noise was added, and nothing else is made of it here.
    pub fn counted<R: Real>(&self, sums: &[R], grid: Noised) -> Vec<u32> {
        let mut words = self.bytes.at(0);
        let of = |sum: &R| {
            let z: f64 = StandardNormal.sample(&mut words);
            grid.word(sum.f64() + self.deviation * z)
        };
        sums.iter().map(of).collect()
    }
}
