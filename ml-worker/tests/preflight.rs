//! What a site's people learn of their file before a study; and that no message has what stands in a cell.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::data::{preflight, read_file, Prepared, Reading, Report, Split};
use consilium_study::{BadRows, Features, Missing, Others, StudyFile, StudySpec};
use std::{fmt::Write, fs};

const DATA: &str =
    "features = { columns = [\"a\", \"b\", \"c\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
                    group = \"who\"\ncategorical = [{ column = \"sex\", levels = [\"f\", \"m\"] }]";

fn spec(data: &str) -> StudySpec {
    let text = format!(
        "title = \"t\"\n[data]\n{data}\n[model.logistic]\n[training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\n\
         batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.3\nmin_rows = 20\n[rules]\nrounds = 1\n\
         training_seconds = 1\n"
    );
    StudyFile::parse(&text).unwrap().spec()
}

/// A good table of so many rows, each with what `change` makes of its cells.
fn table(rows: usize, change: impl Fn(usize, &mut [String])) -> String {
    let mut text = String::from("who,a,extra,b,c,sex,ill\n");
    for n in 0..rows {
        let ill = if n % 3 == 0 { "yes" } else { "no" };
        let mut cells = [
            format!("P{n}"),
            format!("{}", n % 17),
            "e".into(),
            format!("{}", 2 * n + 1),
            format!("{}.5", n % 5),
            ["f", "m"][n % 2].into(),
            ill.into(),
        ];
        change(n, &mut cells);
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    text
}

fn look(spec: &StudySpec, text: impl AsRef<[u8]>, how: &Reading) -> (Report, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, text).unwrap();
    let how = Reading { folder: how.folder.as_ref().map(|_| folder.path().join("copies")), ..how.clone() };
    let report = preflight(&path, spec, &[1; 32], &how);
    if let Some(copies) = how.folder.filter(|folder| folder.exists()) {
        assert_eq!(fs::read_dir(copies).unwrap().count(), 0, "no working copy is left");
    }
    let words = report.to_string();
    assert!(serde_json::to_value(&report).unwrap()["problems"].is_array());
    (report, words)
}

fn default(spec: &StudySpec, text: impl AsRef<[u8]>) -> (Report, String) {
    look(spec, text, &Reading::default())
}

#[test]
fn a_good_file_is_counted_through() {
    let mut spec = spec(DATA);
    spec.data.missing = Missing::Mean;
    let text = table(500, |n, cells| {
        cells[1] = if n == 77 { "9e9".into() } else { cells[1].clone() };
        cells[3] = if n % 200 == 3 { "7".into() } else { "1".into() };
        cells[4] = if n % 5 == 0 { String::new() } else { "4".into() };
        cells[5] = if n % 50 == 0 { "NA".into() } else { cells[5].clone() };
    });
    let copies = tempfile::tempdir().unwrap();
    let small = Reading { allowance: 4_000, folder: Some(copies.path().to_owned()) };
    for how in [Reading::default(), small] {
        let (report, words) = look(&spec, &text, &how);
        assert!(report.usable, "{words}");
        assert_eq!((report.columns, report.rows, report.groups, report.skipped), (7, 500, 500, 0));
        assert_eq!(report.extra, (1, vec!["extra".to_owned()]));
        assert_eq!((report.all.rows, &report.all.classes), (500, &vec![333, 167]));
        assert_eq!((report.training.rows + report.validation.rows, report.validation.rows), (500, 150));
        assert_eq!(report.min_rows, (20, true));
        let missing: Vec<_> = report.missing.iter().map(|c| (c.column.as_str(), c.rows)).collect();
        assert_eq!(missing, [("c", 100), ("sex", 10)]);
        assert_eq!(report.look.constant, ["c"]);
        let counts = |counts: &[consilium_ml_worker::data::Count]| -> Vec<(String, usize)> {
            counts.iter().map(|c| (c.column.clone(), c.rows)).collect()
        };
        assert_eq!(counts(&report.look.same), [("b".to_owned(), 497)]);
        assert_eq!(counts(&report.look.far), [("a".to_owned(), 1)]);
        assert!(words.contains("the study can train on it") && words.contains("suspicious: column \"a\": 1 rows"));
        // the same split as the worker's
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("t.csv"), &text).unwrap();
        let how = Reading { folder: Some(folder.path().join("copies")), ..how };
        let read = read_file(&folder.path().join("t.csv"), &spec.data, &[1; 32], &how).unwrap();
        let table = read.table.unwrap();
        let (training, _) = Split::of(&table, 0.3).rows(&table);
        assert_eq!(report.training.classes, table.classes(training));
    }
    spec.data.missing = Missing::DropRow;
    let (report, _) = default(&spec, &text);
    assert_eq!((report.rows, report.dropped, report.all.rows), (500, 100, 400));
    let (report, words) = default(&spec, table(30, |_, _| {}));
    assert!(report.usable && !report.min_rows.1 && words.contains("note: 9 validation rows are fewer than the 20"));
}

