//! The chain's database: parity-db, in the SDK's own layout, brought to the disk at a pace of ours.
//!
//! Left to itself the library keeps in memory what is in its log, and forces it to no disk, until 64 MiB have come together, which
//! takes a small chain a quarter of an hour (findings/parity-db-memory.sh). Here its background work is done by two threads: one
//! writes commits into the log as they come, the other brings the log to the tables once [`Pace`] says so. Each does what the
//! library's own threads do, in their order: flush the log, enact it, flush the tables, clear the log. Before that it is looked whether
//! the disk has room.

mod disk;

use futures::channel::oneshot;
use parity_db::{CompressionType, Db, Operation, Options};
use parking_lot::{Condvar, Mutex};
use sp_core::H256;
use sp_database::{error::DatabaseError, Change, ColumnId, Database, Transaction};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Columns of the SDK's layout, sc-client-db 0.55.0.
const COLUMNS: u8 = 13;
/// Those that count references to a value: nodes of the state's trie, indexed transactions.
const COUNTED: [ColumnId; 2] = [1, 11];
/// Those that are compressed: these two, headers, bodies, justifications, and the index of bodies.
const COMPRESSED: [ColumnId; 6] = [1, 4, 5, 6, 11, 12];
/// Where the SDK keeps which states it was told to keep: the first that it writes of them, at once with all else of a new database.
const KEPT: (u8, &[u8]) = (2, b"mode");
/// Bytes of a hash, with which a key of the state's trie ends.
const HASH: usize = 32;
/// What a change holds in memory besides its own bytes: the part of an index in which it is found.
const CHUNK: usize = 512;
/// A commit waits while more than this waits to be logged, as with the library's own threads.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Nothing is logged while more than this is on its way to the tables: a slow disk slows commits down, and takes no memory.
const LOG_BYTES: usize = 32 * 1024 * 1024;

/// When what is in the log is brought to the tables.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Once it holds so many bytes of memory.
    pub bytes: usize,
    /// After this time, however little it is.
    pub rest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes: 4 * 1024 * 1024, rest: Duration::from_secs(30) }
    }
}

/// A database that was opened.
pub struct Opened {
    /// It.
    pub store: Store,
    /// Whether the SDK has not begun one there: its files may have been made before the power failed.
    pub fresh: bool,
    /// Says why nothing can be written any more, once that is so.
    pub failed: oneshot::Receiver<String>,
}

/// The database. When it is dropped, everything is on the disk.
pub struct Store {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What its threads share.
struct Shared {
    db: Db,
    path: PathBuf,
    pace: Pace,
    state: Mutex<State>,
    /// Whether a record of the log may be half written; held by whoever writes one, and by whoever flushes the log.
    broken: Mutex<bool>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes of each commit that is not logged yet, the oldest first.
    queue: VecDeque<usize>,
    /// Their sum.
    queued: usize,
    /// Bytes of what is logged and not in the tables yet.
    logged: usize,
    /// Since when there are some of which nobody has begun to take care.
    since: Option<Instant>,
    /// The database is being closed.
    closing: bool,
    /// Why nothing can be written any more.
    failed: Option<String>,
    /// Who is told so.
    tell: Option<oneshot::Sender<String>>,
}

impl State {
    fn ends(&self) -> bool {
        self.closing || self.failed.is_some()
    }
}

type Work = fn(&Shared) -> parity_db::Result<()>;

impl Store {
    /// Opens the database in a folder, or makes one there.
    ///
    /// # Errors
    /// The library's: it is in use, damaged, or has another layout. Or its disk is full.
    pub fn open(path: &Path, pace: Pace) -> parity_db::Result<Opened> {
        disk::room(path, disk::logged(path)?)?;
        let db = Db::open_or_create(&options(path))?;
        let fresh = db.get(KEPT.0, KEPT.1)?.is_none();
        let (tell, failed) = oneshot::channel();
        let state = Mutex::new(State { tell: Some(tell), ..State::default() });
        let (path, broken, changed) = (path.to_owned(), Mutex::new(false), Condvar::new());
        let shared = Arc::new(Shared { db, path, pace, state, broken, changed });
        let mut store = Self { shared, threads: Vec::new() };
        for (name, work) in [("database-log", Shared::log as Work), ("database-disk", Shared::bring as Work)] {
            let shared = store.shared.clone();
            let run = move || {
                if let Err(error) = work(&shared) {
                    shared.fail(&error);
                }
            };
            let thread = thread::Builder::new().name(name.into()).spawn(run);
            store.threads.push(thread.map_err(parity_db::Error::Io)?);
        }
        Ok(Opened { store, fresh, failed })
    }

