//! Studies of pictures that a table names.

use super::{
    blake3_of, golden, read, study,
    support::{root, says, Lab, AGREEMENT},
    told, toml, BINARY, KEY, NUMBERS,
};
use consilium_ml_worker::{
    data::{hash_data, hash_file, image::read_picture, preflight, purge, read_file, read_unlabelled, Reading, Table},
    desk::{self, Plan},
};
use consilium_primitives::{DutyKind, FailureCode};
use consilium_study::{BadRows, StudySpec};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const CONV: &str = "layers = [{ conv2d = { filters = 4, kernel = 3, padding = 1 } }, { activation = \"relu\" }, \
                    { max_pool = { size = 2 } }, \"flatten\"]";

/// What a picture study says of its data.
fn pictures(kind: &str) -> String {
    format!("{BINARY}pictures = {{ column = \"file\", height = 8, width = 10, kind = {kind}, mean = 0.4, deviation = 0.3 }}\n")
}

/// A folder of grey pictures of several sizes, those of ill people brighter on their left, and its table.
fn album(folder: &Path, count: usize) -> PathBuf {
    fs::create_dir_all(folder.join("scans/new")).unwrap();
    let mut table = String::from("file,ill\n");
    for n in 0..count {
        let ill = n.is_multiple_of(3);
        let (width, height) = (9 + n as u32 % 4, 7 + n as u32 % 3);
        let picture = image::GrayImage::from_fn(width, height, |x, y| {
            let noise = (n as u32 * 31 + x * 17 + y * 13) % 60;
            image::Luma([(noise + if ill && x < width / 2 { 120 } else { 20 }) as u8])
        });
        let name = format!("scans/{}p{n}.png", if n.is_multiple_of(2) { "new/" } else { "" });
        picture.save(folder.join(&name)).unwrap();
        table.push_str(&format!("{name},{}\n", if ill { "yes" } else { "no" }));
    }
    fs::write(folder.join("table.csv"), table).unwrap();
    folder.join("table.csv")
}

fn parameters(spec: &StudySpec, table: &Table) -> Vec<u32> {
    let outcome = desk::train(&Plan { spec, rounds: 2, table, secret: [4; 32] }, &|_| false).unwrap();
    outcome.bundle.parameters.iter().map(|p| p.to_bits()).collect()
}

#[test]
fn a_study_of_pictures_trains_and_predicts_from_memory_and_from_a_working_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = album(folder.path(), 45);
    let spec = study(&pictures("\"picture\""), CONV);
    let kept = read(&path, &spec, &Reading::default()).unwrap();
    assert_eq!((kept.rows(), kept.on_disk(), kept.positives()), (45, false, 15));
    let parameters = parameters(&spec, &kept);
    let outcome = desk::train(&Plan { spec: &spec, rounds: 8, table: &kept, secret: [4; 32] }, &|_| false).unwrap();
    let (logits, rows) = desk::logits(&outcome.bundle, &kept).unwrap();
    let right = logits.iter().zip(rows.labels()).filter(|(z, label)| (**z > 0.0) == (**label == 1)).count();
    assert!(right > 40, "{right} of 45");
    // the numbers are those of the picture: resized, less its mean, by its deviation
    let grey = read_picture(&folder.path().join("scans/new/p0.png")).unwrap();
    let wanted: Vec<f32> = grey.resized(10, 8).pixels.iter().map(|p| ((f64::from(*p) - 0.4) / 0.3) as f32).collect();
    assert_eq!(rows.features().unwrap()[..80], wanted);

    let how = Reading { allowance: 44 * 80 * 4, folder: Some(folder.path().join("copies")) };
    for time in 0..2 {
        let on_disk = read(&path, &spec, &how).unwrap();
        assert!(on_disk.on_disk(), "{time}");
        assert_eq!(told(&on_disk), told(&kept));
        assert_eq!(self::parameters(&spec, &on_disk), parameters, "{time}");
        assert_eq!(desk::logits(&outcome.bundle, &on_disk).unwrap().0, logits, "{time}");
    }
    let copies: Vec<_> = fs::read_dir(folder.path().join("copies")).unwrap().map(|e| e.unwrap()).collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(copies[0].metadata().unwrap().len() > 45 * 80 * 4);
    assert_eq!(purge(&folder.path().join("copies")).unwrap().len(), 1);
    let none = Reading { folder: None, ..how };
    let said = read(&path, &spec, &none).unwrap_err();
    assert_eq!(said.code, FailureCode::OutOfMemory);
    assert!(said.message.contains("more pixels than"), "{said}");

    // without labels, and from a table in Parquet's place of the same columns
    let names: String = kept.pictures.iter().map(|name| format!("{name}\n")).collect();
    let bare = folder.path().join("bare.csv");
    fs::write(&bare, format!("file\n{names}")).unwrap();
    let table = read_unlabelled(&bare, &spec.data, &Reading::default()).unwrap();
    assert_eq!(desk::logits(&outcome.bundle, &table).unwrap().0, logits);

    let report = preflight(&path, &spec, &KEY, &Reading::default());
    assert!(report.usable, "{report}");
    let seen = report.pictures.as_ref().unwrap();
    assert_eq!((seen.read, seen.unreadable, seen.sizes.len()), (45, 0, 12));
    assert!(report.to_string().contains("pictures: 45 can be read, 0 cannot; sizes: 9 x 7: 4"), "{report}");
}

