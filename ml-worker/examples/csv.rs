//! How long a table takes to load: `csv PATH LABEL` reads a file with all columns but the label as features, and prints
//! JSON. The checksum is the sum of all values, column after column of each row in the file's order of names.
//!
//! The label's values are those of its first two different cells. A fourth argument is the allowance of memory in bytes,
//! a fifth the folder of a working copy.

use consilium_ml_worker::data::{columns, read_file, Reading};
use consilium_study::{DataSpec, Features, StudyFile};
use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::PathBuf,
    time::Instant,
};

const STUDY: &str =
    "title = \"t\"\n[data]\nfeatures = { columns = [\"x\"] }\nlabel = \"y\"\npositive = \"1\"\nnegative = \"0\"\nmissing = \
     \"mean\"\n[model.logistic]\n[training]\noptimizer = { sgd = { learning_rate = 0.1 } }\nbatch_size = 4\nepochs = 1\n\
     [evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (Some(path), Some(label)) = (arguments.get(1), arguments.get(2)) else {
        return Err("csv PATH LABEL [ALLOWANCE [FOLDER]]".into());
    };
    let path = PathBuf::from(path);
    let mut how = Reading::default();
    if let Some(allowance) = arguments.get(3) {
        how.allowance = allowance.parse()?;
    }
    how.folder = arguments.get(4).map(PathBuf::from);
    let header = columns(&path, &[label], Vec::new())?;
    let (positive, negative) = values(&path, &header.names, label)?;
    let spec = DataSpec {
        features: Features { columns: Vec::new(), others: Some(header.others) },
        label: label.clone(),
        positive,
        negative,
        ..StudyFile::parse(STUDY)?.spec().data
    };
    let (began, before) = (Instant::now(), ticks());
    let table = read_file(&path, &spec, &[0; 32], &how)?.table?;
    let (seconds, ticks) = (began.elapsed().as_secs_f64(), ticks() - before);
    let peak = peak();
    let checksum: f64 = table.values()?.iter().filter(|value| !value.is_nan()).sum();
    let said = serde_json::json!({
        "seconds": seconds, "rows": table.rows(), "columns": table.features.len(), "checksum": checksum,
        "cpu_seconds": ticks as f64 / 100.0, "on_disk": table.on_disk(), "peak_kib": peak,
    });
    println!("{said}");
    Ok(())
}

/// Two different values of the label.
fn values(path: &PathBuf, names: &[String], label: &str) -> Result<(String, String), Box<dyn Error>> {
    let place = names.iter().position(|name| name == label).ok_or("no such label")?;
    let lines = BufReader::new(std::fs::File::open(path)?).lines().skip(1);
    let mut first: Option<String> = None;
    for line in lines {
        let line = line?;
        let cell = line.split([',', ';', '\t']).nth(place).ok_or("a short row")?.trim().to_owned();
        match &first {
            None => first = Some(cell),
            Some(first) if *first != cell => return Ok((first.clone(), cell)),
            Some(_) => {}
        }
    }
    Err("the label has one value only".into())
}

/// Processor time of this process, of user and system together, in hundredths of a second.
fn ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The most memory that this process has held.
fn peak() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}
