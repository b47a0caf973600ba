//! What a site's ledger keeps on its disk.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::site::{Home, OwnRows, Sites, StudyKey};
use consilium_primitives::Hash;
use consilium_privacy::{epsilon_micro, seed_hash, spend, sum, Ask, Mechanism, Refused, Spend, Unit};
use made::{read, spec};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    sync::LazyLock,
};

const STUDY: StudyKey = StudyKey { agreement: Hash::repeat_byte(7), study: 3 };

/// A round of eight steps, a quarter of the rows each, σ 3.
static COST: LazyLock<Spend> = LazyLock::new(|| spend(&Mechanism { rate_ppm: 250_000, sigma_1024: 3_072 }, 8));

fn ask(duty: Hash, seed: &[u8; 32]) -> Ask {
    Ask {
        time: 1_700_000_000,
        agreement: STUDY.agreement.0,
        study: STUDY.study,
        round: 1,
        duty: duty.0,
        unit: Unit::Record,
        delta_exp: 5,
        spend: *COST,
        seed: seed_hash(seed),
    }
}

#[test]
fn a_reservation_is_on_the_disk_for_this_user_alone_and_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    assert!(home.datasets().unwrap().is_empty());
    let duty = Hash::repeat_byte(1);
    let seed = home.seed(&STUDY, 1, &duty).unwrap();
    home.reserve("oncology-2026", &ask(duty, &seed), 8_000_000).unwrap().unwrap();
    let file = dir.path().join("ledger/oncology-2026");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // a worker that was killed has the same seed, and it costs nothing again
    let again = Home::open(dir.path()).unwrap();
    assert_eq!(again.seed(&STUDY, 1, &duty).unwrap(), seed);
    let ledger = again.reserve("oncology-2026", &ask(duty, &seed), 8_000_000).unwrap().unwrap();
    assert_eq!(ledger.entries().len(), 1);
    // another seed does
    let ledger = again.reserve("oncology-2026", &ask(duty, &[9; 32]), 8_000_000).unwrap().unwrap();
    assert_eq!(ledger.entries().len(), 2);
    assert_eq!(again.datasets().unwrap(), ["oncology-2026"]);
    // a line that was cut off makes room for the next one
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"time\":1700").unwrap();
    let ledger = again.reserve("oncology-2026", &ask(Hash::repeat_byte(2), &seed), 8_000_000).unwrap().unwrap();
    assert_eq!(ledger.entries().len(), 3);
    assert_eq!(again.ledger("oncology-2026").unwrap(), ledger);
    // over: nothing is written
    let before = fs::read(&file).unwrap();
    let over = again.reserve("oncology-2026", &ask(Hash::repeat_byte(3), &seed), 2_000_000).unwrap();
    assert!(matches!(over, Err(Refused::Over { .. })), "{over:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
    // one changed digit stops it
    let changed = String::from_utf8(before).unwrap().replacen("\"round\":1", "\"round\":2", 1);
    fs::write(&file, changed).unwrap();
    let error = format!("{:#}", again.ledger("oncology-2026").unwrap_err());
    assert!(error.contains("oncology-2026: line 2 does not follow"), "{error}");
}

#[test]
fn seeds_are_for_this_user_alone_one_for_each_duty_and_overwritten_later() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let seeds = [1, 2, 3].map(|round: u8| home.seed(&STUDY, round.into(), &Hash::repeat_byte(round)).unwrap());
    assert_eq!(BTreeSet::from(seeds).len(), 3);
    let kept = || {
        let mut names: Vec<String> = fs::read_dir(home.study_folder(&STUDY))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("seed-"))
            .map(|name| name[..6].to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(kept(), ["seed-1", "seed-2", "seed-3"]);
    let entry = fs::read_dir(home.study_folder(&STUDY)).unwrap().flatten().find(|e| e.path().is_file()).unwrap();
    assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    home.wipe_seeds(&STUDY, 3).unwrap();
    assert_eq!(kept(), ["seed-3"]);
    assert_eq!(home.seed(&STUDY, 3, &Hash::repeat_byte(3)).unwrap(), seeds[2]);
    assert_ne!(home.seed(&STUDY, 1, &Hash::repeat_byte(1)).unwrap(), seeds[0], "it is gone");
}

#[test]
fn what_noise_is_measured_by_stays_what_it_was_at_the_first_training() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    assert_eq!(home.units(&STUDY.agreement, 318).unwrap(), 318);
    assert_eq!(home.units(&STUDY.agreement, 320).unwrap(), 318);
}

const TWO: &str = "features = { columns = [\"a\", \"b\"] }\nlabel = \"ill\"\npositive = \"1\"\nnegative = \"0\"";

/// A table of rows from here to there; `flags`: of yes and no alone.
fn rows(from: usize, to: usize, flags: bool) -> String {
    let mut text = String::from("a,b,ill\n");
    for n in from..to {
        let (a, b) = if flags { (n % 2, n / 2 % 2) } else { (n * 17, n * n) };
        writeln!(text, "{a},{b}.5,{}", n % 3 % 2).unwrap();
    }
    text
}

