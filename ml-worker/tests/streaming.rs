//! A table that is larger than memory allows gives what it gives in memory, bit for bit.
#![allow(clippy::unwrap_used)]

use consilium_aggregation::Statistics;
use consilium_ml_worker::{
    data::{own_statistics, purge, read_file, statistics_of, Prepared, Reading, Split, Table},
    learn::{initial_parameters, loss_micro, OptimizerState, Seeds, Session},
    random::{key, Stream},
};
use consilium_primitives::FailureCode;
use consilium_study::{Missing, Scaling, StudyFile, StudySpec, Transform};
use std::{
    fmt::Write,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const KEY: [u8; 32] = [9; 32];

fn spec() -> StudySpec {
    let text = "title = \"t\"\n[data]\nfeatures = { columns = [\"a\", \"b\", \"c\"] }\nlabel = \"ill\"\npositive = \"1\"\n\
                negative = \"0\"\ngroup = \"who\"\nmissing = \"mean\"\nscaling = \"site\"\n\
                categorical = [{ column = \"sex\", levels = [\"f\", \"m\"] }]\n[model.dense]\nhidden = [4]\nactivation = \"relu\"\n[training]\n\
                optimizer = { adam = { learning_rate = 0.01 } }\nbatch_size = 16\nepochs = 2\n[evaluation]\n\
                validation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n";
    StudyFile::parse(text).unwrap().spec()
}

fn text(rows: usize) -> String {
    let mut stream = Stream::new(key("streaming", &[]));
    let mut text = String::from("note,who,c,a,sex,b,ill\n");
    for n in 0..rows {
        let ill = n % 3 == 0;
        let a = stream.normal() + if ill { 1.0 } else { 0.0 };
        let b = if n % 11 == 5 { String::new() } else { format!("{:.5}", 1e3 * stream.uniform()) };
        let sex = ["f", "m", ""][stream.below(3) as usize];
        let note = if n % 50 == 7 { "\"a, note\nof two lines\"" } else { "" };
        writeln!(text, "{note},P{},{:.6},{a:.4},{sex},{b},{}", n / 2, stream.uniform(), u8::from(ill)).unwrap();
    }
    text
}

struct Site {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Site {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    fn copies(&self) -> PathBuf {
        self.folder.path().join("home/copies")
    }

    fn small(&self) -> Reading {
        Reading { allowance: 20_000, folder: Some(self.copies()) }
    }

    fn read(&self, spec: &StudySpec, how: &Reading) -> Table {
        let read = read_file(&self.path, &spec.data, &KEY, how).unwrap();
        assert_eq!(read.hash.0, *blake3::hash(&fs::read(&self.path).unwrap()).as_bytes());
        read.table.unwrap()
    }

    fn there(&self) -> Vec<PathBuf> {
        let mut all: Vec<_> = fs::read_dir(self.copies()).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn training_from_disk_gives_the_parameters_of_training_from_memory() {
    let site = Site::new(&text(3_000));
    for transform in [Transform::None, Transform::Log1p, Transform::Rank] {
        for (scaling, missing) in
            [(Scaling::Site, Missing::Mean), (Scaling::None, Missing::DropRow), (Scaling::Transductive, Missing::Mean)]
        {
            let mut spec = spec();
            (spec.data.transform, spec.data.scaling, spec.data.missing) = (transform, scaling.clone(), missing);
            if transform == Transform::Log1p {
                spec.data.features.columns = vec!["c".into(), "b".into()];
            }
            let tables = [site.read(&spec, &Reading::default()), site.read(&spec, &site.small())];
            assert_eq!(tables.each_ref().map(Table::on_disk), [false, true]);
            assert_eq!(tables[0].dropped, tables[1].dropped);
            let trained = tables.each_ref().map(|table| {
                let split = Split::of(table, 0.3);
                let prepared = Prepared::new(&spec, table, &split, None).unwrap();
                let base = initial_parameters(&spec).unwrap();
                let (fresh, seeds) = (OptimizerState::default(), Seeds::new(&[1; 32], &[2; 32], 1));
                let Prepared { training, validation, .. } = &prepared;
                let session = Session::new(&spec, &base, training, Some(validation), &fresh, &seeds);
                let trained = session.train(&|_| false).unwrap();
                let loss = loss_micro(&spec, &trained.parameters, validation).unwrap();
                let parameters: Vec<u32> = trained.parameters.iter().map(|p| p.to_bits()).collect();
                let features: Vec<u32> = training.features().unwrap().iter().map(|f| f.to_bits()).collect();
                (parameters, features, loss, training.labels().to_vec(), table.groups.clone(), prepared.preprocessing)
            });
            assert!(trained[0] == trained[1], "{transform:?}, {scaling:?}");
        }
    }
}

#[test]
fn statistics_by_rows_have_the_bits_of_those_by_columns() {
    let (spec, site) = (spec(), Site::new(&text(1_000)));
    for how in [Reading::default(), site.small()] {
        let table = site.read(&spec, &how);
        for rows in [(0..1_000).collect::<Vec<usize>>(), (0..1_000).filter(|n| n % 7 < 3).collect(), vec![5], vec![]] {
            let columns: Vec<Vec<f64>> = (0..3)
                .map(|column| rows.iter().map(|row| table.row(*row).unwrap()[column]).filter(|v| !v.is_nan()).collect())
                .collect();
            for (found, wanted) in [
                (own_statistics(&table, &rows).unwrap(), Statistics::own(&columns)),
                (statistics_of(&table, &rows).unwrap(), Statistics::of_columns(&columns)),
            ] {
                assert_eq!(bits(&found.count), bits(&wanted.count));
                assert_eq!(bits(&found.mean), bits(&wanted.mean));
                assert_eq!(bits(&found.m2), bits(&wanted.m2));
            }
        }
    }
}

#[test]
fn a_working_copy_is_its_owners_alone_used_again_and_made_anew_when_the_file_changes() {
    let (spec, site) = (spec(), Site::new(&text(2_000)));
    let first = site.read(&spec, &site.small());
    let there = site.there();
    assert_eq!(there.len(), 1, "{there:?}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&there[0]), mode(&site.copies())), (0o600, 0o700));
    let made = || fs::metadata(&there[0]).unwrap().modified().unwrap();
    let before = made();
    let again = site.read(&spec, &site.small());
    assert_eq!(made(), before, "it was used again");
    let values = |table: &Table| bits(&table.values().unwrap());
    let wanted = values(&first);
    assert!(values(&again) == wanted);
    assert_eq!((&again.labels, &again.groups, &again.features), (&first.labels, &first.groups, &first.features));
    assert_eq!(again.missing, first.missing);
    // under another key, rows have other hashes: another copy
    read_file(&site.path, &spec.data, &[8; 32], &site.small()).unwrap().table.unwrap();
    assert_eq!(site.there().len(), 2);

    // damaged in its values, in what is known of them, or cut off
    let whole = fs::read(&there[0]).unwrap();
    for (place, length) in [(100, whole.len()), (whole.len() - 200, whole.len()), (0, whole.len() - 1), (0, 10)] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        bytes.truncate(length);
        // another file of the same name: the first one is still read
        fs::remove_file(&there[0]).unwrap();
        fs::write(&there[0], &bytes).unwrap();
        assert!(values(&site.read(&spec, &site.small())) == wanted, "damaged at {place}");
        assert!(fs::read(&there[0]).unwrap() == whole, "made anew");
    }
    // another file; a table that was opened before is read on
    fs::write(&site.path, text(2_000).replace("P1,", "P2,")).unwrap();
    let changed = site.read(&spec, &site.small());
    assert_ne!(changed.groups, first.groups);
    assert!(values(&first) == wanted);
    assert!(fs::read(&there[0]).unwrap() != whole);

    fs::write(site.copies().join("else"), "stays").unwrap();
    fs::write(site.copies().join("working-copy-0.part-1-1"), "left by a kill").unwrap();
    let removed = purge(&site.copies()).unwrap();
    assert_eq!((removed.len(), site.there().len()), (3, 1));
    assert_eq!(values(&changed).len(), 2_000 * 4, "still open");
    assert_eq!(purge(&site.folder.path().join("nowhere")).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn nothing_is_left_of_a_table_that_was_refused_and_none_is_made_without_a_folder() {
    let spec = spec();
    let site = Site::new(&(text(2_000) + ",P,1,1,f,1,2\n"));
    let error = read_file(&site.path, &spec.data, &KEY, &site.small()).unwrap().table.unwrap_err();
    assert_eq!(error.code, FailureCode::SchemaMismatch);
    let lines = fs::read_to_string(&site.path).unwrap().lines().count();
    assert!(error.message.contains(&format!("line {lines}, column \"ill\"")), "{error}");
    assert_eq!(site.there(), Vec::<PathBuf>::new());
    let none = Reading { folder: None, ..site.small() };
    let read = read_file(&site.path, &spec.data, &KEY, &none).unwrap();
    // it is hashed to its end all the same
    assert_eq!(read.hash.0, *blake3::hash(&fs::read(&site.path).unwrap()).as_bytes());
    let error = read.table.unwrap_err();
    assert_eq!(error.code, FailureCode::OutOfMemory);
    assert!(error.message.contains("20000 bytes of memory") && error.message.contains("folder"), "{error}");
}
