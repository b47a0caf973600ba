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

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(keys: &[(u8, Sign)]) -> Streams {
        Streams::new(keys.iter().map(|(key, sign)| (StreamKey([*key; 32]), *sign)))
    }

    fn random(words: usize) -> Vec<u32> {
        let mut numbers = vec![0; words];
        streams(&[(99, Sign::Add)]).add(0, &mut numbers);
        numbers
    }

    /// The key of zeros: the blocks of GCM's test cases 13 and 14, which are AES-256 of the numbers 0, 1 and 2 as 128 bits, the
    /// highest byte first.
    #[test]
    fn the_stream_is_aes_256_of_a_counter_from_zero() {
        let mut words = [0; 12];
        streams(&[(0, Sign::Add)]).add(0, &mut words);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let expected =
            "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738bcea7403d4d606b6e074ec5d3baf39d18";
        assert_eq!(hex::encode(bytes), expected);
    }

    /// Parts of any length from any place, as threads take them, get what the whole gets.
    #[test]
    fn parts_are_masked_like_the_whole() {
        let masks = streams(&[(1, Sign::Add), (2, Sign::Subtract), (3, Sign::Add)]);
        let plain = random(10_001);
        let mut whole = plain.clone();
        masks.add(0, &mut whole);
        assert_ne!(whole, plain);
        for length in [1, 3, 1_000, 2_048, 4_096, 9_999] {
            let mut parts = plain.clone();
            for (number, part) in parts.chunks_mut(length).enumerate() {
                masks.add((number * length) as u64, part);
            }
            assert_eq!(parts, whole, "in parts of {length}");
        }
    }

    #[test]
    fn what_is_added_is_taken_off_by_the_opposite_signs() {
        let keys = [(1, Sign::Add), (2, Sign::Subtract), (3, Sign::Add)];
        let plain = random(5_000);
        let mut numbers = plain.clone();
        streams(&keys).add(7, &mut numbers);
        streams(&keys.map(|(key, sign)| (key, sign.opposite()))).add(7, &mut numbers);
        assert_eq!(numbers, plain);

        // and two signs of one key cancel at once
        streams(&[(1, Sign::Add), (1, Sign::Subtract)]).add(0, &mut numbers);
        assert_eq!(numbers, plain);
    }

    /// The figures' bytes are those that follow the words' bytes.
    #[test]
    fn figures_continue_the_stream() {
        let masks = streams(&[(1, Sign::Add)]);
        let mut words = [0; 16];
        masks.add(0, &mut words);
        let mut figures = [5, 0, u64::MAX];
        masks.add_figures(10, &mut figures);
        let mask = |place: usize| u64::from(words[place]) | (u64::from(words[place + 1]) << 32);
        assert_eq!(figures, [mask(10).wrapping_add(5), mask(12), mask(14).wrapping_sub(1)]);
        streams(&[(1, Sign::Subtract)]).add_figures(10, &mut figures);
        assert_eq!(figures, [5, 0, u64::MAX]);
    }

    /// Against addition by bytes, and at other places than the first.
    #[test]
    fn integers_of_256_bits_carry() {
        let (add, subtract) = (streams(&[(1, Sign::Add)]), streams(&[(1, Sign::Subtract)]));
        let mut masks = vec![0; 8 * 300];
        add.add(0, &mut masks);
        let before: Vec<[u32; 8]> = random(8 * 300).as_chunks::<8>().0.to_vec();
        let mut after = before.clone();
        add.add_wide(0, &mut after);
        for ((before, mask), after) in before.iter().zip(masks.as_chunks::<8>().0).zip(&after) {
            let bytes = |words: &[u32; 8]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
            let mut carry = 0_u16;
            let sum: Vec<u8> = bytes(before)
                .into_iter()
                .zip(bytes(mask))
                .map(|(one, other)| {
                    let sum = u16::from(one) + u16::from(other) + carry;
                    carry = sum >> 8;
                    (sum & 0xff) as u8
                })
                .collect();
            assert_eq!(bytes(after), sum);
        }
        let mut part = after[290..].to_vec();
        subtract.add_wide(290, &mut part);
        assert_eq!(part, before[290..]);
    }

    #[test]
    fn a_carry_runs_through_all_words() {
        let mut integer = [u32::MAX; 8];
        let mut one = [0; 32];
        one[0] = 1;
        add_mod_2_256(&mut integer, &one, Sign::Add);
        assert_eq!(integer, [0; 8]);
        add_mod_2_256(&mut integer, &one, Sign::Subtract);
        assert_eq!(integer, [u32::MAX; 8]);
        add_mod_2_256(&mut integer, &[0; 32], Sign::Subtract);
        assert_eq!(integer, [u32::MAX; 8]);
    }

    #[test]
    fn two_sites_have_one_key_and_opposite_signs() {
        use crate::hash::public;
        let (one, other, root) = ([1; 32], [2; 32], [3; 32]);
        let key = pair_key(&[7; 32], &public(&[8; 32]), &one, &other, &root);
        assert_eq!(key.as_bytes(), pair_key(&[8; 32], &public(&[7; 32]), &other, &one, &root).as_bytes());
        assert_ne!(key.as_bytes(), pair_key(&[7; 32], &public(&[8; 32]), &one, &other, &[4; 32]).as_bytes());
        assert_eq!((Sign::of_pair(&one, &other), Sign::of_pair(&other, &one)), (Sign::Add, Sign::Subtract));
    }

    #[test]
    fn keys_are_overwritten_and_not_printed() {
        fn overwritten_when_dropped<T: ZeroizeOnDrop>(_: &T) {}
        let mut key = StreamKey::from_bytes([7; 32]);
        overwritten_when_dropped(&key);
        overwritten_when_dropped(&streams(&[(1, Sign::Add)]).0[0].0);
        assert_eq!(format!("{key:?}"), "StreamKey(secret)");
        key.zeroize();
        assert_eq!(key.as_bytes(), &[0; 32]);
    }
}
