//! Who is in which part, and what a part's file holds.
#![allow(clippy::unwrap_used)]
use super::*;
use consilium_study::StudyFile;

fn spec(group: &str) -> DataSpec {
    let text = include_str!("../../../../examples/own-csv/study.toml");
    assert!(text.contains("group = \"patient\""));
    StudyFile::parse(&text.replace("group = \"patient\"", group)).unwrap().data
}

/// 20 patients at a, 12 at b, 8 at c, every fourth admitted, with one row or, where they are grouped, two each.
fn table(twice: bool) -> String {
    let mut text = "hospital,age,crp,spo2,patient,admitted\n".to_owned();
    for visit in 0..1 + u32::from(twice) {
        for n in 0..40 {
            let site = if n < 20 {
                "a"
            } else if n < 32 {
                "b"
            } else {
                "\"c\""
            };
            let label = if n % 4 == 0 { "yes" } else { "no" };
            text += &format!("{site},{},{},9{visit},p{n},{label}\n", 20 + n, n + visit);
        }
    }
    text
}

fn pool(text: &str, group: &str) -> Result<Pool, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    Pool::read(file.path(), &spec(group), "hospital").map_err(|e| e.to_string())
}

const GROUP: &str = "group = \"patient\"";

#[test]
fn shares_are_whole_and_add_up() {
    assert_eq!(shares(&[37, 42], 24), [11, 13]);
    assert_eq!(shares(&[10, 9, 9, 9], 11), [3, 3, 3, 2]);
    assert_eq!(shares(&[3, 0], 5), [3, 0]);
    assert_eq!(shares(&[], 5), [0; 0]);
}

#[test]
fn every_patient_is_in_one_part_and_each_class_has_its_share() {
    let text = table(true);
    let pool = pool(&text, GROUP).unwrap();
    assert_eq!((pool.sites(), pool.patients()), (&["a", "b", "c"].map(str::to_owned)[..], 40));
    for (seed, deal) in [(1, false), (1, true), (2, true)] {
        let p = pool.partition(seed, Draw { held_out: 12, deal });
        let positive = |rows: &[usize]| rows.iter().filter(|row| **row % 4 == 0).count();
        // two rows each; 3 of 10 admitted
        assert_eq!((p.held_out.len(), positive(&p.held_out)), (24, 6));
        let sizes: Vec<_> = p.sites.iter().map(|rows| (rows.len(), positive(rows))).collect();
        // of 5, 3 and 2 admitted the sites give one each; of the 15, 9 and 6 others 4, 3 and 2
        assert_eq!(sizes, [(30, 8), (16, 4), (10, 2)]);
        let mut all = [&p.sites[..], std::slice::from_ref(&p.held_out)].concat().concat();
        all.sort_unstable();
        assert_eq!(all, (0..80).collect::<Vec<_>>());
        for part in p.sites.iter().chain([&p.held_out]) {
            assert!(part.iter().all(|row| part.contains(&((row + 40) % 80))), "a patient's rows are never parted");
        }
        let own = |rows: &[usize], of: std::ops::Range<usize>| rows.iter().all(|row| of.contains(&(row % 40)));
        assert_eq!(own(&p.sites[0], 0..20) && own(&p.sites[1], 20..32) && own(&p.sites[2], 32..40), !deal);
    }
    let held_out = |seed| pool.partition(seed, Draw { held_out: 12, deal: false }).held_out;
    assert_ne!(held_out(1), held_out(2));
    assert_eq!(held_out(1), held_out(1));
}

#[test]
fn rows_are_written_as_they_stand() {
    let text = table(false);
    let pool = pool(text.trim_end(), "").unwrap();
    let folder = tempfile::tempdir().unwrap();
    pool.write(&pool.partition(3, Draw { held_out: 8, deal: true }), folder.path()).unwrap();
    let (mut lines, mut header) = (Vec::new(), Vec::new());
    for name in ["0.csv", "1.csv", "2.csv", "held-out.csv"] {
        let part = fs::read_to_string(folder.path().join(name)).unwrap();
        let mut of = part.lines().map(str::to_owned);
        header.extend(of.next());
        lines.extend(of);
    }
    let mut wanted: Vec<&str> = text.lines().collect();
    assert!(header.iter().all(|line| line == wanted[0]));
    wanted.remove(0);
    wanted.sort_unstable();
    lines.sort_unstable();
    assert_eq!(lines, wanted);
}

#[test]
fn lines_without_anything_are_no_rows() {
    let text = table(false);
    let (header, rows) = text.split_once('\n').unwrap();
    let gaps = format!("{header}\n\n{}\n,,,,,\n\n", rows.replacen('\n', "\n , ,,,,\n\n", 3));
    let (pool, with_gaps) = (pool(&text, GROUP).unwrap(), pool(&gaps, GROUP).unwrap());
    assert_eq!(with_gaps.patients(), 40);
    let draw = Draw { held_out: 8, deal: true };
    let written = |pool: &Pool| {
        let folder = tempfile::tempdir().unwrap();
        pool.write(&pool.partition(3, draw), folder.path()).unwrap();
        ["0.csv", "1.csv", "2.csv", "held-out.csv"].map(|name| {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        })
    };
    assert_eq!(written(&pool), written(&with_gaps));
}

#[test]
fn what_cannot_be_shared_out_is_named() {
    let text = table(true);
    let refused = |text: &str, words: &str| {
        let error = pool(text, GROUP).unwrap_err();
        // the file's own name is drawn
        let said = error.split_once(": ").map_or(error.as_str(), |(_, said)| said);
        assert!(error.contains(words) && !said.contains("p7"), "{error}");
    };
    refused(&text.replace("hospital", "clinic"), "has no column \"hospital\" that names the site");
    refused(&text.replacen("a,27,7,90,p7,", "b,27,7,90,p7,", 1), "row 48: a patient's rows stand at two sites");
    // one patient, however programs write the number
    let numbered = text.replace(",p", ",10").replacen(",10atient", ",patient", 1).replacen(
        "a,27,7,90,107,",
        "b,27,7,90,107.0,",
        1,
    );
    refused(&numbered, "row 48: a patient's rows stand at two sites");
    refused(&text.replacen("a,27,7,90,p7,", ",27,7,90,p7,", 1), "row 8 names no site in column \"hospital\"");
    refused(&text.replace("b,", "a,").replace("\"c\",", "a,"), "names 1 site; at least two are needed");
    refused(&text.replacen("a,27,7,90,p7,no", "a,27,seven,90,p7,no", 1), "\"crp\"");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &text).unwrap();
    let error = Pool::read(file.path(), &spec(GROUP), "patient").unwrap_err().to_string();
    assert!(error.contains("the study reads it otherwise"), "{error}");
}
