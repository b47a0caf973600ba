//! Parquet against what pyarrow wrote (golden/parquet/make.py).
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::data::{
    parquet::{for_each_block, names, read_parquet, Block, Column, Source},
    DataError,
};
use consilium_primitives::FailureCode;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/parquet").join(name)
}

fn source(name: &str) -> Source {
    Source::file(&file(name))
}

fn expected() -> BTreeMap<String, BTreeMap<String, Vec<Value>>> {
    let all: Value = serde_json::from_slice(&fs::read(file("expected.json")).unwrap()).unwrap();
    serde_json::from_value(all["files"].clone()).unwrap()
}

/// Bit by bit for numbers, but for what a missing one looks like.
fn compare(name: &str, block: &Block, want: &BTreeMap<String, Vec<Value>>) {
    assert_eq!(block.len(), want.len(), "{name}");
    for (column, got) in block {
        let want = &want[column];
        match got {
            Column::Numbers(got) => {
                assert_eq!(got.len(), want.len(), "{name}, {column}");
                for (row, (got, want)) in got.iter().zip(want).enumerate() {
                    let same = match want {
                        Value::Null => got.is_nan(),
                        Value::String(end) => got.to_string() == *end,
                        number => got.to_bits() == number.as_f64().unwrap().to_bits(),
                    };
                    assert!(same, "{name}, {column}, row {row}: {got} instead of {want}");
                }
            }
            Column::Texts(got) => {
                let want: Vec<Option<String>> = want.iter().map(|v| v.as_str().map(String::from)).collect();
                assert_eq!(*got, want, "{name}, {column}");
            }
        }
    }
}

#[test]
fn columns_hold_what_pyarrow_wrote() {
    let expected = expected();
    for (name, want) in &expected {
        if name == "delta.parquet" {
            continue;
        }
        compare(name, &read_parquet(&source(name), &|_| true).unwrap(), want);
        let bytes = Source::bytes(fs::read(file(name)).unwrap(), &file(name));
        compare(name, &read_parquet(&bytes, &|_| true).unwrap(), want);
        let mut all = names(&source(name)).unwrap();
        all.sort();
        assert_eq!(all, want.keys().cloned().collect::<Vec<_>>());
    }
    // the same columns in each compression
    for codec in ["none", "snappy", "gzip", "zstd"] {
        let name = format!("{codec}.parquet");
        compare(&name, &read_parquet(&source(&name), &|_| true).unwrap(), &expected["small_pages.parquet"]);
    }
}

#[test]
fn columns_come_in_the_files_order_and_only_those_wanted() {
    let block = read_parquet(&source("types.parquet"), &|n| ["text", "bool"].contains(&n)).unwrap();
    assert_eq!(block.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["bool", "text"]);
    assert_eq!(read_parquet(&source("types.parquet"), &|_| false).unwrap(), []);
    // what is not wanted may be of any kind
    let block = read_parquet(&source("refused.parquet"), &|n| n == "fine").unwrap();
    assert_eq!(block, [("fine".to_string(), Column::Numbers(vec![1.0, 2.0]))]);
    assert_eq!(names(&source("refused.parquet")).unwrap()[..4], ["fine", "list", "struct", "map"]);
}

/// Blocks put together again, and the rows of each.
fn in_blocks(source: &Source, rows: usize) -> (Block, Vec<usize>) {
    let (mut all, mut sizes): (Block, Vec<usize>) = (Vec::new(), Vec::new());
    for_each_block(source, &|_| true, rows, &mut |block| {
        sizes.push(match &block[0].1 {
            Column::Numbers(values) => values.len(),
            Column::Texts(values) => values.len(),
        });
        if all.is_empty() {
            all = block;
            return Ok(());
        }
        for ((_, all), (_, more)) in all.iter_mut().zip(block) {
            match (all, more) {
                (Column::Numbers(all), Column::Numbers(more)) => all.extend(more),
                (Column::Texts(all), Column::Texts(more)) => all.extend(more),
                _ => panic!("another kind of column"),
            }
        }
        Ok(())
    })
    .unwrap();
    (all, sizes)
}

