//! PNG, JPEG and DICOM against what Pillow, pydicom and numpy make of the same files (golden/pictures/make.py).
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::data::{
    dicom::{parse_dicom, read_dicom, Window, KEPT},
    image::{parse_picture, read_picture, Grey},
    DataError,
};
use consilium_primitives::FailureCode;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pictures").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(file("expected.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Size and first pixels, and that all lie between 0 and 1.
fn compare(name: &str, got: &Grey, case: &Value, tolerance: f64) {
    assert_eq!((got.width as u64, got.height as u64), (size(case, "width"), size(case, "height")), "{name}");
    assert_eq!(got.pixels.len(), got.width * got.height, "{name}");
    assert!(got.pixels.iter().all(|p| (0.0..=1.0).contains(p)), "{name}");
    let pixels = numbers(&case["pixels"]);
    assert!(!pixels.is_empty() && pixels.len() <= got.pixels.len(), "{name}");
    for (n, (got, want)) in got.pixels.iter().zip(&pixels).enumerate() {
        let off = (f64::from(*got) - f64::from(*want as f32)).abs();
        assert!(off <= tolerance, "{name}, pixel {n}: {got} instead of {want}");
    }
}

fn size(case: &Value, side: &str) -> u64 {
    case[side].as_u64().unwrap()
}

#[test]
fn pictures_have_the_pixels_that_pillow_finds() {
    let all = expected();
    let cases = all["pictures"].as_array().unwrap();
    assert_eq!(cases.len(), 21);
    for case in cases {
        let name = case["file"].as_str().unwrap();
        compare(name, &read_picture(&file(name)).unwrap(), case, case["tolerance"].as_f64().unwrap());
    }
}

#[test]
fn images_have_the_pixels_that_the_standard_says() {
    let all = expected();
    let cases = all["images"].as_array().unwrap();
    assert_eq!(cases.len(), 37);
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let window = match &case["window"] {
            Value::String(own) if own == "own" => Window::Own,
            Value::String(_) => Window::Full,
            fixed => Window::Fixed { center: fixed[0].as_f64().unwrap(), width: fixed[1].as_f64().unwrap() },
        };
        compare(name, &read_dicom(&file(name), window).unwrap(), case, case["tolerance"].as_f64().unwrap());
    }
}

fn source(all: &Value) -> Grey {
    let pixels = numbers(&all["source"]["pixels"]).iter().map(|p| *p as f32).collect();
    Grey { width: size(&all["source"], "width") as usize, height: size(&all["source"], "height") as usize, pixels }
}

#[test]
fn resampling_gives_what_numpy_gives() {
    let all = expected();
    let source = source(&all);
    for case in all["resized"].as_array().unwrap() {
        let (width, height) = (size(case, "width") as usize, size(case, "height") as usize);
        compare(&format!("{width} x {height}"), &source.resized(width, height), case, 1e-7);
    }
    assert_eq!(source.resized(source.width, source.height), source);
    // a picture of one value keeps it, however its size changes
    let flat = Grey { width: 13, height: 17, pixels: vec![0.3; 13 * 17] };
    for (width, height) in [(4, 40), (13, 5), (100, 1)] {
        assert!(flat.resized(width, height).pixels.iter().all(|p| *p == 0.3), "{width} x {height}");
    }
}

#[test]
fn windows_spread_what_is_between_their_ends() {
    let all = expected();
    let source = source(&all);
    for case in all["windowed"].as_array().unwrap() {
        let (low, high) = (case["low"].as_f64().unwrap(), case["high"].as_f64().unwrap());
        let got = source.windowed(low, high);
        for (got, want) in got.pixels.iter().zip(numbers(&case["pixels"])) {
            assert!((f64::from(*got) - want).abs() < 1e-7, "{low} to {high}");
        }
    }
    let step = Grey { width: 3, height: 1, pixels: vec![0.2, 0.5, 0.7] };
    assert_eq!(step.windowed(0.5, 0.5).pixels, [0.0, 0.0, 1.0]);
}

