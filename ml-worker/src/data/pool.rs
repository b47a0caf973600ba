//! One table of all sites' rows, shared out: who is held out, and which site has whom, drawn from a seed.

use crate::{
    data::{
        error::DataError,
        read_table,
        table::{
            cell::Mode,
            header,
            source::{Kind, Reading, Source},
        },
        text::pieces::each_record,
    },
    random::{key, Stream},
};
use consilium_study::DataSpec;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    ops::{ControlFlow, Range},
    path::Path,
};

/// Rows of one table, shared out.
pub struct Partition {
    /// Held out of training, statistics, stopping and choosing.
    pub held_out: Vec<usize>,
    /// Each site's.
    pub sites: Vec<Vec<usize>>,
}

/// What a seed draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Patients that are held out of everything; rows, where the study names no group.
    pub held_out: usize,
    /// Whether patients are dealt to the sites anew, so that each site has as many of each class as before; otherwise each
    /// stays at its site.
    pub deal: bool,
}

/// A patient's rows, or one row where the study names no group.
#[derive(Clone, Debug)]
struct Patient {
    site: usize,
    class: usize,
    rows: Vec<usize>,
}

/// A table of text with a column that names each row's site.
#[derive(Clone, Debug)]
pub struct Pool {
    text: Vec<u8>,
    header: Range<usize>,
    rows: Vec<Range<usize>>,
    patients: Vec<Patient>,
    sites: Vec<String>,
}

impl Pool {
    /// Reads a table that a study can read, with a column that names the site. A patient's class is that of the patient's
    /// first row.
    ///
    /// # Errors
    /// What does not fit the study, by file, line and column; no such column, or one that the study trains on; a row
    /// without a site; a patient at two sites; fewer than two sites; Parquet, and tables of pictures.
    pub fn read(path: &Path, spec: &DataSpec, site: &str) -> Result<Self, DataError> {
        if spec.pictures.is_some() {
            let problem = "names pictures; rows of all sites in one table are for columns of numbers";
            return Err(DataError::schema(problem).of(path));
        }
        read_table(path, spec, &[0; 32])?;
        Self::cut(path, spec, site.trim()).map_err(|error| error.of(path))
    }

    fn cut(path: &Path, spec: &DataSpec, site: &str) -> Result<Self, DataError> {
        let text = text_of(path)?;
        let delimiter = header::delimiter(&text, &|names| header::fits(names, spec, Mode::All));
        let read = header::read_header(&text, delimiter).map_err(|_| DataError::schema("cannot be read as a table"))?;
        let names = header::names(&read).map_err(DataError::schema)?;
        let find = |name: &str| names.iter().position(|n| n == name.trim());
        let place =
            find(site).ok_or_else(|| DataError::schema(format!("has no column {site:?} that names the site")))?;
        let labels: Vec<usize> = spec.label_columns().into_iter().filter_map(find).collect();
        let group = spec.group.as_deref().and_then(find);
        let trained = spec.features.columns.iter().chain(spec.categorical.iter().map(|c| &c.column));
        if labels.contains(&place) || group == Some(place) || trained.into_iter().any(|name| name.trim() == site) {
            return Err(DataError::schema(format!("column {site:?} names the site, and the study reads it otherwise")));
        }
        let mut starts = Vec::new();
        let mut people: Vec<Patient> = Vec::new();
        let (mut sites, mut classes) = (BTreeMap::<String, usize>::new(), HashMap::<Vec<Vec<u8>>, usize>::new());
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut problem = None;
        each_record(&text, delimiter, |start, cells| {
            starts.push(start);
            let Some(row) = starts.len().checked_sub(2) else { return ControlFlow::Continue(()) };
            let cell = |place: usize| if place < cells.len() { cells.cell(place).trim_ascii() } else { &b""[..] };
            let name = String::from_utf8_lossy(cell(place)).into_owned();
            if name.is_empty() {
                problem = Some(format!("row {} names no site in column {site:?}", row + 1));
                return ControlFlow::Break(());
            }
            let next = sites.len();
            let at = *sites.entry(name).or_insert(next);
            let next = classes.len();
            let class = labels.iter().map(|place| cell(*place).to_vec()).collect();
            let class = *classes.entry(class).or_insert(next);
            let patient = match group {
                Some(group) => *known.entry(cell(group).to_vec()).or_insert(people.len()),
                None => people.len(),
            };
            match people.get_mut(patient) {
                Some(there) if there.site != at => {
                    problem = Some(format!("row {}: a patient's rows stand at two sites", row + 1));
                    return ControlFlow::Break(());
                }
                Some(there) => there.rows.push(row),
                None => people.push(Patient { site: at, class, rows: vec![row] }),
            }
            ControlFlow::Continue(())
        });
        if let Some(problem) = problem {
            return Err(DataError::schema(problem));
        }
        if sites.len() < 2 {
            return Err(DataError::schema(format!(
                "column {site:?} names {} site; at least two are needed",
                sites.len()
            )));
        }
        // sites in the order of their names, classes in that of their texts: not by which row comes first
        let order: HashMap<usize, usize> = sites.values().copied().zip(0..).collect();
        let mut texts: Vec<_> = classes.into_iter().collect();
        texts.sort();
        let class: HashMap<usize, usize> = texts.into_iter().map(|(_, class)| class).zip(0..).collect();
        for patient in &mut people {
            (patient.site, patient.class) = (order[&patient.site], class[&patient.class]);
        }
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let mut ranges: Vec<Range<usize>> = starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
        let header = ranges.remove(0);
        Ok(Self { header, rows: ranges, patients: people, sites: sites.into_keys().collect(), text })
    }