fn own(file: u8, text: &str) -> OwnRows {
    let table = read(&spec(TWO), text).unwrap();
    OwnRows { file: Hash::repeat_byte(file), contents: table.contents(&[5; 32]).unwrap() }
}

#[test]
fn the_same_rows_under_another_name_are_refused_with_how_many_and_whose() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    assert!(!home.rows_are_named("first", &Hash::repeat_byte(1)).unwrap());
    assert_eq!(home.name_rows("first", &own(1, &rows(0, 100, false))).unwrap(), None);
    assert!(home.rows_are_named("first", &Hash::repeat_byte(1)).unwrap());
    // thirty of its rows are new, and seventy are not, in whatever order
    let (header, lines) = rows(30, 130, false).split_once('\n').map(|(h, l)| (h.to_owned(), l.to_owned())).unwrap();
    let turned: String = lines.lines().rev().map(|line| format!("{line}\n")).collect();
    let overlap = own(2, &format!("{header}\n{turned}"));
    assert_eq!(home.name_rows("second", &overlap).unwrap(), Some(("first".into(), 70)));
    assert!(!home.rows_are_named("second", &Hash::repeat_byte(2)).unwrap(), "nothing was noted");
    // under its own name it is the same data set, grown
    assert_eq!(home.name_rows("first", &overlap).unwrap(), None);
    assert_eq!(home.name_rows("second", &own(3, &rows(200, 300, false))).unwrap(), None);
    // rows of a few possible values are equal without being the same people
    assert_eq!(home.name_rows("third", &own(4, &rows(0, 100, true))).unwrap(), None);
    assert_eq!(home.name_rows("fourth", &own(5, &rows(0, 100, true))).unwrap(), None);
    assert!(home.datasets().unwrap().is_empty(), "nothing was spent");
}

#[test]
fn sites_toml_names_the_data_set_and_what_it_may_cost() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sites.toml");
    let with = |more: &str| {
        fs::write(&file, format!("[[study]]\nagreement = \"{}\"\ndata = \"t.csv\"\n{more}", "ab".repeat(32))).unwrap();
        Sites::read(&file)
    };
    let sites = with("dataset = \"oncology-2026\"\nepsilon = 8.0\n").unwrap();
    assert_eq!(
        (sites.study[0].dataset.as_deref(), sites.study[0].epsilon_micro),
        (Some("oncology-2026"), Some(8_000_000))
    );
    assert_eq!(with("epsilon = 2\n").unwrap().study[0].epsilon_micro, Some(2_000_000));
    assert_eq!(with("").unwrap().study[0].epsilon_micro, None);
    assert!(with("dataset = \"../x\"\n").unwrap_err().to_string().contains("no name of a data set"));
    assert!(with("epsilon = 0.0\n").unwrap_err().to_string().contains("1 to 8 are usual"));
}

/// Numbers by a linear congruence, good enough to shuffle events.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Studies, re-orgs that ask for a duty again, restarts, kills between a seed and its line or in the middle of a line: on the disk there
/// is at no moment less than what left this site, nor more than the limit.
#[test]
fn whatever_happens_the_disk_has_what_left_the_site() {
    let dir = tempfile::tempdir().unwrap();
    for sequence in 0..20u64 {
        let mut draws = Draws(sequence);
        let dataset = format!("set-{sequence}");
        let limit = 1_500_000 + draws.below(2_000_000) as u32;
        let file = dir.path().join("ledger").join(&dataset);
        let mut left: BTreeMap<(u64, [u8; 32]), ()> = BTreeMap::new();
        for _ in 0..15 {
            let home = Home::open(dir.path()).unwrap();
            let number = draws.below(6);
            let duty = Hash::from_low_u64_be(sequence * 100 + number);
            let seed = home.seed(&STUDY, 1, &duty).unwrap();
            match draws.below(6) {
                0 => continue, // killed before its line
                1 if file.exists() => {
                    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"ti").unwrap();
                    continue; // killed within it
                }
                2 => home.wipe_seeds(&STUDY, 2).unwrap(), // lost: the next one costs again
                _ => {}
            }
            let seed = if file.exists() { home.seed(&STUDY, 1, &duty).unwrap() } else { seed };
            if home.reserve(&dataset, &ask(duty, &seed), limit).unwrap().is_ok() {
                left.insert((number, seed), ());
            }
            let ledger = Home::open(dir.path()).unwrap().ledger(&dataset).unwrap();
            let out = left.iter().fold([0; 16], |all, _| sum(&all, &COST));
            assert!(ledger.spent().iter().zip(out).all(|(spent, out)| *spent >= out));
            assert!(ledger.epsilon_micro() <= u64::from(limit));
            assert!(epsilon_micro(&out, 5) <= u64::from(limit));
        }
    }
}
