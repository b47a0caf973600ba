//! The database as the SDK uses it, after kills, and over errors.

use super::*;
use consilium_runtime::opaque::Block;
use sc_client_db::{Backend, BlocksPruning, DatabaseSettings, DatabaseSource, PruningMode};
use std::fs;

/// The state's trie, which counts references, and a column that does not.
const STATE: ColumnId = 1;
const LOOKUP: ColumnId = 3;
const HOUR: Duration = Duration::from_secs(3_600);

fn opened(dir: &Path) -> Opened {
    Store::open(dir, Pace::default()).unwrap()
}

fn write(store: &Store, key: &[u8], value: &[u8]) {
    let mut transaction = Transaction::new();
    transaction.set(LOOKUP, key, value);
    store.commit(transaction).unwrap();
}

/// Waits until the threads have come so far.
fn settled(store: &Store, far: impl Fn(&State) -> bool) {
    let began = Instant::now();
    while !far(&store.shared.state.lock()) {
        assert!(began.elapsed() < Duration::from_secs(120), "the database's threads stand");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes in the log's files.
fn logs(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("log"));
    logs.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn what_is_written_is_read_at_once_and_after_it_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let node = H256::repeat_byte(7);
    {
        let Opened { store, fresh, .. } = opened(dir.path());
        assert!(fresh && store.supports_ref_counting());
        let mut transaction = Transaction::new();
        transaction.set(LOOKUP, b"number", b"hash");
        transaction.set(LOOKUP, b"other", b"one");
        transaction.store(STATE, node, b"node".to_vec());
        transaction.store(STATE, node, b"node".to_vec());
        store.commit(transaction).unwrap();
        assert_eq!(store.get(LOOKUP, b"number").as_deref(), Some(&b"hash"[..]));
        assert_eq!(store.value_size(STATE, node.as_bytes()), Some(4));
        assert!(store.contains(STATE, node.as_bytes()) && !store.contains(LOOKUP, b"nothing"));
        let mut transaction = Transaction::new();
        transaction.remove(LOOKUP, b"number");
        transaction.release(STATE, node);
        store.commit(transaction).unwrap();
        assert!(!store.contains(LOOKUP, b"number") && store.contains(LOOKUP, b"other"));
    }
    {
        let store = opened(dir.path()).store;
        assert_eq!(store.get(LOOKUP, b"other").as_deref(), Some(&b"one"[..]));
        assert!(!store.contains(LOOKUP, b"number"));
        assert!(store.contains(STATE, node.as_bytes()), "stored twice and released once");
        let mut transaction = Transaction::new();
        transaction.reference(STATE, node);
        store.commit(transaction).unwrap();
        let mut transaction = Transaction::new();
        transaction.release(STATE, node);
        transaction.release(STATE, node);
        store.commit(transaction).unwrap();
    }
    assert!(!opened(dir.path()).store.contains(STATE, node.as_bytes()), "released as often as it was held");
    assert_eq!(logs(dir.path()), 0);
}

#[test]
fn keys_lose_their_prefix_and_other_columns_count_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path()).store;
    let mut key = [&b"a prefix"[..], &[7; HASH]].concat();
    store.sanitize_key(&mut key);
    assert_eq!(key, [7; HASH]);
    let mut transaction = Transaction::new();
    transaction.set(LOOKUP, b"beside", b"it");
    transaction.store(LOOKUP, H256::zero(), b"value".to_vec());
    let error = store.commit(transaction).unwrap_err().to_string();
    assert!(error.contains("column 3"), "{error}");
    assert!(!store.contains(LOOKUP, b"beside"), "all of a transaction or nothing");
}

#[test]
fn a_node_that_is_killed_has_what_was_logged_be_it_in_the_tables_or_not() {
    for (bytes, in_tables) in [(0, true), (usize::MAX, false)] {
        let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path(), Pace { bytes, rest: HOUR }).unwrap().store;
        for n in 0..300u32 {
            write(&store, &n.to_be_bytes(), &[n as u8; 100]);
        }
        settled(&store, |state| state.queued == 0 && (state.logged == 0) == in_tables);
        assert_eq!(logs(dir.path()) == 0, in_tables);
        // what a kill leaves: nothing was closed
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let killed = opened(copy.path()).store;
        for n in 0..300u32 {
            assert_eq!(killed.get(LOOKUP, &n.to_be_bytes()), Some(vec![n as u8; 100]), "{n}");
        }
    }
}

