//! The masks themselves: AES-256 in counter mode, added to or subtracted from numbers.
use crate::{
    hash::{agree, derive},
    Id,
};
use aes::Aes256Enc;
use ctr::{
    cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
    Ctr128BE,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a stream that are made at once: small enough that they, and the numbers they are added to, stay in the nearest cache
/// while one stream after another is added.
const BLOCK: usize = 8 * 1024;

/// Sums of 64 bits that follow the words in a masked model: loss by rows, rows, sites that reported.
pub const FIGURES: usize = 3;

/// The key of one mask.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StreamKey([u8; 32]);

impl StreamKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("StreamKey(secret)")
    }
}

/// The key of the mask that a site adds for itself alone.
pub fn self_key(seed: &[u8; 32], who: &Id, partners_root: &[u8; 32]) -> StreamKey {
    StreamKey(*derive(b"consilium/self/1", seed, &[partners_root, who]))
}

/// The key of the mask that two sites have in common, from the pair secret of one and the public pair key of the other. Which of the
/// two `one` and `other` is does not matter; whose the secret is neither.
pub fn pair_key(secret: &[u8; 32], public: &[u8; 32], one: &Id, other: &Id, partners_root: &[u8; 32]) -> StreamKey {
    let common = agree(secret, public);
    StreamKey(*derive(b"consilium/pair/1", &common[..], &[partners_root, one.min(other), one.max(other)]))
}

/// Whether a mask is added or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The stream is added.
    Add,
    /// The stream is subtracted.
    Subtract,
}

impl Sign {
    /// The sign that takes off what this one puts on.
    pub fn opposite(self) -> Self {
        match self {
            Self::Add => Self::Subtract,
            Self::Subtract => Self::Add,
        }
    }

    /// The sign by which `own` masks its numbers with what it has in common with `other`: the lower id adds.
    pub fn of_pair(own: &Id, other: &Id) -> Self {
        if own < other {
            Self::Add
        } else {
            Self::Subtract
        }
    }
}

/// The generator of all masks: a 128-bit counter, its highest byte first, from zero.
pub(crate) type Cipher = Ctr128BE<Aes256Enc>;

/// Any number of masks, each with its sign, ready to be added at any place.
///
/// All methods take `&self` and a place, so that threads can work on parts of one file: `words[4096..8192]` with offset 4096 gets the
/// same as it would when the whole file were masked at once. Places that are multiples of 2,048 words make whole blocks.
#[derive(Clone)]
pub struct Streams(Vec<(Cipher, Sign)>);

impl core::fmt::Debug for Streams {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Streams({})", self.0.len())
    }
}

impl Streams {
    /// These masks, all together.
    pub fn new(keys: impl IntoIterator<Item = (StreamKey, Sign)>) -> Self {
        Self(keys.into_iter().map(|(key, sign)| (Cipher::new((&key.0).into(), (&[0_u8; 16]).into()), sign)).collect())
    }

    /// How many masks these are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no mask at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the masks to words modulo 2^32. `offset` is the place of the first of them in the file, in words.
    pub fn add(&self, offset: u64, words: &mut [u32]) {
        self.each(4 * offset, words, |part, bytes, sign| {
            let (stream, _) = bytes.as_chunks::<4>();
            // two loops, so that each becomes vector instructions
            match sign {
                Sign::Add => {
                    for (word, mask) in part.iter_mut().zip(stream) {
                        *word = word.wrapping_add(u32::from_le_bytes(*mask));
                    }
                }
                Sign::Subtract => {
                    for (word, mask) in part.iter_mut().zip(stream) {
                        *word = word.wrapping_sub(u32::from_le_bytes(*mask));
                    }
                }
            }
        });
    }

    /// Adds the masks to the three sums that follow the words of a model, modulo 2^64. `words` says how many words stand before them,
    /// the padding word included.
    pub fn add_figures(&self, words: u64, figures: &mut [u64; FIGURES]) {
        self.each(4 * words, &mut figures[..], |part, bytes, sign| {
            for (figure, mask) in part.iter_mut().zip(bytes.as_chunks::<8>().0) {
                let mask = u64::from_le_bytes(*mask);
                *figure = match sign {
                    Sign::Add => figure.wrapping_add(mask),
                    Sign::Subtract => figure.wrapping_sub(mask),
                };
            }
        });
    }

    /// Adds the masks to integers of 256 bits, eight words each, the least first, modulo 2^256 with carry. `offset` is the place of the
    /// first of them, in integers: 32 bytes of every stream belong to each.
    pub fn add_wide(&self, offset: u64, integers: &mut [[u32; 8]]) {
        self.each(32 * offset, integers, |part, bytes, sign| {
            for (integer, mask) in part.iter_mut().zip(bytes.as_chunks::<32>().0) {
                add_mod_2_256(integer, mask, sign);
            }
        });
    }

    /// Hands each part of `numbers` to `combine` once per stream, with the stream's bytes for it and its sign. `start` is the place of
    /// the first number in the stream, in bytes; a number takes as many bytes as it has in memory, which is so for all that are used.
    fn each<T>(&self, start: u64, numbers: &mut [T], combine: impl Fn(&mut [T], &[u8], Sign)) {
        let size = core::mem::size_of::<T>();
        let mut streams = self.0.clone();
        for (stream, _) in &mut streams {
            stream.seek(start);
        }
        let mut buffer = Zeroizing::new([0_u8; BLOCK]);
        for part in numbers.chunks_mut(BLOCK / size) {
            let bytes = &mut buffer[..part.len() * size];
            for (stream, sign) in &mut streams {
                // counter mode is exclusive-or with the stream: on zeros it gives the stream itself
                bytes.fill(0);
                stream.apply_keystream(bytes);
                combine(part, bytes, *sign);
            }
        }
    }
}

/// `integer ± mask` modulo 2^256. Subtracting is adding the complement and one.
fn add_mod_2_256(integer: &mut [u32; 8], mask: &[u8; 32], sign: Sign) {
    let mut carry = u64::from(sign == Sign::Subtract);
    for (word, mask) in integer.iter_mut().zip(mask.as_chunks::<4>().0) {
        let mask = u32::from_le_bytes(*mask);
        let mask = if sign == Sign::Subtract { !mask } else { mask };
        let sum = u64::from(*word) + u64::from(mask) + carry;
        *word = sum as u32;
        carry = sum >> 32;
    }
}