#[test]
fn blocks_have_the_size_that_is_asked_for_across_row_groups() {
    let expected = expected();
    for name in ["types.parquet", "pages2.parquet", "small_pages.parquet"] {
        let want = &expected[name];
        let rows = want.values().next().unwrap().len();
        for size in [1, 3, 7, 8, 20, 1000, usize::MAX] {
            let (all, sizes) = in_blocks(&source(name), size);
            compare(name, &all, want);
            let (last, full) = sizes.split_last().unwrap();
            assert!(full.iter().all(|s| *s == size) && *last <= size && *last > 0, "{name}: {sizes:?}");
            assert_eq!(full.len() * full.first().unwrap_or(&0) + last, rows);
        }
    }
    // none at all is one; nothing is handed over where there is nothing
    assert_eq!(in_blocks(&source("pages2.parquet"), 0).1, [1; 20]);
    assert_eq!(in_blocks(&source("none_rows.parquet"), 5).1, [0; 0]);
    let mut calls = 0;
    for_each_block(&source("types.parquet"), &|_| false, 5, &mut |_| {
        calls += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(calls, 0);
}

#[test]
fn what_the_caller_returns_ends_the_reading() {
    let mine = read_parquet(&source("text.parquet"), &|_| true).unwrap_err();
    let mut calls = 0;
    let got = for_each_block(&source("types.parquet"), &|_| true, 4, &mut |_| {
        calls += 1;
        if calls == 2 {
            return Err(mine.clone());
        }
        Ok(())
    });
    assert_eq!((got.unwrap_err(), calls), (mine.clone(), 2));
}

fn refused(name: &str, wanted: &str, code: FailureCode, why: &str) {
    let error = read_parquet(&source(name), &|n| n == wanted).expect_err(why);
    assert_eq!(error, DataError { code, message: format!("{}: {why}", file(name).display()), passes: false });
    let blocks = for_each_block(&source(name), &|n| n == wanted, 1, &mut |_| Ok(()));
    assert_eq!(blocks.unwrap_err(), error);
}

#[test]
fn columns_that_are_not_read_are_refused_by_name() {
    let nested = "is nested or repeated; write one value to a row";
    let date = "is a date or a time; write it as a number or a text";
    let whole = "has a whole number beyond 2^53, which would be rounded; write the column as text";
    for (column, why) in [
        ("list", nested),
        ("struct", nested),
        ("map", nested),
        ("decimal", "is of decimals; write them as floating-point numbers"),
        ("date", date),
        ("time", date),
        ("timestamp", date),
        ("half", "is of a type that is not read; write it as a number or a text"),
        ("bytes", "holds bytes that are not UTF-8 text"),
        ("long", "has a text of more than 64 KiB, which is the most that is read"),
        ("beyond", whole),
        ("below", whole),
        ("unsigned", whole),
    ] {
        refused("refused.parquet", column, FailureCode::SchemaMismatch, &format!("column {column:?}: {why}"));
    }
    refused("int96.parquet", "old", FailureCode::SchemaMismatch, &format!("column \"old\": {date}"));
    refused("twice.parquet", "x", FailureCode::SchemaMismatch, "has two columns \"x\"");
    for (name, codec) in [("lz4.parquet", "LZ4"), ("brotli.parquet", "Brotli")] {
        let why = format!("column \"int32\": is compressed with {codec}; write it with snappy, gzip, zstd or none");
        refused(name, "int32", FailureCode::SchemaMismatch, &why);
    }
    // numbers in this encoding are read, texts are not
    let want = &expected()["delta.parquet"];
    let block = read_parquet(&source("delta.parquet"), &|n| n.starts_with("int")).unwrap();
    compare(
        "delta",
        &block,
        &want.iter().filter(|(n, _)| n.starts_with("int")).map(|(n, v)| (n.clone(), v.clone())).collect(),
    );
    let why =
        "column \"text?\": is in an encoding that is not read, such as DELTA_BYTE_ARRAY, whose sizes stand within its bytes; \
        write the file anew with plain or dictionary encoding (pandas and pyarrow do so by themselves), or as CSV";
    refused("delta.parquet", "text?", FailureCode::SchemaMismatch, why);
}

fn parse(bytes: Vec<u8>) -> Result<Block, DataError> {
    read_parquet(&Source::bytes(bytes, &file("x")), &|_| true)
}

#[test]
fn files_that_are_none_are_refused() {
    let of = |why: &str| format!("{}: {why}", file("x").display());
    let whole = fs::read(file("zstd.parquet")).unwrap();
    let none = "is not a Parquet file";
    let damaged = "is a damaged or cut-off Parquet file; export or copy it again";
    let page = "column \"n\": has a page of more than 256 MiB; write it in smaller pages";
    let swap = |tail: &[u8]| [&whole[..whole.len() - tail.len()], tail].concat();
    for (bytes, why) in [
        (Vec::new(), none),
        (b"PAR1PAR1".to_vec(), none),
        (fs::read(file("text.parquet")).unwrap(), none),
        (whole[..whole.len() - 30].to_vec(), damaged),
        (swap(b"PARE"), "is encrypted; write it without encryption"),
        (swap(b"\xff\xff\xff\0PAR1"), damaged),
        (swap(b"\xff\xff\xff\xffPAR1"), "describes its columns in more than 64 MiB; write larger row groups"),
        ([b"PAR1", &[0; 40][..], b"\x28\0\0\0PAR1"].concat(), damaged),
        // the first page's header: of type 0 and nearly 2^31 bytes
        ([b"PAR1\x15\0\x15\xfe\xff\xff\xff\x0f", &whole[12..]].concat(), page),
    ] {
        assert_eq!(parse(bytes).unwrap_err().message, of(why));
    }
    assert!(names(&source("absent.parquet")).unwrap_err().message.contains("absent.parquet: cannot be read: "));
    assert!(names(&source("")).unwrap_err().message.ends_with("is not a file"));
}

#[test]
fn schemas_too_deep_are_refused_and_do_no_harm() {
    // version 1; a list of schema elements, each a group `g` (field 4) with one child (field 5), required (field 3)
    for depth in [10_usize, 200_000] {
        let mut footer = b"\x15\x02\x19\xfc".to_vec();
        let mut count = depth;
        while count >= 128 {
            footer.push(count as u8 | 128);
            count >>= 7;
        }
        footer.push(count as u8);
        footer.extend(b"\x35\0\x18\x01g\x15\x02\0".repeat(depth));
        footer.extend(b"\x16\0\x19\x0c\0");
        let length = (footer.len() as u32).to_le_bytes();
        let bytes = [&b"PAR1"[..], &footer, &length, b"PAR1"].concat();
        assert!(parse(bytes).unwrap_err().message.contains("damaged"), "{depth}");
    }
}

/// A step of the xorshift generator.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn damaged_files_are_errors_or_columns_never_panics() {
    // more where it is asked for, to look for rare harm
    let variants = std::env::var("SPOILED").map_or(300, |n| n.parse().unwrap());
    let begin = Instant::now();
    let mut files: Vec<PathBuf> = fs::read_dir(file("")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let (mut read, mut failed, mut state) = (0, 0, 99);
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "parquet")) {
        let whole = fs::read(path).unwrap();
        for n in 0..variants {
            let mut bytes = whole.clone();
            for _ in 0..=n % 4 {
                // half of them in the description at the end, without which nothing is read
                let length = bytes.len();
                let at = match step(&mut state) % 2 {
                    0 => step(&mut state) as usize % length,
                    _ => length - 1 - step(&mut state) as usize % (length / 3),
                };
                bytes[at] = match step(&mut state) % 4 {
                    0 => 0,
                    1 => 255,
                    _ => bytes[at] ^ 1 << (step(&mut state) % 8),
                };
            }
            if n % 7 == 0 {
                bytes.truncate(step(&mut state) as usize % bytes.len());
            }
            let start = Instant::now();
            let source = Source::bytes(bytes, path);
            let columns = names(&source).unwrap_or_default();
            // each for itself, so that one that is refused does not hide the rest
            for column in columns.iter().take(30) {
                match read_parquet(&source, &|n| n == column) {
                    Ok(_) => read += 1,
                    Err(error) => {
                        failed += 1;
                        assert!(error.message.starts_with(&path.display().to_string()));
                        assert!(!error.message.contains("longer text"), "{error}");
                    }
                }
            }
            assert!(start.elapsed().as_secs() < 20, "{}, variant {n}", path.display());
        }
    }
    assert!(read > variants && failed > variants, "{read} read, {failed} refused");
    eprintln!("{read} read, {failed} refused in {:?}", begin.elapsed());
}
