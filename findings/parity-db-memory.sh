#!/bin/bash
# parity-db 0.4.13 (Rust): what is written stays in memory, and is forced to no disk, until 64 MiB of it have come together,
# however long that takes.
#
# Expected: a database that is at rest has brought what was committed to its tables within seconds, and holds no copy of it.
# Seen: memory in use grows with every commit and stays, through any rest, up to the 64th MiB; from then on it is used again. Until
# then the log was not forced to the disk once, though `sync_wal` is on, as it is unless told otherwise.
# Source: MIN_LOG_SIZE_BYTES in its src/db.rs; no option sets it.
# Why it matters: a small chain writes 30 kB a block. A node at half a second a block takes some 60 MiB more memory over its first
# 18 minutes, gives them back at once, and begins again, which looks like a leak to whoever watches for a quarter of an hour
# (docs/scale.md). And what a power cut leaves of the last minutes is up to the system's own writing back. Our node therefore does the
# library's background work itself, by its feature `instrumentation` (node/src/database/store.rs).
#
# Exits 0 while this is so, 1 when it has changed. Linux alone; needs Debian's strace to look for forced writes, and goes
# without where there is none.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cargo init -q --name finding --vcs none .
cargo add -q parity-db@=0.4.13
cat >src/main.rs <<'RUST'
use std::{fs, time::Duration};

/// MiB of this process that stand in no file.
fn held() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// 64 KiB that no compression makes smaller.
fn value(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..8192).flat_map(|_| next()).collect()
}

fn main() {
    let mut options = parity_db::Options::with_columns(std::path::Path::new("database"), 1);
    options.salt = Some([0; 32]);
    assert!(options.sync_wal && options.sync_data);
    let database = parity_db::Db::open_or_create(&options).unwrap();
    let (mut before, mut seen) = (held(), Vec::new());
    println!("{before:3} MiB held before anything is written");
    for part in 1..=8u64 {
        for n in 0..256 {
            let seed = part * 1000 + n;
            database.commit([(0, blake(seed), Some(value(seed)))]).unwrap();
        }
        // much longer than it needs
        std::thread::sleep(Duration::from_secs(4));
        let now = held();
        println!("{now:3} MiB held after {:2} MiB, at rest for 4 s", 16 * part);
        seen.push(now as i64 - before as i64);
        before = now;
    }
    let kept = seen[..3].iter().all(|grown| *grown >= 12);
    // what was freed is used again
    let bounded = seen[4..].iter().sum::<i64>() < 32;
    std::process::exit(i32::from(!(kept && bounded)));
}

/// A key.
fn blake(seed: u64) -> Vec<u8> {
    (0..4).flat_map(|n| (seed * 4 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}
RUST
export CARGO_TARGET_DIR="$dir/target"
cargo build -q --release
if command -v strace >/dev/null; then
    strace -f -qq -y -o calls -e trace=fsync,fdatasync,write target/release/finding && rc=0 || rc=$?
    awk '/log0>/ { if (/sync\(/) { print "the log was forced to the disk first after " n " writes to it"; exit } n++ }' calls
    exit $rc
else
    target/release/finding
fi