#[test]
fn all_problems_are_listed_at_once_each_with_what_to_do() {
    let mut spec = spec(DATA);
    let text = table(200, |n, cells| match n {
        10..40 => cells[1] = "many".into(),
        50 => cells[3] = String::new(),
        60 | 61 => cells[5] = "x".into(),
        70 => cells[6] = "perhaps".into(),
        80 => cells[0] = String::new(),
        90 => cells[2] = "1,2".into(),
        // two problems in one row
        100 => (cells[1], cells[4]) = ("1e999".into(), "?".into()),
        _ => {}
    });
    let (report, words) = default(&spec, &text);
    assert!(!report.usable);
    assert_eq!((report.rows, report.skipped, report.all.rows), (200, 37, 163));
    for wanted in [
        "column \"a\": 30 rows, the first in line 12: is not a number; write",
        "column \"sex\": 2 rows, the first in line 62: is none of the levels",
        "column \"b\": 1 row, the first in line 52: is empty",
        "column \"ill\": 1 row, the first in line 72: is neither",
        "column \"who\": 1 row, the first in line 82: is empty",
        ": 1 row, the first in line 92: has 8 cells, the header has 7",
        "column \"a\": 1 row, the first in line 102: is not a finite number",
        "column \"c\": 1 row, the first in line 102: is not a number",
    ] {
        assert!(words.contains(wanted), "{wanted}\n{words}");
    }
    assert_eq!(report.problems.len(), 8, "{words}");
    spec.data.bad_rows = BadRows::Skip { at_most: 0.3 };
    let (report, _) = default(&spec, &text);
    assert!(report.usable && report.problems.len() == 8 && report.skipped == 37);
    spec.data.bad_rows = BadRows::Skip { at_most: 0.1 };
    let (report, words) = default(&spec, &text);
    assert!(!report.usable && words.contains("37 of 200 rows cannot be read, more than the share of 0.1"), "{words}");

    // columns that are not there, beside what is wrong with those that are
    spec.data.bad_rows = BadRows::Refuse;
    let less = text.replacen("who,a,extra,b,c,sex,ill", "whom,a,extra,bb,c,sex,ill", 1);
    let (report, words) = default(&spec, less);
    for wanted in ["no column \"b\"", "no column \"who\"", "column \"a\": 30 rows", "column \"c\": 1 row"] {
        assert!(words.contains(wanted), "{wanted}\n{words}");
    }
    assert_eq!(report.extra.0, 3);
    let (report, words) = default(&spec, "a,b,c,d\n1,2,3,4\n");
    assert!(words.contains("no column \"ill\"") && words.contains("no column \"sex\"") && report.rows == 0, "{words}");
    let (report, words) = default(&spec, table(60, |_, cells| cells[6] = "no".into()));
    assert!(!report.usable && words.contains("of the class \"no\""), "{words}");
    let mut many = spec.clone();
    many.data.features.columns = (0..80).map(|n| format!("gene{n}")).collect();
    let (report, words) = default(&many, &text);
    assert_eq!(report.problems.len(), 50);
    assert!(report.more >= 30 && words.contains("more\n"), "{words}");
    assert!(!preflight("/nowhere/t.csv".as_ref(), &spec, &[0; 32], &Reading::default()).usable);
}