#[test]
fn the_log_is_brought_to_the_tables_long_before_the_library_would() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = 256 * 1024;
    let store = Store::open(dir.path(), Pace { bytes, rest: HOUR }).unwrap().store;
    for n in 0..2_000u32 {
        write(&store, &n.to_be_bytes(), &[n as u8; 4_096]);
    }
    settled(&store, |state| state.queued == 0 && state.logged < bytes);
    let left = logs(dir.path());
    assert!(left < 2 * bytes as u64, "{left} of 8 MiB are in the log");
    for n in 0..2_000u32 {
        assert_eq!(store.get(LOOKUP, &n.to_be_bytes()), Some(vec![n as u8; 4_096]), "{n}");
    }
}

#[test]
fn the_little_that_an_idle_chain_writes_is_brought_there_after_a_rest() {
    let dir = tempfile::tempdir().unwrap();
    let rest = Duration::from_millis(200);
    let store = Store::open(dir.path(), Pace { bytes: usize::MAX, rest }).unwrap().store;
    let began = Instant::now();
    write(&store, b"key", b"value");
    settled(&store, |state| state.queued == 0 && state.logged == 0);
    assert!(began.elapsed() >= rest);
    assert_eq!(logs(dir.path()), 0);
    assert_eq!(store.get(LOOKUP, b"key").as_deref(), Some(&b"value"[..]));
}

#[test]
fn commits_wait_for_those_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path()).store;
    let value = vec![7; 1024 * 1024];
    for n in 0..64u32 {
        write(&store, &n.to_be_bytes(), &value);
        let queued = store.shared.state.lock().queued;
        assert!(queued <= QUEUE_BYTES + value.len() + 2 * CHUNK, "{queued} bytes wait");
    }
    drop(store);
    let store = opened(dir.path()).store;
    assert!((0..64u32).all(|n| store.value_size(LOOKUP, &n.to_be_bytes()) == Some(value.len())));
}

#[test]
fn an_error_of_the_disk_is_told_and_nothing_is_written_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("database");
    let Opened { store, failed, .. } = opened(&path);
    fs::remove_dir_all(&path).unwrap();
    write(&store, b"key", b"value");
    let told = futures::executor::block_on(failed).unwrap();
    assert!(told.contains(&path.display().to_string()) && told.contains("disk is full"), "{told}");
    let mut transaction = Transaction::new();
    transaction.set(LOOKUP, b"other", b"value");
    assert_eq!(store.commit(transaction).unwrap_err().to_string(), told);
    drop(store);
    assert!(!path.exists(), "closing it wrote something");
}

#[test]
fn a_log_with_half_a_record_is_brought_to_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Pace { bytes: usize::MAX, rest: HOUR }).unwrap().store;
    assert!(store.shared.record(|_| Err(parity_db::Error::InvalidValueData)).is_err());
    write(&store, b"key", b"value");
    settled(&store, |state| state.queued == 0);
    store.shared.to_tables(0).unwrap();
    assert_ne!(logs(dir.path()), 0);
    *store.shared.broken.lock() = false;
    store.shared.to_tables(0).unwrap();
    assert_eq!(logs(dir.path()), 0);
}

#[test]
fn the_sdk_opens_what_was_made_here_and_the_other_way_round() {
    let source = |path: &Path| DatabaseSource::ParityDb { path: path.to_owned() };
    let sdk = |source| {
        let settings = DatabaseSettings {
            trie_cache_maximum_size: None,
            state_pruning: Some(PruningMode::ArchiveAll),
            source,
            blocks_pruning: BlocksPruning::KeepAll,
            pruning_filters: Vec::new(),
            metrics_registry: None,
        };
        Backend::<Block>::new(settings, 0).unwrap()
    };
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(sdk(source(theirs.path())));
    let Opened { store, fresh, .. } = opened(theirs.path());
    assert!(!fresh);
    assert_eq!(store.get(0, b"type").as_deref(), Some(&b"full"[..]));
    drop(store);
    drop(sdk(source(theirs.path())));

    // a power cut can leave files without content
    assert!(opened(ours.path()).fresh);
    let Opened { store, fresh, .. } = opened(ours.path());
    assert!(fresh, "the SDK has written nothing yet");
    drop(sdk(DatabaseSource::Custom { db: Arc::new(store), require_create_flag: fresh }));
    drop(sdk(source(ours.path())));
    let Opened { store, fresh, .. } = opened(ours.path());
    assert!(!fresh);
    assert_eq!(store.get(0, b"type").as_deref(), Some(&b"full"[..]));
}