    /// What a read has found. An error has no place to go to, and whoever read cannot go on without.
    fn found<T>(&self, read: parity_db::Result<T>) -> T {
        read.unwrap_or_else(|error| panic!("{}", unread(&self.shared.path, &error)))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_all();
        let mut sound = true;
        for thread in self.threads.drain(..) {
            sound &= thread.join().is_ok();
        }
        sound &= self.shared.state.lock().failed.is_none();
        if sound {
            if let Err(error) = self.shared.finish() {
                self.shared.fail(&error);
                sound = false;
            }
        }
        if !sound {
            // the library would bring the log to the tables now, from wherever its reader has stopped: that is left to the next
            // start, which begins with the log's first record
            std::mem::forget(self.shared.clone());
        }
    }
}

impl Shared {
    /// Writes commits into the log as they come, and moves entries of an index that has grown.
    fn log(&self) -> parity_db::Result<()> {
        self.record(Db::process_reindex)?;
        while let Some(bytes) = self.next() {
            self.record(Db::process_commits)?;
            {
                let mut state = self.state.lock();
                state.queued -= bytes;
                state.logged += bytes;
                state.since.get_or_insert_with(Instant::now);
            }
            self.changed.notify_all();
            // a part of it at each commit; whether there is more the library does not tell
            self.record(Db::process_reindex)?;
        }
        Ok(())
    }

    /// Writes a record into the log, and remembers if that has failed.
    fn record(&self, write: fn(&Db) -> parity_db::Result<()>) -> parity_db::Result<()> {
        let mut broken = self.broken.lock();
        let before = std::mem::replace(&mut *broken, true);
        write(&self.db)?;
        *broken = before;
        Ok(())
    }

    /// Waits for a commit that can be logged; none when the thread is to end.
    fn next(&self) -> Option<usize> {
        let mut state = self.state.lock();
        while !state.ends() {
            if state.logged <= LOG_BYTES {
                if let Some(bytes) = state.queue.pop_front() {
                    return Some(bytes);
                }
            }
            self.changed.wait(&mut state);
        }
        None
    }

    /// Brings what is in the log to the tables, again and again.
    fn bring(&self) -> parity_db::Result<()> {
        while let Some(bytes) = self.due() {
            self.to_tables(bytes)?;
            self.state.lock().logged -= bytes;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Waits until it is time to, and says how many bytes have been logged; none when the thread is to end.
    fn due(&self) -> Option<usize> {
        let mut state = self.state.lock();
        while !state.ends() {
            match state.since.map(|since| since + self.pace.rest) {
                Some(at) if state.logged >= self.pace.bytes || at <= Instant::now() => {
                    state.since = None;
                    return Some(state.logged);
                }
                Some(at) => {
                    self.changed.wait_until(&mut state, at);
                }
                None => self.changed.wait(&mut state),
            }
        }
        None
    }

    /// So many bytes from the log to the tables, once: first the log is on the disk, then the tables are, then it is cleared.
    fn to_tables(&self, bytes: usize) -> parity_db::Result<()> {
        disk::room(&self.path, bytes as u64)?;
        {
            let broken = self.broken.lock();
            if *broken {
                // the next start leaves out a record that ends too early, and this process must not take it for a whole one
                return Ok(());
            }
            self.db.flush_logs()?;
        }
        self.db.enact_logs()?;
        disk::sync_indexes(&self.path)?;
        self.db.clean_logs()
    }

    /// What is left when both threads have ended.
    fn finish(&self) -> parity_db::Result<()> {
        let (left, bytes) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.queue), state.logged + state.queued)
        };
        for _ in left {
            self.record(Db::process_commits)?;
        }
        self.to_tables(bytes)
    }

    /// Waits until a commit has room.
    fn room(&self) -> sp_database::error::Result<()> {
        let mut state = self.state.lock();
        while state.failed.is_none() && state.queued > QUEUE_BYTES {
            self.changed.wait(&mut state);
        }
        match &state.failed {
            Some(text) => Err(DatabaseError(text.clone().into())),
            None => Ok(()),
        }
    }