    /// Names of the sites, in the order of their bytes.
    pub fn sites(&self) -> &[String] {
        &self.sites
    }

    /// Patients; rows, where the study names no group.
    pub fn patients(&self) -> usize {
        self.patients.len()
    }

    /// Whose rows are held out, and which site has which others: of each class its share is held out, and of each class
    /// that of each site, all to whole patients by largest remainders; who, is drawn from the seed.
    pub fn partition(&self, seed: u64, draw: Draw) -> Partition {
        let mut stream = Stream::new(key("consilium/seeds/partition/1", &[&seed.to_le_bytes()]));
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (n, patient) in self.patients.iter().enumerate() {
            classes.entry(patient.class).or_default().push(n);
        }
        let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
        let mut partition = Partition { held_out: Vec::new(), sites: vec![Vec::new(); self.sites.len()] };
        for (of_class, held_out) in classes.values().zip(shares(&sizes, draw.held_out)) {
            let mut whose: Vec<usize> = of_class.iter().map(|n| self.patients[*n].site).collect();
            if draw.deal {
                stream.shuffle(&mut whose);
            }
            let mut of_site = vec![Vec::new(); self.sites.len()];
            for (patient, site) in of_class.iter().zip(whose) {
                of_site[site].push(*patient);
            }
            let sizes: Vec<usize> = of_site.iter().map(Vec::len).collect();
            for ((site, mut there), held_out) in of_site.into_iter().enumerate().zip(shares(&sizes, held_out)) {
                stream.shuffle(&mut there);
                for (n, patient) in there.into_iter().enumerate() {
                    let part = if n < held_out { &mut partition.held_out } else { &mut partition.sites[site] };
                    part.extend(&self.patients[patient].rows);
                }
            }
        }
        // the order of a file carries no class
        partition.sites.iter_mut().chain([&mut partition.held_out]).for_each(|rows| rows.sort_unstable());
        partition
    }

    /// Writes a table per site, by its number (`0.csv`), and `held-out.csv`: the rows as they stand.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, partition: &Partition, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let table = |name: &str, rows: &[usize]| {
            let mut file = io::BufWriter::new(fs::File::create(folder.join(name))?);
            for range in std::iter::once(&self.header).chain(rows.iter().map(|row| &self.rows[*row])) {
                let line = &self.text[range.clone()];
                file.write_all(line)?;
                // the last line of a file may lack its end
                if !line.ends_with(b"\n") && !line.ends_with(b"\r") {
                    file.write_all(b"\n")?;
                }
            }
            file.flush()
        };
        for (n, rows) in partition.sites.iter().enumerate() {
            table(&format!("{n}.csv"), rows)?;
        }
        table("held-out.csv", &partition.held_out)
    }
}

/// So many of some groups, of each its share: rounded down, and the rest by the largest remainders, the first of those that
/// are equal.
fn shares(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let all = sizes.iter().sum::<usize>().max(1);
    let wanted = wanted.min(all);
    let mut counts: Vec<usize> = sizes.iter().map(|size| size * wanted / all).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(sizes[*n] * wanted % all));
    let rest = wanted.saturating_sub(counts.iter().sum());
    order.iter().take(rest).for_each(|n| counts[*n] += 1);
    counts
}

/// All of a file's text, unpacked, without a byte order mark.
fn text_of(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut source = Source::open(path, &Reading::default())?;
    if source.kind == Kind::Parquet {
        return Err(DataError::schema("is Parquet; rows of all sites in one table are read from text: save it as CSV"));
    }
    let (mut text, mut block) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let filled = source.fill(&mut block)?;
        text.extend_from_slice(&block[..filled]);
        if filled < block.len() {
            break;
        }
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    fn spec(group: &str) -> DataSpec {
        let text = include_str!("../../../examples/own-csv/study.toml");
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
        refused(&text.replacen("a,27,7,90,p7,", ",27,7,90,p7,", 1), "row 8 names no site in column \"hospital\"");
        refused(&text.replace("b,", "a,").replace("\"c\",", "a,"), "names 1 site; at least two are needed");
        refused(&text.replacen("a,27,7,90,p7,no", "a,27,seven,90,p7,no", 1), "\"crp\"");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &text).unwrap();
        let error = Pool::read(file.path(), &spec(GROUP), "patient").unwrap_err().to_string();
        assert!(error.contains("the study reads it otherwise"), "{error}");
    }
}
