//! A study whose rows are files that its own trainer reads.

use super::*;
use consilium_study::{Features, PictureKind, Pictures, Scaling};
use std::{fmt::Write, fs::Permissions, os::unix::fs::PermissionsExt};

const MINUTE: &str = "seconds = 60\nfiles = \"scans\"\n";

/// The demo's study with a file for each patient in place of columns.
fn of_files(settings: &str) -> StudySpec {
    let mut spec = study(settings, false);
    spec.data.features = Features::default();
    spec.data.scaling = Scaling::None;
    let column = "scan".to_owned();
    let kind = PictureKind::Files;
    spec.data.pictures = Some(Pictures { column, height: 0, width: 0, channels: 1, kind, mean: 0.5, deviation: 0.25 });
    spec.check().unwrap();
    spec
}

/// A site whose table names a file for each of the demo's patients, with its thirty numbers as shares of the largest.
fn with_files(form: &str, more: &str, settings: &str) -> Lab {
    let lab = lab(of_files(settings), &allowed(form, more));
    let (scans, csv) = (lab.dir.path().join("scans"), demo_csv(0));
    fs::create_dir(&scans).unwrap();
    fs::set_permissions(&scans, Permissions::from_mode(0o755)).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let numbers = |row: &[&str]| row[..30].iter().map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>();
    let most: Vec<f64> = (0..30).map(|n| rows.iter().map(|row| numbers(row)[n]).fold(1e-9, f64::max)).collect();
    let mut table = "scan,diagnosis\n".to_owned();
    for (at, row) in rows.iter().enumerate() {
        let shares =
            numbers(row).iter().zip(&most).map(|(number, most)| (number / most).to_string()).collect::<Vec<_>>();
        let path = scans.join(format!("{at}.txt"));
        fs::write(&path, shares.join(" ")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        writeln!(table, "scans/{at}.txt,{}", row[30]).unwrap();
    }
    fs::write(lab.dir.path().join("data.csv"), table).unwrap();
    lab
}

#[test]
fn a_trainer_reads_the_sites_own_files_and_their_bytes_are_held_to_as_the_table_is() {
    for form in forms() {
        let lab = with_files(form, MINUTE, "steps = 20");
        let start = begin(&lab);
        let order = lab.order(DutyKind::Train, 1, Some(start), None);
        let DutyOutput::Update { root, metric } = lab.done(&order) else { panic!("{form}") };
        assert_eq!(metric, Some(693_147), "{form}: ln 2 of the model of zeros, by this site's validation rows");
        let layout = lab.spec.layout().unwrap();
        let update =
            ModelFile::decode_update(&fs::read(lab.blob(&root)).unwrap(), &layout, &order.duty.hash()).unwrap();
        let base = lab.blobs().put(&ModelFile { duty: None, ..update }.encode().unwrap()).unwrap();
        let evaluated = lab.done(&lab.order(DutyKind::Evaluate, 1, Some(base), None));
        let DutyOutput::Metric(Some(loss)) = evaluated else { panic!("{form}: {evaluated:?}") };
        assert!(loss < 600_000, "{form}: {loss}");
        // no number of theirs is in what the worker writes for the trainer
        let rows = below(&folder(&lab).join("rows"));
        assert_eq!(rows.iter().filter(|path| path.to_string_lossy().ends_with(".files.json")).count(), 2, "{rows:?}");
        // other bytes in one of them are other data
        fs::write(lab.dir.path().join("scans/3.txt"), "0 ".repeat(30)).unwrap();
        assert_eq!(lab.failed(&lab.order(DutyKind::Train, 2, Some(base), None)), FailureCode::DataChanged, "{form}");
    }
}

#[test]
fn a_trainer_may_read_them_only_where_the_site_says_so_and_never_write_them() {
    for form in forms() {
        for more in [SLEEPLESS, "seconds = 60\nfiles = \"scans/deeper\"\n", "seconds = 60\nfiles = \"home\"\n"] {
            let lab = with_files(form, more, "steps = 1");
            let order = lab.order(DutyKind::Train, 1, Some(begin(&lab)), None);
            assert_eq!(lab.failed(&order), FailureCode::Refused, "{form}, {more}");
        }
        let lab = with_files(form, MINUTE, "misdeed = \"spoil\"");
        // also where a file's own mode would let everybody write
        for path in below(&lab.dir.path().join("scans")) {
            fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        }
        let texts = || {
            let mut paths = below(&lab.dir.path().join("scans"));
            paths.sort();
            paths.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
        };
        let before = texts();
        assert_eq!(
            lab.failed(&lab.order(DutyKind::Train, 1, Some(begin(&lab)), None)),
            FailureCode::Internal,
            "{form}"
        );
        let words = fs::read_to_string(folder(&lab).join("trainer.log")).unwrap();
        assert!(words.contains("Read-only file system"), "{form}: {words}");
        assert!(before == texts(), "{form}: a file was changed");
    }
}