    /// Notes that nothing can be written any more.
    fn fail(&self, error: &parity_db::Error) {
        let text = unwritten(&self.path, error);
        log::error!("{text}");
        let mut state = self.state.lock();
        if let Some(tell) = state.tell.take() {
            // nobody listens any more in a node that ends
            let _ = tell.send(text.clone());
        }
        state.failed.get_or_insert(text);
        drop(state);
        self.changed.notify_all();
    }
}

impl Database<H256> for Store {
    fn commit(&self, transaction: Transaction<H256>) -> sp_database::error::Result<()> {
        let changes = transaction.0.into_iter().map(operation).collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = changes.iter().map(|(_, operation)| held(operation)).sum();
        self.shared.room()?;
        self.shared.db.commit_changes(changes).map_err(|error| DatabaseError(Box::new(error)))?;
        {
            let mut state = self.shared.state.lock();
            state.queue.push_back(bytes);
            state.queued += bytes;
        }
        self.shared.changed.notify_all();
        Ok(())
    }

    fn get(&self, column: ColumnId, key: &[u8]) -> Option<Vec<u8>> {
        self.found(self.shared.db.get(column as u8, key))
    }

    fn contains(&self, column: ColumnId, key: &[u8]) -> bool {
        self.value_size(column, key).is_some()
    }

    fn value_size(&self, column: ColumnId, key: &[u8]) -> Option<usize> {
        self.found(self.shared.db.get_size(column as u8, key)).map(|size| size as usize)
    }

    fn supports_ref_counting(&self) -> bool {
        true
    }

    fn sanitize_key(&self, key: &mut Vec<u8>) {
        key.drain(..key.len().saturating_sub(HASH));
    }
}

/// What is said of a database that cannot be read.
pub fn unread(path: &Path, error: &parity_db::Error) -> String {
    format!(
        "the database at {} cannot be read ({error}): see whether the disk is failing; if it is not, delete that folder, and the \
         chain is fetched anew",
        path.display()
    )
}

/// What is said of one that cannot be written any more.
pub fn unwritten(path: &Path, error: &parity_db::Error) -> String {
    format!(
        "the database at {} cannot be written ({error}): see whether its disk is full or failing, and start this node again; it \
         goes on from what is on the disk",
        path.display()
    )
}

/// How the SDK lays its database out.
fn options(path: &Path) -> Options {
    let mut options = Options::with_columns(path, COLUMNS);
    options.with_background_thread = false;
    for (column, settings) in (0..).zip(&mut options.columns) {
        if COMPRESSED.contains(&column) {
            settings.compression = CompressionType::Lz4;
        }
        if COUNTED.contains(&column) {
            settings.ref_counted = true;
            settings.preimage = true;
            settings.uniform = true;
        }
    }
    options
}

/// A column, and what the library does in it.
type InColumn = (u8, Operation<Vec<u8>, Vec<u8>>);

/// A change in the library's words.
fn operation(change: Change<H256>) -> sp_database::error::Result<InColumn> {
    let bytes = |hash: H256| hash.as_bytes().to_vec();
    let (column, counts, operation) = match change {
        Change::Set(column, key, value) => (column, false, Operation::Set(key, value)),
        Change::Remove(column, key) => (column, false, Operation::Dereference(key)),
        Change::Store(column, hash, value) => (column, true, Operation::Set(bytes(hash), value)),
        Change::Reference(column, hash) => (column, true, Operation::Reference(bytes(hash))),
        Change::Release(column, hash) => (column, true, Operation::Dereference(bytes(hash))),
    };
    if counts && !COUNTED.contains(&column) {
        return Err(DatabaseError(format!("column {column} of the database counts no references").into()));
    }
    Ok((column as u8, operation))
}

/// Bytes that a change holds in memory until it is in the tables.
fn held(operation: &Operation<Vec<u8>, Vec<u8>>) -> usize {
    CHUNK
        + match operation {
            Operation::Set(key, value) => key.len() + value.len(),
            Operation::Dereference(key) | Operation::Reference(key) => key.len(),
        }
}

#[cfg(test)]
mod tests;