#[test]
fn odd_sizes_do_no_harm() {
    let empty = Grey { width: 0, height: 0, pixels: vec![] };
    assert_eq!(empty.resized(2, 1).pixels, [0.0, 0.0]);
    assert_eq!(empty.resized(0, 3).pixels, [0.0; 0]);
    let short = Grey { width: 2, height: 2, pixels: vec![1.0; 3] };
    assert_eq!(short.resized(2, 2).pixels, [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(short.resized(1, 0).pixels, [0.0; 0]);
}

/// That it is refused, by name, and with this text.
fn refused(name: &str, got: Result<Grey, DataError>, code: FailureCode, why: &str) {
    let error = got.map(|g| (g.width, g.height)).expect_err(name);
    assert_eq!(error, DataError { code, message: format!("{}: {why}", file(name).display()), passes: false });
}

#[test]
fn pictures_that_are_not_read_are_refused_by_name() {
    use FailureCode::{DataUnreadable, SchemaMismatch};
    let most = "at most 16384 on a side and 33554432 in all are read: make it smaller";
    for (name, code, why) in [
        ("truncated.png", DataUnreadable, "is a damaged or cut-off PNG; export or copy it again".to_string()),
        ("truncated.jpg", DataUnreadable, "is a damaged or cut-off JPEG; export or copy it again".into()),
        (
            "text.png",
            SchemaMismatch,
            "is neither a PNG nor a JPEG file, whatever its name says; convert it to PNG".into(),
        ),
        (
            "u16.dcm",
            SchemaMismatch,
            "is neither a PNG nor a JPEG file, whatever its name says; convert it to PNG".into(),
        ),
        ("cmyk.jpg", SchemaMismatch, "is a JPEG of 4 colour channels (such as CMYK); save it as grey or RGB".into()),
        ("odd.jpg", SchemaMismatch, "is a JPEG of a rare kind (how its colours are sampled); save it as PNG".into()),
        ("huge.png", SchemaMismatch, format!("has 60000 x 60000 pixels; {most}")),
        ("wide.png", SchemaMismatch, format!("has 16385 x 1 pixels; {most}")),
        ("large.png", SchemaMismatch, format!("has 8192 x 8192 pixels; {most}")),
    ] {
        refused(name, read_picture(&file(name)), code, &why);
    }
    refused("empty", parse_picture(b"", &file("empty")), SchemaMismatch, "is empty");
    refused("", read_picture(&file("")), DataUnreadable, "is not a file");
    assert!(read_picture(&file("absent.png")).unwrap_err().message.contains("absent.png: cannot be read: "));
    assert!(read_dicom(&file("absent.dcm"), Window::Own).unwrap_err().message.contains("absent.dcm: cannot be read: "));
    let dir = tempfile::tempdir().unwrap();
    let big = dir.path().join("big.png");
    fs::File::create(&big).unwrap().set_len((1 << 27) + 1).unwrap();
    let message = format!("{}: is larger than 128 MiB, which is the most a picture may have", big.display());
    assert_eq!(read_picture(&big).unwrap_err(), DataError { code: SchemaMismatch, message, passes: false });
}

#[test]
fn rare_kinds_of_jpeg_are_refused() {
    let whole = fs::read(file("grey.jpg")).unwrap();
    let path = file("grey.jpg");
    let sof = whole.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let rare = "is a JPEG of a rare kind (not 8 bits a sample, lossless or arithmetic); save it as PNG";
    for (at, value) in [(sof + 1, 0xc3), (sof + 1, 0xc9), (sof + 4, 12)] {
        let mut bytes = whole.clone();
        bytes[at] = value;
        refused("grey.jpg", parse_picture(&bytes, &path), FailureCode::SchemaMismatch, rare);
    }
    // the same scan over and over
    let sos = whole.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let scan = &whole[sos..whole.len() - 2];
    let bytes = [&whole[..sos], &scan.repeat(65), &whole[whole.len() - 2..]].concat();
    let many = "is a JPEG of more than 64 scans; save it as PNG";
    refused("grey.jpg", parse_picture(&bytes, &path), FailureCode::SchemaMismatch, many);
}

#[test]
fn images_that_are_not_read_are_refused_by_name() {
    use FailureCode::{DataUnreadable, SchemaMismatch};
    let damaged = "is a damaged or cut-off DICOM file; export or copy it again";
    let colour = "only MONOCHROME1 and MONOCHROME2 are read";
    let syntax = "which is not read; export it as Explicit VR Little Endian";
    let code = "has a compressed image of another size or kind than it says itself, or a damaged one; export it again";
    let plain = "which is not read; export it uncompressed";
    let strays = "the type (VR) of an element is missing; export it again as Explicit VR Little Endian";
    let stray = |name: &str| fs::read(file(name)).unwrap().windows(4).position(|w| w == [0x19, 0, 1, 0x10]).unwrap();
    let cases = [
        ("text.dcm", "is not a DICOM file: the mark DICM is missing at its beginning".to_string()),
        ("nopixels.dcm", "has no pixel data; is it a report or a plan rather than an image?".into()),
        ("frames.dcm", "has 2 frames; export each as a file of its own".into()),
        ("rgb.dcm", format!("is a colour image (RGB); {colour}")),
        ("palette.dcm", format!("is a colour image (PALETTE COLOR); {colour}")),
        ("bits32.dcm", "has 32 bits allocated to a pixel; 8 and 16 are read".into()),
        ("bigendian.dcm", format!("is in the transfer syntax 1.2.840.10008.1.2.2 (Explicit VR Big Endian), {syntax}")),
        (
            "deflated.dcm",
            format!("is in the transfer syntax 1.2.840.10008.1.2.1.99 (Deflated Explicit VR Little Endian), {syntax}"),
        ),
        ("jpegls.dcm", format!("is in the transfer syntax 1.2.840.10008.1.2.4.80 (JPEG-LS Lossless), {syntax}")),
        ("sigmoid.dcm", "has a window that is not linear (VOI LUT function); fix one in the study".into()),
        ("narrow.dcm", "cannot be shown: its window, or the study's, is less than 1 wide; fix another one".into()),
        ("slope0.dcm", "has a rescale slope and intercept that leave no range of values; export it again".into()),
        ("words.dcm", "has a rescale slope that is not a number; export it again".into()),
        ("lut.dcm", "has a Modality LUT, which is not applied; export it with a rescale slope".into()),
        ("enhanced.dcm", "is an enhanced multi-frame object; export it as single classic images".into()),
        ("other.dcm", code.into()),
        (
            "voilut.dcm",
            "has a VOI LUT and no window beside it; the table is not applied: fix a window in the study, or take the full \
             range"
                .into(),
        ),
        (
            "mono2inverse.dcm",
            "says by its photometric interpretation that its grey is the other way round than by its presentation LUT \
             shape; export it again"
                .into(),
        ),
        (
            "twoframes.dcm",
            "has 126 bytes of pixels, where its rows, columns and bits make 63: is it of several frames or of other bits? \
             Export it again"
                .into(),
        ),
        ("restarts.dcm", format!("has a JPEG Lossless image with restart intervals, {plain}")),
        ("shifted.dcm", format!("has a JPEG Lossless image with a point transform, {plain}")),
        ("beside.dcm", "has values of more than the 10 bits that it says are stored; export it uncompressed".into()),
        (
            "minus.dcm",
            "has a JPEG image of 12 bits, unsigned, but says that 16 bits are stored, signed; export it uncompressed".into(),
        ),
        (
            "j2kunsigned13.dcm",
            "has a JPEG 2000 image of 13 bits, unsigned, but says that 16 bits are stored, signed; export it uncompressed"
                .into(),
        ),
        (
            "highcoded.dcm",
            "has compressed pixels that are not said to begin at the lowest bit; export it uncompressed".into(),
        ),
        ("novr.dcm", format!("strays from PS3.10: at byte {}, {strays}", stray("novr.dcm"))),
        ("blankvr.dcm", format!("strays from PS3.10: at byte {}, {strays}", stray("blankvr.dcm"))),
        (
            "large.dcm",
            "has 8192 x 8192 pixels; at most 16384 on a side and 33554432 in all are read: make it smaller".into(),
        ),
    ];
    for (name, why) in cases {
        refused(name, read_dicom(&file(name), Window::Own), SchemaMismatch, &why);
    }
    for name in ["truncated.dcm", "cut.dcm", "few.dcm"] {
        refused(name, read_dicom(&file(name), Window::Own), DataUnreadable, damaged);
    }
    for (center, width) in [(0.0, 0.5), (f64::NAN, 10.0), (0.0, f64::INFINITY)] {
        let why = "cannot be shown: its window, or the study's, is less than 1 wide; fix another one";
        refused("u16.dcm", read_dicom(&file("u16.dcm"), Window::Fixed { center, width }), SchemaMismatch, why);
    }
}

#[test]
fn what_a_file_does_not_say_is_asked_for() {
    let whole = fs::read(file("u16.dcm")).unwrap();
    let path = file("u16.dcm");
    for (tag, name) in [(0x04_u8, "photometric interpretation"), (0x10, "number of rows"), (0x11, "number of columns")]
    {
        // other elements in its place, which are not looked at
        let mut bytes = whole.clone();
        for at in 0..bytes.len() - 138 {
            if bytes[at..at + 4] == [0x28, 0, tag, 0] {
                bytes[at + 2] = 0x99;
            }
        }
        let why = format!("does not say its {name}; export it again");
        refused("u16.dcm", parse_dicom(&bytes, &path, Window::Own), FailureCode::SchemaMismatch, &why);
    }
    let mut bytes = whole.clone();
    let at = bytes.windows(4).position(|w| w == [2, 0, 0x10, 0]).unwrap();
    bytes[at + 2] = 0x11;
    let why = "does not say its transfer syntax; export it again";
    refused("u16.dcm", parse_dicom(&bytes, &path, Window::Own), FailureCode::SchemaMismatch, why);
    let mut lossy = fs::read(file("jpeg8.dcm")).unwrap();
    let at = lossy.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    lossy[at + 4] = 12;
    let why = "has a lossy JPEG of more than 8 bits, which is not read; export it uncompressed";
    refused("jpeg8.dcm", parse_dicom(&lossy, &file("jpeg8.dcm"), Window::Own), FailureCode::SchemaMismatch, why);
    let float = [&whole[..whole.len() - 138], b"\xe0\x7f\x08\0OF\0\0\0\0\0\0"].concat();
    let why = "has pixels that are not whole numbers; export it with 8 or 16 bits a pixel";
    refused("u16.dcm", parse_dicom(&float, &path, Window::Own), FailureCode::SchemaMismatch, why);
}

#[test]
fn nothing_about_a_patient_is_kept() {
    assert!(KEPT.iter().all(|tag| tag.0 == 0x0028 || *tag == (0x2050, 0x0020)));
    // nor shown where a file that holds a name is refused
    let files = fs::read_dir(file("")).unwrap().map(|f| f.unwrap().path());
    let mut errors = 0;
    for path in files.filter(|p| p.extension().is_some_and(|e| e == "dcm")) {
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.windows(6).any(|w| w == b"Hidden") || path.ends_with("deflated.dcm"), "{}", path.display());
        if let Err(error) = read_dicom(&path, Window::Own) {
            errors += 1;
            assert!(!error.message.contains("Hidden") && !error.message.contains("4711"), "{error}");
        }
    }
    assert!(errors > 15);
}

#[test]
fn sequences_too_deep_are_refused_and_do_no_harm() {
    let whole = fs::read(file("u16.dcm")).unwrap();
    let path = file("u16.dcm");
    let pixels = whole.len() - 138;
    for (depth, fits) in [(30, true), (100_000, false)] {
        let open = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff".repeat(depth);
        let close = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0".repeat(depth);
        let bytes = [&whole[..pixels], &open, &close, &whole[pixels..]].concat();
        assert_eq!(parse_dicom(&bytes, &path, Window::Own).is_ok(), fits, "{depth}");
    }
}

/// A step of the xorshift generator.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Bytes changed and ends cut off, the same in every run.
fn spoiled(whole: &[u8], seed: u64, variants: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut state = seed | 1;
    (0..variants).map(move |n| {
        let mut bytes = whole.to_vec();
        for _ in 0..=n % 4 {
            let at = step(&mut state) as usize % bytes.len();
            // each bit, and the values that lengths and marks have
            bytes[at] = match step(&mut state) % 4 {
                0 => 0,
                1 => 255,
                _ => bytes[at] ^ 1 << (step(&mut state) % 8),
            };
        }
        if n % 5 == 0 {
            bytes.truncate(step(&mut state) as usize % bytes.len());
        }
        bytes
    })
}

#[test]
fn damaged_files_are_errors_or_pictures_never_panics() {
    // more where it is asked for, to look for rare harm
    let variants = std::env::var("SPOILED").map_or(200, |n| n.parse().unwrap());
    let begin = Instant::now();
    let mut files: Vec<PathBuf> = fs::read_dir(file("")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let (mut read, mut failed) = (0, 0);
    for (seed, path) in files.iter().enumerate() {
        let kind = path.extension().unwrap();
        if !["png", "jpg", "dcm"].iter().any(|k| kind == *k) {
            continue;
        }
        let whole = fs::read(path).unwrap();
        for bytes in spoiled(&whole, seed as u64 * 77 + 5, variants) {
            let start = Instant::now();
            let got = match kind == "dcm" {
                true => parse_dicom(&bytes, path, Window::Own),
                false => parse_picture(&bytes, path),
            };
            match got {
                Ok(grey) => {
                    read += 1;
                    assert_eq!(grey.pixels.len(), grey.width * grey.height);
                    assert!(grey.pixels.iter().all(|p| (0.0..=1.0).contains(p)), "{}", path.display());
                }
                Err(error) => {
                    failed += 1;
                    assert!(error.message.starts_with(&path.display().to_string()));
                    assert!(!error.message.contains("Hidden"), "{error}");
                }
            }
            assert!(start.elapsed().as_secs() < 20, "{}", path.display());
        }
    }
    assert!(read > variants && failed > variants, "{read} read, {failed} refused");
    eprintln!("{read} read, {failed} refused in {:?}", begin.elapsed());
}
