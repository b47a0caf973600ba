//! Where an audit finds files.

use consilium_aggregation::blob_hash;
use consilium_primitives::Hash;
use std::{fs, io, path::PathBuf};

/// Files by the BLAKE3 hash of their bytes.
pub trait BlobSource {
    /// The bytes of the file of this name; `None` where there is none. That they have this hash is for the reader to
    /// check.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    fn read(&self, root: &Hash) -> io::Result<Option<Vec<u8>>>;
}

/// A folder of files that are named by the BLAKE3 hash of their bytes, in hexadecimal: a worker's blob store.
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    ///
    /// # Errors
    /// There is no folder.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        if !path.is_dir() {
            anyhow::bail!(
                "--blobs {}: there is no such folder; give one that holds files named by their BLAKE3 hash",
                path.display()
            );
        }
        Ok(Self(path))
    }
}

impl BlobSource for Folder {
    fn read(&self, root: &Hash) -> io::Result<Option<Vec<u8>>> {
        let path = self.0.join(hex::encode(root));
        // nothing is waited for that is no file, such as a pipe
        match fs::metadata(&path).and_then(|found| {
            if found.is_file() {
                fs::read(&path)
            } else {
                Err(io::Error::other("it is no file"))
            }
        }) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Several places, asked in order. A sound file in any of them counts; a damaged one only where no other is there.
#[derive(Default)]
pub struct Sources(Vec<Box<dyn BlobSource>>);

impl Sources {
    /// These folders.
    ///
    /// # Errors
    /// One of them is no folder.
    pub fn folders(paths: Vec<PathBuf>) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for path in paths {
            all.add(Folder::open(path)?);
        }
        Ok(all)
    }

    /// Adds a place, asked after those there are.
    pub fn add(&mut self, source: impl BlobSource + 'static) {
        self.0.push(Box::new(source));
    }
}

impl BlobSource for Sources {
    fn read(&self, root: &Hash) -> io::Result<Option<Vec<u8>>> {
        let mut found = Ok(None);
        for source in &self.0 {
            match source.read(root) {
                Ok(None) => {}
                Ok(Some(bytes)) if blob_hash(&bytes) == *root => return Ok(Some(bytes)),
                damaged => {
                    if matches!(found, Ok(None)) {
                        found = damaged;
                    }
                }
            }
        }
        found
    }
}
