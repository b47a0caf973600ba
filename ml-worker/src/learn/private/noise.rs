//! Noise of an AES-256 key stream.

mod normal;

use crate::learn::{kernels::fast, real::Real};
use aes::{
    cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
    Aes256Enc,
};
use consilium_aggregation::masked::Noised;
use ctr::Ctr128BE;
use normal::{normal, PAIRS};

/// Words of the key stream that are made at a time: as many as normal numbers are made of at a time.
const MADE: usize = 2 * PAIRS;
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
    /// The next word.
    pub fn word(&mut self) -> u64 {
        if self.used == MADE {
            self.made = self.many();
            self.used = 0;
        }
        let word = self.made[self.used];
        self.used += 1;
        word
    }

    /// The next of them, where none was taken alone.
    pub fn many(&mut self) -> [u64; MADE] {
        let mut bytes = [0u8; 8 * MADE];
        self.cipher.apply_keystream(&mut bytes);
        let mut words = [0; MADE];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
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
        let (deviation, share) = (self.deviation, self.share);
        let mut words = self.bytes.at(start);
        for sums in sums.chunks_mut(MADE) {
            let words = words.many();
            fast(
                #[inline(always)]
                || {
                    let numbers = normal(&words);
                    for (sum, z) in sums.iter_mut().zip(numbers.as_flattened()) {
                        *sum = R::of((sum.f64() + deviation * z) * share);
                    }
                },
            );
        }
    }

    /// `sum + deviation·z` of all parameters' sums, in f64, counted on the grid of a sum whose noise sites share. It is rounded after the
    /// noise was added, and nothing else is made of it here.
    pub fn counted<R: Real>(&self, sums: &[R], grid: Noised) -> Vec<u32> {
        let mut words = self.bytes.at(0);
        let mut counted = Vec::with_capacity(sums.len());
        for sums in sums.chunks(MADE) {
            let words = words.many();
            let numbers = fast(
                #[inline(always)]
                || normal(&words),
            );
            let of = |(sum, z): (&R, &f64)| grid.word(sum.f64() + self.deviation * z);
            counted.extend(sums.iter().zip(numbers.as_flattened()).map(of));
        }
        counted
    }
}
