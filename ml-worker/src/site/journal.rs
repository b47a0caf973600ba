//! Results that bind, on the disk with one wait: appended to a file whose name is there already.
//!
//! A result has a file of its own, named by its duty. To have that on the disk takes two waits, one for its bytes and one for its name.
//! So it is written without one, brought to the disk a little later ([`Later`](super::Later)), and until then the journal has it: when
//! a worker starts, what the journal has and no file has is put there. What has reached the disk leaves the journal. A small update is
//! carried along with its result, so that both take one wait.

use super::{
    later::force,
    records::{hashed, intact, OWN},
    store::CARRIED,
};
use codec::{Decode, Encode};
use consilium_primitives::{DutyOutput, Hash};
use parking_lot::Mutex;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the file, beside the results.
const NAME: &str = "results.journal";
/// Longest record: a hash, a duty's hash, what it gave, and an update. A longer one is none.
const LONGEST: u64 = 1024 + CARRIED;
/// From this length on, in bytes, it carries no updates any more: something keeps it from being emptied.
const FULL: u64 = 64 * 1024 * 1024;

/// What an earlier worker has left in its journal: a duty, what it gave, and the update that this is about, or nothing.
pub(super) struct Left {
    pub duty: Hash,
    pub output: DutyOutput,
    pub update: Vec<u8>,
}

/// The journal of a worker's folder.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Bytes of whole records in it.
    length: u64,
    /// A record may be there that is not whole: nothing is written after it.
    torn: bool,
    /// Results that were appended since this process began.
    count: u64,
    /// Something that it has could not be brought to the disk: it stays.
    stays: bool,
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

impl Journal {
    /// Whether it carries updates.
    pub(super) fn carries(&self) -> bool {
        self.0.lock().length < FULL
    }

    /// Appends a result, and the update that it is about or nothing, and returns once it is on the disk; `then` puts it where it is
    /// read, before anything is taken out of the journal.
    ///
    /// # Errors
    /// What the file system says, and `then`.
    pub(super) fn append(
        &self,
        folder: &Path,
        duty: &Hash,
        output: &DutyOutput,
        update: &[u8],
        then: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.0.lock();
        let State { file, length, torn, count, .. } = &mut *state;
        let record = hashed([(duty, output).encode(), update.to_vec()].concat());
        let mut bytes = (record.len() as u32).to_le_bytes().to_vec();
        bytes.extend(record);
        let file = match file {
            Some(file) => file,
            None => file.insert(open(folder)?),
        };
        if std::mem::replace(torn, true) {
            file.set_len(*length)?;
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        (*length, *torn, *count) = (*length + bytes.len() as u64, false, *count + 1);
        then()
    }

    /// Brings results to the disk by themselves, by `settle`, and empties the journal if no more were appended meanwhile.
    ///
    /// # Errors
    /// What the file system says, and `settle`; then the journal keeps what it has, for as long as this process runs.
    pub(super) fn settled<T>(&self, settle: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let before = self.0.lock().count;
        let done = settle();
        let mut state = self.0.lock();
        state.stays |= done.is_err();
        if state.count == before && !state.stays && state.length > 0 {
            (state.length, state.torn) = (0, true);
        }
        done
    }

    /// What an earlier worker has left in it, up to the first record that is not whole: a power cut came while it was written, and
    /// nobody was told of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn left(folder: &Path) -> io::Result<Vec<Left>> {
        let bytes = match std::fs::read(path(folder)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        while let Ok(length) = u32::decode(&mut rest) {
            let record = rest.split_at_checked(u64::from(length).min(LONGEST) as usize);
            let Some((record, after)) = record else { break };
            let Some(mut content) = intact(record) else { break };
            let Ok((duty, output)) = Decode::decode(&mut content) else { break };
            found.push(Left { duty, output, update: content.to_vec() });
            rest = after;
        }
        Ok(found)
    }

    /// Takes it away, once what it had is on the disk elsewhere.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn remove(folder: &Path) -> io::Result<()> {
        match std::fs::remove_file(path(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The file, to append to, with its name on the disk.
fn open(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(OWN).open(path(folder))?;
    force(folder)?;
    Ok(file)
}
