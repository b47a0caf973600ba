//! What a blob is called, and how its name is found by many threads.

use blake3::{
    hazmat::{left_subtree_len, merge_subtrees_non_root, merge_subtrees_root, ChainingValue, HasherExt, Mode},
    Hasher,
};
use consilium_primitives::{BlobRef, Hash};
use rayon::prelude::*;
use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex, PoisonError,
    },
};

/// The BLAKE3 hash of `bytes`, the same as `b3sum` prints.
pub fn blob_hash(bytes: &[u8]) -> Hash {
    Hash::from(*Hasher::new().update_rayon(bytes).finalize().as_bytes())
}

/// Hash and length of `bytes`.
pub fn blob_ref(bytes: &[u8]) -> BlobRef {
    BlobRef { root: blob_hash(bytes), len: bytes.len() as u64 }
}

/// The hash of a file's bytes. It is read in parts, on all threads.
///
/// # Errors
/// What the file system says.
pub fn hash_file(path: &Path) -> io::Result<Hash> {
    let file = File::open(path)?;
    hash_open(&file, file.metadata()?.len())
}

/// The hash of an open file of `len` bytes.
pub(crate) fn hash_open(file: &File, len: u64) -> io::Result<Hash> {
    let parts = Parts::new(len);
    let values = for_each(0..parts.count(), |buffer: &mut Vec<u8>, part| {
        let range = parts.range(part);
        let mut hasher = parts.hasher(part);
        for at in range.clone().step_by(READ as usize) {
            buffer.resize((range.end - at).min(READ) as usize, 0);
            file.read_exact_at(buffer, at)?;
            hasher.update(buffer);
        }
        io::Result::Ok(parts.value(&hasher))
    })?;
    if file.read_at(&mut [0], len)? > 0 {
        return Err(io::Error::other("it grows while it is read"));
    }
    Ok(parts.root(&values))
}

/// Does something for each number, on all threads, with buffers that each leaves to the next. Of several errors that of the
/// lowest number counts; after an error nothing is begun that could not give a lower one.
pub(crate) fn for_each<B: Default + Send, T: Send, E: Send>(
    numbers: Range<usize>,
    work: impl Fn(&mut B, usize) -> Result<T, E> + Send + Sync,
) -> Result<Vec<T>, E> {
    let spare = Mutex::new(Vec::new());
    // nothing that holds the lock can panic
    let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = AtomicUsize::new(usize::MAX);
    let one = |number| {
        if number > failed.load(Ordering::Relaxed) {
            return None;
        }
        let last = spare().pop();
        let mut buffers = last.unwrap_or_default();
        let done = work(&mut buffers, number);
        spare().push(buffers);
        if done.is_err() {
            failed.fetch_min(number, Ordering::Relaxed);
        }
        Some(done)
    };
    let all: Vec<_> = numbers.into_par_iter().with_max_len(1).map(one).collect();
    // those that were not begun come after an error
    all.into_iter().flatten().collect()
}

/// Bytes that are read at a time.
const READ: u64 = 1 << 17;
/// Bytes of the smallest parts.
const SMALLEST: u64 = 1 << 16;
/// Bytes of the parts of [`Parts::grains`]: what the hash takes in at full speed, and half of the smallest other part.
pub(crate) const GRAIN: u64 = 1 << 15;
/// A long file has longer parts, never more.
const MOST: u64 = 64;

/// A file's bytes in parts that are whole subtrees of BLAKE3's tree, so that each can be hashed without the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    len: u64,
    part: u64,
}

impl Parts {
    /// Those of a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let mut part = SMALLEST;
        while len.div_ceil(part) > MOST {
            part *= 2;
        }
        Self { len, part }
    }

    /// Parts of one [`GRAIN`] each.
    pub fn grains(len: u64) -> Self {
        Self { len, part: GRAIN }
    }

    /// Parts of the same length of a file of `len` bytes.
    pub fn of_file(&self, len: u64) -> Self {
        Self { len, ..*self }
    }

    /// How many there are: at least one.
    pub fn count(&self) -> usize {
        self.len.div_ceil(self.part).max(1) as usize
    }

    /// The bytes of one; none beyond the end.
    pub fn range(&self, part: usize) -> Range<u64> {
        let start = part as u64 * self.part;
        start..(start + self.part).min(self.len).max(start)
    }

    /// What is to be given the bytes of one, in order.
    pub fn hasher(&self, part: usize) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(part as u64 * self.part);
        hasher
    }

    /// The part's place in the tree, once it has been given its bytes; a file's only part gives the file's hash.
    pub fn value(&self, hasher: &Hasher) -> ChainingValue {
        if self.count() == 1 {
            *hasher.finalize().as_bytes()
        } else {
            hasher.finalize_non_root()
        }
    }

    /// The hash of the file whose parts have these values.
    pub fn root(&self, values: &[ChainingValue]) -> Hash {
        let root = match values {
            [one] => *one,
            _ => {
                let (left, right) = self.halves(values, self.len);
                *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
            }
        };
        Hash::from(root)
    }

    fn halves(&self, values: &[ChainingValue], len: u64) -> (ChainingValue, ChainingValue) {
        let left = left_subtree_len(len);
        let (front, back) = values.split_at((left / self.part) as usize);
        (self.joined(front, left), self.joined(back, len - left))
    }

    fn joined(&self, values: &[ChainingValue], len: u64) -> ChainingValue {
        if let [one] = values {
            return *one;
        }
        let (left, right) = self.halves(values, len);
        merge_subtrees_non_root(&left, &right, Mode::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_errors_the_lowest_counts_however_many_threads() {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let fails = |from: usize| move |_: &mut (), number| if number >= from { Err(number) } else { Ok(number) };
            assert_eq!(pool.install(|| for_each(3..99, fails(40))), Err(40));
            assert_eq!(pool.install(|| for_each(3..99, fails(99))), Ok((3..99).collect()));
        }
    }

    #[test]
    fn what_has_more_bytes_than_it_says_has_no_hash() {
        let error = hash_file(Path::new("/proc/self/status")).unwrap_err().to_string();
        assert!(error.contains("grows"), "{error}");
    }

    #[test]
    fn a_file_in_parts_has_the_hash_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> =
            (0..(MOST * SMALLEST + SMALLEST + 5) as u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let path = dir.path().join("blob");
        let s = SMALLEST as usize;
        for len in [0, 1, 1024, s - 1, s, s + 1, 2 * s, 2 * s + 1, 5 * s + 77, 7 * s - 1, 64 * s, bytes.len()] {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(hash_file(&path).unwrap(), Hash::from(*blake3::hash(&bytes[..len]).as_bytes()), "{len}");
        }
        for len in [0, 1, s / 2, s / 2 + 1, 3 * s + 5, bytes.len()] {
            let parts = Parts::grains(len as u64);
            let value = |part| {
                let mut hasher = parts.hasher(part);
                let range = parts.range(part);
                hasher.update(&bytes[range.start as usize..range.end as usize]);
                parts.value(&hasher)
            };
            let values: Vec<_> = (0..parts.count()).map(value).collect();
            assert_eq!(parts.root(&values), Hash::from(*blake3::hash(&bytes[..len]).as_bytes()), "{len} in grains");
        }
        for (len, count) in [(0, 1), (s, 1), (s + 1, 2), (64 * s, 64), (64 * s + 1, 33)] {
            assert_eq!(Parts::new(len as u64).count(), count);
        }
    }
}