#[test]
fn pictures_can_be_named_by_a_parquet_table() {
    let folder = tempfile::tempdir().unwrap();
    let spec = study(&pictures("\"picture\""), CONV);
    let csv = read(&album(folder.path(), 12), &spec, &Reading::default()).unwrap();
    let path = folder.path().join("files.parquet");
    fs::copy(golden("tables/files.parquet"), &path).unwrap();
    for allowance in [1 << 20, 100] {
        let how = Reading { allowance, folder: Some(folder.path().join("copies")) };
        let parquet = read(&path, &spec, &how).unwrap();
        assert_eq!(told(&csv), told(&parquet));
        assert_eq!(parameters(&spec, &csv), parameters(&spec, &parquet));
    }
    fs::write(folder.path().join("scans/p7.png"), "x").unwrap();
    let said = read(&path, &spec, &Reading::default()).unwrap_err().message;
    assert!(said.contains("files.parquet, row 8, picture scans/p7.png: is neither"), "{said}");
    assert_eq!(
        hash_data(&path, &spec.data).unwrap(),
        read_file(&path, &spec.data, &KEY, &Reading::default()).unwrap().hash
    );
}

#[test]
fn a_study_of_dicom_files_trains() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("file;ill\n");
    for n in 0..24 {
        let of = ["u16", "s16", "mono1", "high12", "rle16", "j2k12"][n % 6];
        fs::copy(golden(&format!("pictures/{of}.dcm")), folder.path().join(format!("{n}.dcm"))).unwrap();
        table.push_str(&format!("{n}.dcm;{}\n", if n % 6 < 2 { "yes" } else { "no" }));
    }
    let path = folder.path().join("table.csv");
    fs::write(&path, table).unwrap();
    for window in ["own", "full"] {
        let spec = study(&pictures(&format!("{{ dicom = \"{window}\" }}")), CONV);
        let table = read(&path, &spec, &Reading::default()).unwrap();
        assert_eq!((table.rows(), table.positives()), (24, 8));
        let outcome =
            desk::train(&Plan { spec: &spec, rounds: 1, table: &table, secret: [4; 32] }, &|_| false).unwrap();
        let logits = desk::logits(&outcome.bundle, &table).unwrap().0;
        assert_eq!(logits[0], logits[6]);
        assert!(logits.iter().all(|z| z.is_finite()));
    }
    let spec = study(&pictures("{ dicom = { fixed = { center = 30000.0, width = 20000.0 } } }"), CONV);
    assert_eq!(read(&path, &spec, &Reading::default()).unwrap().rows(), 24);
    // as pictures they are none
    let said = read(&path, &study(&pictures("\"picture\""), CONV), &Reading::default()).unwrap_err().message;
    assert!(said.contains("table.csv, line 2, picture 0.dcm: is neither a PNG nor a JPEG file"), "{said}");
}

