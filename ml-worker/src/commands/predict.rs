//! `ml-worker predict`: a model on new rows.

use super::{means::Means, memory::Memory, say};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_ml_worker::{
    data::{read_names, read_unlabelled},
    desk::{self, Bundle},
    learn::{figures::outputs, objective},
    site::write_whole,
};
use consilium_study::Task;
use std::path::PathBuf;

#[derive(Args)]
pub struct Predict {
    /// Folder of the model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// New rows; label and group columns need not be there. Each row is predicted, or the first that cannot be is named
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// A column of the table that names its rows, written beside each prediction, as those are that the study names (data.id,
    /// data.group), where the table has them
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// File to write to, which must not be there yet; left out, the predictions are printed
    #[arg(long, value_name = "CSV")]
    out: Option<PathBuf>,
    #[command(flatten)]
    means: Means,
    #[command(flatten)]
    memory: Memory,
}

/// A cut of each output, and how it was chosen; `None` where an output has none.
type Cuts = (String, Vec<f64>);

/// All cuts that every output has.
fn cuts(bundle: &Bundle, outputs: usize) -> Vec<Cuts> {
    let whole = |name: String, cuts: &[Option<f64>]| {
        let cuts: Vec<f64> = cuts.iter().copied().flatten().collect();
        (cuts.len() == outputs).then_some((name, cuts))
    };
    let wanted = bundle.fitted.as_ref().and_then(|fitted| fitted.sensitivity.as_ref());
    let wanted = wanted.and_then(|w| whole(format!("sensitivity {}", w.sensitivity), &w.cuts));
    whole("Youden".into(), &bundle.cuts).into_iter().chain(wanted).collect()
}

/// What names the table's rows: columns, each with its text of every row.
fn ids(arguments: &Predict, bundle: &Bundle) -> Result<Vec<(String, Vec<String>)>> {
    let data = &bundle.spec.data;
    let mut columns: Vec<&str> = Vec::new();
    for column in data.id.iter().chain(&data.group).chain(&arguments.id).map(|column| column.trim()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let mut ids = Vec::new();
    for column in columns {
        match read_names(&arguments.data, data, column, &arguments.memory.reading())? {
            Some(texts) => ids.push((column.to_owned(), texts)),
            None if arguments.id.as_ref().is_some_and(|asked| asked.trim() == column) => {
                bail!("{}: has no column {column:?}, which --id names", arguments.data.display())
            }
            None => {}
        }
    }
    Ok(ids)
}

pub fn predict(arguments: &Predict) -> Result<()> {
    if let Some(path) = arguments.out.as_ref().filter(|path| path.exists()) {
        bail!("{} is there already, and is not overwritten: name a new file with --out", path.display());
    }
    let mut bundle = Bundle::read(&arguments.model)?;
    let _ready = arguments.means.equip(&mut bundle, &arguments.model)?;
    let table = read_unlabelled(&arguments.data, &bundle.spec.data, &arguments.memory.reading())?;
    let ids = ids(arguments, &bundle)?;
    let (logits, _) = desk::logits(&bundle, &table).with_context(|| arguments.data.display().to_string())?;
    let goal = objective(&bundle.spec, None).told_in(bundle.preprocessing.scaler.target());
    let mut out = csv::Writer::from_writer(Vec::new());
    let names = outputs(&bundle.spec.data);
    let classes = matches!(goal.task, Task::Classes(_));
    let number = goal.task == Task::Value;
    let uncut = number || matches!(goal.task, Task::Events(_));
    let cuts = if classes || uncut { Vec::new() } else { cuts(&bundle, names.len()) };
    let fitted = bundle.fitted.as_ref().map_or(&[][..], |fitted| &fitted.recalibration[..]);
    let recalibration: Vec<_> = fitted.iter().copied().flatten().collect();
    let recalibrated = !classes && !uncut && recalibration.len() == names.len();
    let mut header = vec!["row".to_owned()];
    header.extend(ids.iter().map(|(column, _)| column.clone()));
    header.extend(bundle.spec.data.pictures.iter().map(|pictures| pictures.column.clone()));
    header.extend(names.iter().map(|name| if number { format!("predicted {name}") } else { format!("p({name})") }));
    match (classes, uncut) {
        (true, _) => header.push("likeliest".into()),
        (_, true) => {}
        _ => header.extend(names.iter().map(|name| format!("{name} at 0.5"))),
    }
    for (chosen, cuts) in &cuts {
        header.extend(names.iter().zip(cuts).map(|(name, cut)| format!("{name} at {cut:.4} ({chosen})")));
    }
    if recalibrated {
        header.extend(names.iter().map(|name| format!("recalibrated p({name})")));
    }
    out.write_record(&header)?;
    let rows = goal.probabilities(&logits);
    for (row, (p, z)) in rows.chunks_exact(names.len()).zip(logits.chunks_exact(names.len())).enumerate() {
        let mut line = vec![(row + 1).to_string()];
        line.extend(ids.iter().map(|(_, texts)| texts.get(row).cloned().unwrap_or_default()));
        line.extend(table.pictures.get(row).cloned());
        line.extend(p.iter().map(f64::to_string));
        if classes {
            let best = (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]).then(b.cmp(a))).unwrap_or_default();
            line.push(names[best].to_owned());
        } else if !uncut {
            line.extend(p.iter().map(|p| u8::from(*p >= 0.5).to_string()));
        }
        for (_, cuts) in &cuts {
            line.extend(p.iter().zip(cuts).map(|(p, cut)| u8::from(p >= cut).to_string()));
        }
        if recalibrated {
            line.extend(z.iter().zip(&recalibration).map(|(z, by)| by.probability(f64::from(*z)).to_string()));
        }
        out.write_record(&line)?;
    }
    let bytes = out.into_inner().map_err(|e| anyhow::anyhow!("{e}"))?;
    match &arguments.out {
        // of patients, and nobody else's business
        Some(path) => {
            write_whole(path, &bytes, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
            let count = table.rows();
            say(format_args!(
                "{}: {count} prediction{}, one for each row of {} in its order\n",
                path.display(),
                if count == 1 { "" } else { "s" },
                arguments.data.display()
            ))
        }
        None => say(String::from_utf8(bytes)?),
    }
}
