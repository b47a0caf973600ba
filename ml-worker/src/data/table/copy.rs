//! Working copies: the values of a table that is larger than memory allows, as numbers on disk.
//!
//! A working copy is a second copy of patients' data. It is made only where a folder for it is given, can be read by its
//! owner alone, is named in the log, and is removed by [`purge`]. It is used again as long as the table's file has the
//! bytes that it was made of, and its own bytes are those that were written.
//!
//! The file has all rows' values as little-endian f64, or pictures' scaled pixels as f32, row by row; then what is known of the rows; then that part's
//! length (8 bytes), its BLAKE3 hash, and a mark.

use crate::data::error::DataError;
use codec::{Decode, Encode};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
};

/// What their names begin with.
const NAME: &str = "working-copy-";
const MARK: &[u8; 8] = b"CONSROW1";
const END: u64 = 8 + 32 + 8;
static COUNT: AtomicU64 = AtomicU64::new(0);

/// An open working copy. It can be read as long as this lives, even if it was removed meanwhile.
#[derive(Clone, Debug)]
pub(in crate::data) struct WorkingCopy {
    pub file: Arc<File>,
}

/// What a working copy knows besides the values.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(in crate::data) struct Known {
    /// What the table's file, and its pictures if it names any, are known by.
    pub source: [u8; 32],
    /// BLAKE3 of the values.
    pub values: [u8; 32],
    /// Bytes of the values.
    pub length: u64,
    pub features: Vec<String>,
    pub labels: Vec<u32>,
    pub groups: Vec<[u8; 32]>,
    pub pictures: Vec<String>,
    pub missing: u64,
    pub dropped: u64,
    pub skipped: u64,
}

/// Where a table's working copy is, or would be: it depends on the file's name and on how it is read.
pub(in crate::data) fn place(folder: &Path, source: &Path, how: &[u8], key: &[u8; 32]) -> PathBuf {
    let source = source.as_os_str().as_encoded_bytes();
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [b"consilium/copy/2", source, how] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    folder.join(format!("{NAME}{}", &hasher.finalize().to_hex()[..32]))
}

/// Opens a working copy of a file with this hash. `None`: there is none, or what is there is another file's or damaged;
/// it is removed then.
pub(in crate::data) fn open(path: &Path, source: &[u8; 32]) -> io::Result<Option<(WorkingCopy, Known)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = check(&file, source)?;
    if found.is_none() {
        tracing::warn!("{}: is of another file, or damaged; removed", path.display());
        fs::remove_file(path)?;
    }
    Ok(found.map(|known| (WorkingCopy { file: Arc::new(file) }, known)))
}

fn check(mut file: &File, source: &[u8; 32]) -> io::Result<Option<Known>> {
    let Some(end) = file.metadata()?.len().checked_sub(END) else { return Ok(None) };
    let mut tail = [0; END as usize];
    file.read_exact_at(&mut tail, end)?;
    let (length, hash) = (&tail[..8], &tail[8..40]);
    let length = length.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let Some(start) = end.checked_sub(length).filter(|_| tail.ends_with(MARK)) else { return Ok(None) };
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let mut text = vec![0; length];
    file.read_exact_at(&mut text, start)?;
    if blake3::hash(&text).as_bytes() != hash {
        return Ok(None);
    }
    let Ok(known) = Known::decode(&mut &text[..]) else { return Ok(None) };
    if known.source != *source || known.length != start {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; 1 << 20];
    let mut left = start;
    while left > 0 {
        let part = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact(&mut block[..part])?;
        hasher.update_rayon(&block[..part]);
        left -= part as u64;
    }
    Ok((*hasher.finalize().as_bytes() == known.values).then_some(known))
}

/// A working copy that is being written. Dropped before its end, it leaves nothing behind.
pub(in crate::data) struct Writer {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    length: u64,
    unfinished: PathBuf,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Writer {
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            use std::os::unix::fs::DirBuilderExt;
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let own = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".part-{}-{own}", std::process::id()));
        let unfinished = PathBuf::from(name);
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&unfinished)?;
        Ok(Self {
            out: BufWriter::with_capacity(1 << 20, file),
            hasher: blake3::Hasher::new(),
            length: 0,
            unfinished,
            path: path.to_path_buf(),
            bytes: Vec::new(),
        })
    }

    pub fn write(&mut self, values: &[f64]) -> io::Result<()> {
        for part in values.chunks(1 << 17) {
            self.bytes.clear();
            self.bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
            self.put()?;
        }
        Ok(())
    }

    /// Pixels of a picture, as 32-bit numbers.
    pub fn write_pixels(&mut self, pixels: &[f32]) -> io::Result<()> {
        self.bytes.clear();
        self.bytes.extend(pixels.iter().flat_map(|pixel| pixel.to_le_bytes()));
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        self.hasher.update_rayon(&self.bytes);
        self.out.write_all(&self.bytes)?;
        self.length += self.bytes.len() as u64;
        Ok(())
    }

    /// Writes what is known of the rows; from then on it is found.
    pub fn finish(mut self, known: &mut Known) -> io::Result<WorkingCopy> {
        known.values = *self.hasher.finalize().as_bytes();
        known.length = self.length;
        let text = known.encode();
        self.out.write_all(&text)?;
        self.out.write_all(&(text.len() as u64).to_le_bytes())?;
        self.out.write_all(blake3::hash(&text).as_bytes())?;
        self.out.write_all(MARK)?;
        self.out.flush()?;
        let file = self.out.get_ref().try_clone()?;
        fs::rename(&self.unfinished, &self.path)?;
        Ok(WorkingCopy { file: Arc::new(file) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // after a rename nothing is there any more
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Removes all working copies in a folder, unfinished ones too, and says which. Whoever reads one at this moment reads on.
///
/// # Errors
/// What the file system says.
pub fn purge(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut removed = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(NAME) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed.push(entry.path());
        }
    }
    removed.sort();
    Ok(removed)
}

/// Removes one.
pub(in crate::data) fn purge_one(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The working copy cannot be written or read.
pub(in crate::data) fn error(path: &Path, error: &io::Error) -> DataError {
    DataError::io("the working copy of a table's values cannot be used", error).of(path)
}
