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

/// Of rows that nothing names but their place.
const UNNAMED: &str =
    "  rows are named by their place in the table: --id COLUMN writes a column of yours beside each\n";

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

/// Which column is for what.
fn columns_for(task: Task, cut: bool, recalibrated: bool) -> &'static str {
    match task {
        Task::Classes(_) => "",
        Task::Value => {
            "  `predicted ...` is in the column's own unit, as the model gives it; `ml-worker evaluate` says how far off it is on rows \
             of your own\n"
        }
        Task::Events(_) => {
            "  `p(... by TIME)` is the risk of the event by then, as the model gives it; `ml-worker evaluate` holds it against what came \
             true among rows of your own\n"
        }
        Task::Binary | Task::Labels(_) => guide(cut, recalibrated),
    }
}

/// The same of two classes and of labels: a yes or no, and a probability, stand side by side and are of two probabilities.
fn guide(cut: bool, recalibrated: bool) -> &'static str {
    match (cut, recalibrated) {
        (true, true) => {
            "  for yes or no: a column `... if p(...) >= CUT`; the cut is of your own rows, and held against p(...), not recalibrated\n  \
             for a risk: the column `recalibrated p(...)`; no cut is held against it; of few rows it may be farther off than p(...), which\n  \
             `ml-worker evaluate` says on rows that came later\n"
        }
        (true, false) => {
            "  for yes or no: a column `... if p(...) >= CUT`; the cut is of your own rows, and held against p(...)\n  \
             for a risk: none is here; p(...) was not recalibrated on rows of your own\n"
        }
        (false, true) => {
            "  for yes or no: no cut of your own rows is here, and 0.5 is seldom the right one\n  \
             for a risk: the column `recalibrated p(...)`; of few rows it may be farther off than p(...), which `ml-worker evaluate` says\n  \
             on rows that came later\n"
        }
        (false, false) => {
            "  p(...) is as the model gives it: no risk at your site, and 0.5 is seldom the right cut; `ml-worker pack --data` gives both\n"
        }
    }
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
    let cuts = bundle.cuts_of_all();
    let recalibration = bundle.recalibration();
    let mut header = vec!["row".to_owned()];
    header.extend(ids.iter().map(|(column, _)| column.clone()));
    header.extend(bundle.spec.data.pictures.iter().map(|pictures| pictures.column.clone()));
    header.extend(names.iter().map(|name| if number { format!("predicted {name}") } else { format!("p({name})") }));
    match (classes, uncut) {
        (true, _) => header.push("likeliest".into()),
        (_, true) => {}
        _ => header.extend(names.iter().map(|name| format!("{name} if p({name}) >= 0.5"))),
    }
    for (chosen, cuts) in &cuts {
        let named = names.iter().zip(cuts).map(|(name, cut)| format!("{name} if p({name}) >= {cut:.4} ({chosen})"));
        header.extend(named);
    }
    if recalibration.is_some() {
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
            line.push(names[best].clone());
        } else if !uncut {
            line.extend(p.iter().map(|p| u8::from(*p >= 0.5).to_string()));
        }
        for (_, cuts) in &cuts {
            line.extend(p.iter().zip(cuts).map(|(p, cut)| u8::from(p >= cut).to_string()));
        }
        if let Some(recalibration) = &recalibration {
            line.extend(z.iter().zip(recalibration).map(|(z, by)| by.probability(f64::from(*z)).to_string()));
        }
        out.write_record(&line)?;
    }
    let bytes = out.into_inner().map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut guide = columns_for(goal.task, !cuts.is_empty(), recalibration.is_some()).to_owned();
    if ids.is_empty() && bundle.spec.data.pictures.is_none() {
        guide += UNNAMED;
    }
    match &arguments.out {
        // of patients, and nobody else's business
        Some(path) => {
            write_whole(path, &bytes, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
            let count = table.rows();
            say(format_args!(
                "{}: {count} prediction{}, one for each row of {} in its order\n{guide}",
                path.display(),
                if count == 1 { "" } else { "s" },
                arguments.data.display()
            ))
        }
        None => {
            // not among the rows, which may go into a file
            eprint!("{guide}");
            say(String::from_utf8(bytes)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_to_use_for_what_and_what_a_cut_is_held_against() {
        let both = guide(true, true);
        assert!(both.contains("farther off than p(...)") && guide(false, true).contains("farther off than p(...)"));
        let cut = "for yes or no: a column `... if p(...) >= CUT`; the cut is of your own rows, and held against p(...), not recalibrated";
        assert!(both.contains(cut), "{both}");
        assert!(both.contains("\n  for a risk: the column `recalibrated p(...)`; no cut is held against it"), "{both}");
        assert!(
            guide(true, false).contains("was not recalibrated") && guide(false, true).contains("no cut of your own")
        );
        assert!(
            guide(false, true).contains("for a risk: the column") && guide(false, false).contains("ml-worker pack")
        );
        assert_eq!((columns_for(Task::Binary, true, true), columns_for(Task::Classes(3), false, false)), (both, ""));
        // a number has no cut, and no risk
        assert!(["cut", "risk", "p("].iter().all(|word| !columns_for(Task::Value, false, false).contains(word)));
        assert!(columns_for(Task::Events(2), false, false).contains("by TIME"));
    }
}