#[test]
fn a_decoder_has_nothing_to_say_of_good_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("file,ill\n");
    for n in 0..12 {
        fs::copy(golden("pictures/j2k12.dcm"), folder.path().join(format!("{n}.dcm"))).unwrap();
        table.push_str(&format!("{n}.dcm,{}\n", if n % 2 < 1 { "yes" } else { "no" }));
    }
    let [data, study] = ["table.csv", "study.toml"].map(|name| folder.path().join(name));
    fs::write(&data, table).unwrap();
    fs::write(&study, toml(&pictures("{ dicom = \"own\" }"), CONV)).unwrap();
    let mut preflight = std::process::Command::new(env!("CARGO_BIN_EXE_ml-worker"));
    let done =
        preflight.args(["preflight", "--study"]).arg(&study).arg("--data").arg(&data).env_remove("RUST_LOG").output();
    let done = done.unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert!(done.status.success());
}

#[test]
fn a_picture_that_cannot_be_read_is_named_or_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = album(folder.path(), 40);
    let refuses = study(&pictures("\"picture\""), CONV);
    let skips = |share: f64| {
        let mut spec = refuses.clone();
        spec.data.bad_rows = BadRows::Skip { at_most: share };
        spec
    };
    fs::copy(golden("pictures/truncated.png"), folder.path().join("scans/p5.png")).unwrap();
    fs::remove_file(folder.path().join("scans/new/p8.png")).unwrap();
    let said = read(&path, &refuses, &Reading::default()).unwrap_err();
    assert_eq!(said.code, FailureCode::DataUnreadable, "one is not there, so that there is no hash");
    assert!(said.message.contains("table.csv, line 10, picture scans/new/p8.png: cannot be read"), "{said}");
    let table = read(&path, &skips(0.05), &Reading::default()).unwrap();
    assert_eq!((table.rows(), table.skipped, table.positives(), table.pictures.len()), (38, 2, 14, 38));
    parameters(&skips(0.05), &table);
    let said = read(&path, &skips(0.04), &Reading::default()).unwrap_err().message;
    assert!(said.contains("2 of 40 rows") && said.contains("the first: line 7, picture scans/p5.png"), "{said}");
    let said = read_unlabelled(&path, &skips(0.5).data, &Reading::default()).unwrap_err().message;
    assert!(said.contains("picture scans/"), "{said}");

    for (spec, usable) in [(&refuses, false), (&skips(0.05), true), (&skips(0.04), false)] {
        let report = preflight(&path, spec, &KEY, &Reading::default());
        assert_eq!(report.usable, usable, "{report}");
        let seen = report.pictures.as_ref().unwrap();
        assert_eq!((seen.read, seen.unreadable, report.rows, report.skipped, report.all.rows), (38, 2, 40, 2, 38));
        let text = report.to_string();
        assert!(text.contains("line 7, picture scans/p5.png: is a damaged or cut-off PNG"), "{text}");
        assert!(text.contains("line 10, picture scans/new/p8.png: cannot be read"), "{text}");
    }
    fs::copy(folder.path().join("scans/new/p0.png"), folder.path().join("scans/new/p8.png")).unwrap();
    let said = read(&path, &refuses, &Reading::default()).unwrap_err();
    assert_eq!(said.code, FailureCode::SchemaMismatch);
    assert!(said.message.contains("table.csv, line 7, picture scans/p5.png: is a damaged or cut-off PNG"), "{said}");
    // no more than 20 are named
    for n in 0..30 {
        let name = format!("scans/{}p{n}.png", if n % 2 == 0 { "new/" } else { "" });
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let report = preflight(&path, &refuses, &KEY, &Reading::default());
    assert_eq!(report.problems.iter().filter(|p| p.message.contains("picture scans/")).count(), 20, "{report}");
    assert!(report.to_string().contains("10 more pictures cannot be read"), "{report}");
}

