//! Files that lost something, kinds that decoders of dependencies have wrong, and that each kind is read rightly or refused (golden/pictures/make.py).
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::data::{
    dicom::{parse_dicom, read_dicom, Window},
    image::{parse_picture, read_picture, Grey},
    DataError,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pictures").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(file("expected.json")).unwrap()).unwrap()
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|w| w == what).unwrap()
}

fn damaged(got: Result<Grey, DataError>, what: &str) {
    let message = got.map(|grey| (grey.width, grey.height)).expect_err(what).message;
    assert!(message.ends_with("is a damaged or cut-off JPEG; export or copy it again"), "{what}: {message}");
}

/// Where each mark of this kind stands.
fn marks(bytes: &[u8], kind: u8) -> Vec<usize> {
    (0..bytes.len() - 1).filter(|at| bytes[*at..*at + 2] == [0xff, kind]).collect()
}

/// Bytes that are lost leave codes that make other blocks: too few or too many. (What is lost within one block can go
/// unseen: a JPEG has no checksum.)
#[test]
fn jpegs_that_lost_bytes_in_their_middle_are_refused() {
    let mut lost = 0;
    for name in ["grey.jpg", "rgb.jpg", "progressive.jpg", "coarse.jpg", "filled.jpg", "scans420.jpg", "scans422.jpg"] {
        let whole = fs::read(file(name)).unwrap();
        let path = file(name);
        parse_picture(&whole, &path).unwrap();
        let start = find(&whole, b"\xff\xda") + 14;
        for gap in [60, 90] {
            for at in start..whole.len().saturating_sub(gap + 2) {
                // no mark is lost or made
                if !whole[at - 1..at + gap + 1].contains(&0xff) {
                    damaged(parse_picture(&[&whole[..at], &whole[at + gap..]].concat(), &path), name);
                    lost += 1;
                }
            }
        }
    }
    assert!(lost > 80, "{lost}");
}

#[test]
fn jpegs_without_one_of_their_scans_are_refused() {
    for name in ["progressive.jpg", "coarse.jpg", "scans420.jpg", "scans422.jpg", "scans444.jpg"] {
        let whole = fs::read(file(name)).unwrap();
        let scans = marks(&whole, 0xda);
        let ends = scans.iter().skip(1).copied().chain([whole.len() - 2]);
        for (scan, end) in scans.iter().zip(ends) {
            let bytes = [&whole[..*scan], &whole[end..]].concat();
            damaged(parse_picture(&bytes, &file(name)), name);
        }
    }
}

#[test]
fn restart_marks_that_are_lost_or_told_wrongly_are_damage() {
    let whole = fs::read(file("filled.jpg")).unwrap();
    let path = file("filled.jpg");
    let second = marks(&whole, 0xd1)[0];
    let mut other = whole.clone();
    other[second + 1] = 0xd3;
    damaged(parse_picture(&other, &path), "another number");
    damaged(parse_picture(&[&whole[..second], &whole[second + 2..]].concat(), &path), "lost");
    let interval = find(&whole, b"\xff\xdd") + 5;
    for wrong in [0, 1, 3] {
        let mut other = whole.clone();
        other[interval] = wrong;
        damaged(parse_picture(&other, &path), "another interval");
    }
    // zeros behind the last code do no harm, other bytes are too many
    let end = whole.len() - 2;
    let with = |more: &[u8]| parse_picture(&[&whole[..end], more, &whole[end..]].concat(), &path);
    assert_eq!(with(&[0; 3]).unwrap(), with(&[]).unwrap());
    damaged(with(&[17; 3]), "too many");
}