#[test]
fn no_message_has_what_stands_in_a_cell() {
    const MARK: &str = "XSECRETX";
    let mut messages = Vec::new();
    for (missing, bad_rows) in [
        (Missing::Refuse, BadRows::Refuse),
        (Missing::Mean, BadRows::Skip { at_most: 0.01 }),
        (Missing::DropRow, BadRows::Skip { at_most: 0.5 }),
    ] {
        let mut spec = spec(DATA);
        (spec.data.missing, spec.data.bad_rows) = (missing, bad_rows);
        let mut texts: Vec<String> = Vec::new();
        for column in 0..7 {
            for cell in [MARK.to_owned(), format!("{MARK},1"), format!("\"{MARK}"), format!("{MARK}\n{MARK}")] {
                texts.push(table(60, |n, cells| {
                    if n % 20 == 11 {
                        cells[column].clone_from(&cell);
                    }
                }));
            }
        }
        texts.push(table(60, |n, cells| cells[6] = if n == 3 { MARK.into() } else { "no".into() }));
        texts.push(table(60, |n, cells| (cells[0], cells[1]) = (MARK.into(), format!("{n}{MARK}"))));
        texts.push(table(60, |_, cells| cells[1] = MARK.into()).replace(',', ";"));
        texts.push(table(1, |_, cells| cells[0] = MARK.into()));
        texts.push(table(60, |n, cells| (cells[0], cells[1]) = (format!("{MARK}{n}"), "1e39".into())));
        // no header at all
        texts.push(format!("{MARK},1,e,2,3,f,yes\n").repeat(40));
        for text in texts {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.csv");
            fs::write(&path, &text).unwrap();
            for allowance in [1 << 10, 1 << 30] {
                let how = Reading { allowance, folder: Some(folder.path().join("copies")) };
                match read_file(&path, &spec.data, &[0; 32], &how).unwrap().table {
                    Err(error) => messages.push(error.to_string()),
                    Ok(table) => {
                        let split = Split::of(&table, 0.3);
                        match Prepared::new(&spec, &table, &split, None) {
                            Err(error) => messages.push(error.to_string()),
                            Ok(prepared) => {
                                messages.push(serde_json::to_string(&prepared.preprocessing).unwrap());
                                messages.push(serde_json::to_string(&split).unwrap());
                            }
                        }
                    }
                }
                let report = preflight(&path, &spec, &[0; 32], &how);
                messages.push(report.to_string());
                messages.push(serde_json::to_string(&report).unwrap());
            }
        }
    }
    let mut others = spec(DATA);
    others.data.features = Features { columns: Vec::new(), others: Some(Others::of(&["a", "b"], Vec::new())) };
    let (_, words) = default(&others, format!("{MARK},{MARK},1\n").repeat(40));
    messages.push(words);
    assert!(messages.len() > 300);
    assert!(messages.iter().filter(|m| m.contains("line ")).count() > 100);
    for message in messages {
        assert!(!message.contains("SECRET"), "{message}");
    }
}

#[test]
fn what_begins_as_a_workbook_and_is_none_is_called_so_and_what_could_not_be_read_is_not_counted() {
    let spec = spec(DATA);
    for (start, what) in [(&b"PK\x03\x04\x14\x00"[..], "a zip archive"), (b"\xd0\xcf\x11\xe0\xa1\xb1", "a password")] {
        let (report, words) = default(&spec, start);
        assert!(!report.usable && words.contains(what) && words.contains("save it there as CSV"), "{words}");
        assert!(!words.contains("columns:") && !words.contains("rows: 0") && words.lines().count() == 2, "{words}");
    }
    // a name of a column in another encoding
    let (_, words) = default(&spec, b"who,a,extra,b,c,sex,\xe9\nP1,1,e,1,1,f,yes\n");
    assert!(words.contains("not UTF-8") && !words.contains("rows: 0"), "{words}");
}