#[test]
fn pictures_outside_of_the_tables_folder_are_refused() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("site");
    let path = album(&folder, 12);
    let secret = outer.path().join("secret.png");
    fs::copy(folder.join("scans/p1.png"), &secret).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("link.png")).unwrap();
    std::os::unix::fs::symlink(outer.path(), folder.join("up")).unwrap();
    std::os::unix::fs::symlink("scans/p1.png", folder.join("inner.png")).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let mut spec = study(&pictures("\"picture\""), CONV);
    for skip in [false, true] {
        if skip {
            spec.data.bad_rows = BadRows::Skip { at_most: 0.5 };
        }
        for name in [
            "../secret.png",
            "scans/../../secret.png",
            "scans/../scans/p1.png",
            secret.to_str().unwrap(),
            "link.png",
            "up/secret.png",
        ] {
            fs::write(&path, format!("{whole}{name},no\n")).unwrap();
            let said = read(&path, &spec, &Reading::default()).unwrap_err();
            assert_eq!(said.code, FailureCode::SchemaMismatch);
            assert!(said.message.contains("table.csv, line 14: names a picture that is not in"), "{said}");
            assert!(!said.message.contains("secret"), "{said}");
            assert!(!preflight(&path, &spec, &KEY, &Reading::default()).usable, "{name}");
            read_unlabelled(&path, &spec.data, &Reading::default()).unwrap_err();
        }
        for name in ["inner.png", "./scans/p1.png"] {
            fs::write(&path, format!("{whole}{name},no\n")).unwrap();
            assert_eq!(read(&path, &spec, &Reading::default()).unwrap().rows(), 13);
        }
    }
}

#[test]
fn the_hash_of_a_sites_data_covers_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = album(folder.path(), 12);
    let spec = study(&pictures("\"picture\""), CONV);
    let file = |how: &Reading| read_file(&path, &spec.data, &KEY, how).unwrap();
    let first = file(&Reading::default());
    // as its description says
    let mut bytes = hash_file(&path).unwrap().0.to_vec();
    for name in &first.table.unwrap().pictures {
        bytes.extend(blake3_of(&fs::read(folder.path().join(name)).unwrap()).as_bytes());
    }
    assert_eq!(first.hash, blake3_of(&bytes));
    assert_eq!(first.hash, hash_data(&path, &spec.data).unwrap());
    let how = Reading { allowance: 100, folder: Some(folder.path().join("copies")) };
    assert_eq!(file(&how).hash, first.hash);
    // another picture of the same name: another hash, and no old working copy
    let before = file(&how).table.unwrap();
    fs::copy(folder.path().join("scans/new/p0.png"), folder.path().join("scans/p1.png")).unwrap();
    let changed = file(&how);
    assert_ne!(changed.hash, first.hash);
    assert_eq!(changed.hash, hash_data(&path, &spec.data).unwrap());
    assert_ne!(parameters(&spec, &before), parameters(&spec, &changed.table.unwrap()));
    // a picture that is wrong leaves the hash what it is
    fs::write(folder.path().join("scans/p1.png"), "no picture").unwrap();
    let wrong = file(&Reading::default());
    assert!(wrong.table.is_err());
    assert_eq!(wrong.hash, hash_data(&path, &spec.data).unwrap());
    // without pictures it is the file's own
    let plain = study(&format!("{NUMBERS}{BINARY}"), "logistic = {}");
    let table = golden("tables/same.csv");
    assert_eq!(hash_data(&table, &plain.data).unwrap(), hash_file(&table).unwrap());
}

#[test]
fn a_worker_holds_a_study_to_its_pictures() {
    let lab = Lab::with("", study(&pictures("\"picture\""), CONV));
    let dir = lab.dir.path();
    fs::rename(album(dir, 45), dir.join("data.csv")).unwrap();
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let train = |round| lab.order(DutyKind::Train, round, Some(base), None);
    lab.done(&train(1));
    lab.done(&lab.order(DutyKind::Evaluate, 1, Some(base), None));
    fs::copy(dir.join("scans/p1.png"), dir.join("scans/p3.png")).unwrap();
    assert_eq!(lab.failed(&train(2)), FailureCode::DataChanged);
    let [home, sites] = ["home", "sites.toml"].map(|name| dir.join(name).display().to_string());
    let agreement = hex::encode(AGREEMENT);
    let said = says(&["accept-data", "--dir", &home, "--sites", &sites, "--agreement", &agreement]);
    let hash = hash_data(&dir.join("data.csv"), &lab.spec.data).unwrap();
    assert!(String::from_utf8(said).unwrap().contains(&hex::encode(hash)));
    lab.done(&train(3));
}