/// Where this fails, `jpeg-decoder` has them right: `dicom/coded.rs` need not refuse them any more.
#[test]
fn the_decoder_still_has_some_kinds_of_lossless_jpeg_wrong() {
    let all = expected();
    let pinned = all["pinned"].as_array().unwrap();
    assert_eq!(pinned.len(), 2);
    for case in pinned {
        let bytes = fs::read(file(case["file"].as_str().unwrap())).unwrap();
        let right: Vec<u8> = case["pixels"].as_array().unwrap().iter().map(|p| p.as_u64().unwrap() as u8).collect();
        let found = jpeg_decoder::Decoder::new(&bytes[find(&bytes, b"\xff\xd8\xff")..]).decode().unwrap();
        assert_eq!(found.len(), right.len());
        assert_ne!(found, right, "{}", case["file"]);
    }
}

/// Black but for one run, packed 64 to 1, as run lengths can be.
#[test]
fn large_run_length_images_are_read_however_much_they_are_packed() {
    let small = fs::read(file("rle8.dcm")).unwrap();
    let path = file("rle8.dcm");
    let (side, runs) = (4096_usize, 4096 * 4096 / 128);
    let code = [&b"\x01\0\0\0\x40\0\0\0"[..], &[0; 56], b"\x81\xff", &b"\x81\0".repeat(runs - 1)].concat();
    let pixels = small.windows(8).rposition(|w| w == b"\xe0\x7f\x10\0OB\0\0").unwrap() + 12;
    let mut bytes = small[..pixels].to_vec();
    let columns = find(&bytes, b"\x28\0\x11\0US\x02\0") + 8;
    for at in [columns - 10, columns] {
        bytes[at..at + 2].copy_from_slice(&(side as u16).to_le_bytes());
    }
    bytes.extend(b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0");
    bytes.extend((code.len() as u32).to_le_bytes());
    bytes.extend(code);
    bytes.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
    let grey = parse_dicom(&bytes, &path, Window::Own).unwrap();
    assert_eq!((grey.width, grey.height), (side, side));
    assert!(grey.pixels[..128].iter().all(|p| *p == 1.0) && grey.pixels[128..].iter().all(|p| *p == 0.0));
}

/// A JPEG 2000 image's parts say how long they are, so that what is lost from the middle is missed.
#[test]
fn jpeg_2000_images_that_lost_bytes_are_refused() {
    for name in ["j2k12.dcm", "j2ksigned13.dcm"] {
        let whole = fs::read(file(name)).unwrap();
        let path = file(name);
        read_dicom(&path, Window::Own).unwrap();
        let code = find(&whole, b"\xff\x4f\xff\x51");
        let start = find(&whole, b"\xff\x93") + 2;
        let length = u32::from_le_bytes(whole[code - 4..code].try_into().unwrap());
        for at in (start..whole.len() - 80).step_by(37) {
            for gap in [2, 20, 60] {
                let mut bytes = [&whole[..at], &whole[at + gap..]].concat();
                bytes[code - 4..code].copy_from_slice(&(length - gap as u32).to_le_bytes());
                assert!(parse_dicom(&bytes, &path, Window::Own).is_err(), "{name}: {gap} bytes at {at}");
            }
        }
    }
}

/// Whatever lies in the folder is read as its numbers say, or refused; for none of the kinds there is a third way.
#[test]
fn each_kind_is_read_as_expected_or_refused() {
    let all = expected();
    let named = |list: &str| all[list].as_array().unwrap().iter().map(|c| c["file"].as_str().unwrap().to_string());
    let (known, mut read): (BTreeSet<String>, _) =
        (named("pictures").chain(named("images")).collect(), BTreeSet::new());
    for path in fs::read_dir(file("")).unwrap().map(|f| f.unwrap().path()) {
        let got = match path.extension().and_then(|e| e.to_str()) {
            Some("dcm") => read_dicom(&path, Window::Own).or_else(|_| read_dicom(&path, Window::Full)),
            Some("png" | "jpg") => read_picture(&path),
            _ => continue,
        };
        if got.is_ok() {
            read.insert(path.file_name().unwrap().to_str().unwrap().to_string());
        }
    }
    // the window that it names is too narrow; of the whole range it can be read
    assert!(read.remove("narrow.dcm"));
    assert_eq!(read, known);
}
