//! One table of all sites' rows, shared out: who is held out, and which site has whom, drawn from a seed.

use crate::{
    data::{
        error::DataError,
        read_table,
        table::{
            cell::Mode,
            header, identity,
            record::Record,
            source::{Kind, Reading, Source},
        },
        text::pieces::each_record,
    },
    random::{key, Stream},
};
use consilium_study::{DataSpec, Layout, Orientation, Task};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
        if spec.orientation == Orientation::Columns {
            let problem =
                "has a line for each column (data.orientation); rows of all sites in one table have a line each";
            return Err(DataError::schema(problem).of(path));
        }
        let table = read_table(path, spec, &[0; 32])?;
        if spec.group.is_none() {
            let others = table.groups.iter().collect::<HashSet<_>>().len();
            if others < table.rows() {
                tracing::warn!(
                    "{}: {} of its {} rows are equal to an earlier one; if they are the same patients, held-out rows are \
                     among those trained on, and figures on them flatter: take them out, or name a group column in the study",
                    path.display(),
                    table.rows() - others,
                    table.rows()
                );
            }
        }
        Self::cut(path, spec, site.trim()).map_err(|error| error.of(path))
    }

    fn cut(path: &Path, spec: &DataSpec, site: &str) -> Result<Self, DataError> {
        let text = text_of(path, spec.layout())?;
        let delimiter = header::delimiter(&text, &|names| header::fits(names, spec, Mode::All));
        let read = header::read_header(&text, delimiter).map_err(|_| DataError::schema("cannot be read as a table"))?;
        let names = header::names(&read).map_err(DataError::schema)?;
        let find = |name: &str| names.iter().position(|n| n == name.trim());
        let place =
            find(site).ok_or_else(|| DataError::schema(format!("has no column {site:?} that names the site")))?;
        let labels: Vec<usize> = spec.label_columns().into_iter().filter_map(find).collect();
        // neither a number nor a time is a class; whether there was an event is one
        let classes_of = match spec.task() {
            Task::Value => &[][..],
            Task::Events(_) => labels.get(1..).unwrap_or_default(),
            Task::Binary | Task::Classes(_) | Task::Labels(_) => &labels[..],
        };
        let group = spec.group.as_deref().and_then(find);
        let trained = spec.features.columns.iter().chain(spec.categorical.iter().map(|c| &c.column));
        if labels.contains(&place) || group == Some(place) || trained.into_iter().any(|name| name.trim() == site) {
            return Err(DataError::schema(format!("column {site:?} names the site, and the study reads it otherwise")));
        }
        let (mut starts, mut rows) = (Vec::new(), Vec::new());
        let mut people: Vec<Patient> = Vec::new();
        let (mut sites, mut classes) = (BTreeMap::<String, usize>::new(), HashMap::<Vec<Vec<u8>>, usize>::new());
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut problem = None;
        each_record(&text, delimiter, |start, cells| {
            starts.push(start);
            let Some(record) = starts.len().checked_sub(1).filter(|record| *record > 0) else {
                return ControlFlow::Continue(());
            };
            // as the reader of tables: no row
            if cells.blank() {
                return ControlFlow::Continue(());
            }
            let row = rows.len();
            rows.push(record);
            let cell = |place: usize| if place < cells.len() { cells.cell(place).trim_ascii() } else { &b""[..] };
            let name = String::from_utf8_lossy(cell(place)).into_owned();
            if name.is_empty() {
                problem = Some(format!("row {} names no site in column {site:?}", row + 1));
                return ControlFlow::Break(());
            }
            let next = sites.len();
            let at = *sites.entry(name).or_insert(next);
            let next = classes.len();
            let class = classes_of.iter().map(|place| cell(*place).to_vec()).collect();
            let class = *classes.entry(class).or_insert(next);
            let patient = match group {
                Some(group) => *known.entry(identity::group(cell(group)).into_owned()).or_insert(people.len()),
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
        let ranges: Vec<Range<usize>> = starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
        let rows = rows.into_iter().map(|record| ranges[record].clone()).collect();
        Ok(Self { header: ranges[0].clone(), rows, patients: people, sites: sites.into_keys().collect(), text })
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
fn text_of(path: &Path, layout: Layout) -> Result<Vec<u8>, DataError> {
    let mut source = Source::open(path, &Reading::default(), layout)?;
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
    if u32::try_from(text.len()).is_err() {
        return Err(DataError::schema(
            "has more than 4 GiB of text; rows of all sites in one table are read up to there",
        ));
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
