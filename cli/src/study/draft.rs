//! `consilium study new`: a study file with comments, from the columns of a table, or from answers at a terminal.

mod predicted;
mod questions;
mod rounds;

use super::{guess, validate::study_file};
use crate::{
    ask,
    plain::seen,
    programs::{write_new, Programs},
};
use anyhow::{ensure, Context, Result};
use clap::Args;
use consilium_study::StudyFile;
use predicted::Predicted;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What `new` takes.
#[derive(Args)]
pub struct New {
    /// A table of this site: its columns become the study's
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The column that is to be predicted: its classes, or, where it has more different numbers than classes can be, the number.
    /// Left out: it is asked for at the terminal
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The label is predicted as a number, also where it has few different ones
    #[arg(long, conflicts_with_all = ["positive", "time"])]
    number: bool,
    /// In place of --label: the column of the time until an event, or until a row was followed without one
    #[arg(long, value_name = "COLUMN", requires = "event", conflicts_with = "label")]
    time: Option<String>,
    /// The column that says whether the event ended that time
    #[arg(long, value_name = "COLUMN", requires = "time")]
    event: Option<String>,
    /// Ends of the intervals that the time is cut into, in its unit, as 90,180,365
    #[arg(long, value_name = "TIMES", value_delimiter = ',', requires = "time")]
    cuts: Vec<f64>,
    /// The value that is looked for, of the label's two, or the event's where it happened
    #[arg(long, value_name = "VALUE")]
    positive: Option<String>,
    /// The column that says which rows are one patient's. Left out: one whose name says so, such as patient_id
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// No column says which rows are one patient's: each row stands for itself
    #[arg(long, conflicts_with = "group")]
    no_group: bool,
    /// A column that is no feature. Once for each
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,
    /// One line for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Rounds at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Updates are masked: others see their sum alone, and nobody can see a bad one. Left out: participants can read each
    #[arg(long)]
    masked: bool,
    /// The study file to write
    #[arg(long, value_name = "FILE", default_value = "study.toml")]
    out: PathBuf,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// What `ml-worker survey` tells of a table.
#[derive(Clone, Debug, Deserialize)]
struct Survey {
    rows: u64,
    columns: Vec<Column>,
    others: Option<Others>,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    holds: String,
    missing: u64,
    values: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Others {
    count: u32,
    hash: String,
}

/// What people have said.
#[derive(Clone, Debug, Default)]
struct Said {
    /// The label, or the column that says whether there was an event.
    label: String,
    number: bool,
    time: Option<String>,
    cuts: Vec<f64>,
    positive: Option<String>,
    group: Option<String>,
    ignore: Vec<String>,
    title: Option<String>,
    rounds: u32,
    masked: bool,
}

/// Writes a study file for a table.
///
/// # Errors
/// The table cannot be read; the label has one value, or too many texts; the file is there already.
pub async fn run(options: New) -> Result<()> {
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let given = options.event.as_ref().or(options.label.as_ref()).map(String::as_str);
    let (label, survey) = questions::label(&programs, &options.data, given, options.number).await?;
    let mut said = Said {
        label,
        number: options.number,
        time: options.time,
        cuts: options.cuts,
        positive: options.positive,
        group: options.group,
        ignore: options.ignore,
        title: options.title,
        rounds: options.rounds,
        masked: options.masked,
    };
    let column = predicted::find(&survey, if said.time.is_some() { "--event" } else { "--label" }, &said.label)?;
    let values: &[String] = if said.number { &[] } else { &column.values };
    if let Some((one, other)) = predicted::open(&survey, &said) {
        said.positive = Some(questions::positive(one, other)?);
    }
    let mut chosen = choices(values, &said);
    // of a table with very many columns no other than the label can be named
    if said.group.is_none() && !options.no_group && survey.others.is_none() {
        let proposed = proposed(&survey, &said);
        said.group = match ask::somebody() {
            true => questions::group(&survey, proposed, || Ok(ask::line(&guess::asks(proposed))?))?,
            false => proposed.map(str::to_owned),
        };
        chosen.push(guess::group_words(said.group.as_deref()));
    }
    chosen.extend(unused(&survey, &said));
    let text = draft(&survey, &said, &options.data)?;
    // what cannot be read would be a fault of this program
    StudyFile::parse(&text).context("no study file follows from this table")?;
    write_new(&options.out, text.as_bytes(), 0o644)?;
    study_file(&options.out)?;
    chosen.iter().for_each(|line| out!("{line}"));
    let (out, data) = (options.out.display(), options.data.display());
    out!("{out}: read it, and change what is not meant; then");
    out!("  consilium study validate {out} --data {data}");
    out!("  ml-worker train --study {out} --data {data} --out model");
    Ok(())
}

/// What is taken for what by words alone, one sentence each.
fn choices(values: &[String], said: &Said) -> Vec<String> {
    let ([one, other], None) = (values, &said.positive) else { return Vec::new() };
    let words = |place| match place {
        0 => guess::positive_words(one, other),
        _ => guess::positive_words(other, one),
    };
    guess::positive(values).map(words).into_iter().collect()
}

/// The column that is the group by its name: of those that are neither the label nor left out, and hold something.
fn proposed<'a>(survey: &'a Survey, said: &Said) -> Option<&'a str> {
    let may = |column: &&Column| {
        column.name != said.label.trim()
            && said.time.as_ref().is_none_or(|time| column.name != time.trim())
            && !said.ignore.contains(&column.name)
            && !matches!(column.holds.as_str(), "constant" | "nothing")
    };
    guess::patients(survey.columns.iter().filter(may).map(|column| column.name.as_str()))
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// The columns that nobody has said to be something else than a feature.
fn rest<'a>(survey: &'a Survey, said: &Said) -> Vec<&'a Column> {
    let named = |column: &&Column| {
        column.name != said.label.trim()
            && said.time.as_ref().is_none_or(|time| column.name != time.trim())
            && Some(&column.name) != said.group.as_ref()
            && !said.ignore.contains(&column.name)
    };
    survey.columns.iter().filter(named).collect()
}

/// Columns that become no feature though nobody has said so, with why.
fn unused(survey: &Survey, said: &Said) -> Vec<String> {
    let words = |column: &Column| {
        guess::left_out(&column.holds).map(|why| format!("no feature: column “{}”: {why}", seen(&column.name)))
    };
    rest(survey, said).into_iter().filter_map(words).collect()
}

/// The study file.
fn draft(survey: &Survey, said: &Said, data: &Path) -> Result<String> {
    let predicted = Predicted::of(survey, said)?;
    let known = |name: &String| survey.others.is_some() || survey.columns.iter().any(|column| column.name == *name);
    for (option, name) in
        said.group.iter().map(|name| ("--group", name)).chain(said.ignore.iter().map(|n| ("--ignore", n)))
    {
        ensure!(known(name), "{option} {name}: there is no such column");
    }
    let rest = rest(survey, said);
    let of = |holds: &str| rest.iter().filter(|column| column.holds == holds).copied().collect::<Vec<&Column>>();
    let (numbers, levels) = (of("numbers"), of("levels"));
    ensure!(
        survey.others.is_some() || !numbers.is_empty() || !levels.is_empty(),
        "no column of numbers, or of few names, is left to predict {:?} from",
        said.label
    );
    let file = data.file_name().map(|name| seen(&name.to_string_lossy())).unwrap_or_default();
    let default = format!("{} from {} columns", said.label, numbers.len() + levels.len());
    let mut text = format!(
        "# Written by `consilium study new` from the columns of {file}, {} rows. Every key is explained in docs/study-file.md.\n\
         # Other sites' columns must have the same names; their order may differ.\n\
         title = {}\n\
         # description = \"whom the model is for, and which rows each site takes\"\n\n[data]\n{}",
        survey.rows,
        quoted(said.title.as_deref().unwrap_or(&default)),
        predicted.data(said)?,
    );
    text += &match &said.group {
        Some(group) => format!("group = {}   # rows of one patient are never parted\n", quoted(group)),
        None => "# group = \"patient\"   # a column that says which rows are one patient's; do not do without where some have several\n"
            .into(),
    };
    let gaps = survey.others.is_some() || numbers.iter().chain(&levels).any(|column| column.missing > 0);
    text += match gaps {
        true => "missing = \"mean\"   # an empty cell is the mean of its column; or \"drop_row\", or \"refuse\"\n",
        false => "missing = \"refuse\"   # an empty cell is an error; or \"mean\" of its column, or \"drop_row\"\n",
    };
    if !numbers.is_empty() || survey.others.is_some() {
        text += "scaling = \"swarm\"   # by mean and deviation of all sites' training rows; or \"none\"\n";
    }
    for column in &rest {
        if let Some(why) = guess::left_out(&column.holds) {
            text += &format!("# left out: {} ({why})\n", seen(&column.name));
        }
    }
    match &survey.others {
        Some(Others { count, hash }) => {
            // the hash is that of all columns but the label
            ensure!(
                said.group.is_none() && said.ignore.is_empty(),
                "of a table with so many columns, all but the label are taken: name the others by hand, with the line that \
                 `ml-worker columns --named` prints"
            );
            text += &format!("features = {{ others = {{ count = {count}, hash = \"{hash}\" }} }}\n");
        }
        None => {
            text += "\n[data.features]   # in the model's order\ncolumns = [\n";
            numbers.iter().for_each(|column| text += &format!("    {},\n", quoted(&column.name)));
            text += "]\n";
            for column in &levels {
                let (name, levels) = (quoted(&column.name), list(&column.values));
                text += &format!("\n[[data.categorical]]   # another value at any site is an error, unless other = \"LEVEL\" says as which it counts\ncolumn = {name}\nlevels = {levels}\n");
            }
        }
    }
    text += &format!(
        "\n[model.logistic]   # or: [model.dense], hidden = [16], activation = \"relu\"\n\n\
         [training]\noptimizer = {{ adam = {{ learning_rate = 0.05 }} }}\nbatch_size = {}\nepochs = 2   # passes over the rows in each round\n{}\n\
         [evaluation]\nvalidation_share = 0.3   # of each site's rows, kept out of training to measure on\n{}\n{}",
        if survey.rows > 10_000 { 128 } else { 32 },
        predicted.loss(),
        predicted.metric(),
        rounds::rules(said.rounds, said.masked),
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::{Loss, Metric, Outcome, Task};

    fn column(name: &str, holds: &str, missing: u64, values: &[&str]) -> Column {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Column { name: name.into(), holds: holds.into(), missing, values }
    }

    fn survey(label: &[&str]) -> Survey {
        let columns = vec![
            column("patient", "texts", 0, &[]),
            column("age \"now\"", "numbers", 2, &[]),
            column("sex", "levels", 0, &["f", "m"]),
            column("site\u{1b}", "constant", 0, &[]),
            column("ill", "texts", 0, label),
        ];
        Survey { rows: 60, columns, others: None }
    }

    fn said(positive: Option<&str>) -> Said {
        let positive = positive.map(str::to_owned);
        Said { label: "ill".into(), positive, group: Some("patient".into()), rounds: 7, ..Said::default() }
    }

    #[test]
    fn what_is_written_is_the_study_of_the_columns() {
        let text = draft(&survey(&["no", "yes"]), &said(None), Path::new("x/t.csv")).unwrap();
        let file = StudyFile::parse(&text).unwrap();
        assert_eq!(file.data.features.columns, ["age \"now\""]);
        assert_eq!((file.data.categorical[0].column.as_str(), file.data.categorical[0].levels.len()), ("sex", 2));
        assert_eq!((file.data.positive.as_str(), file.data.negative.as_str()), ("yes", "no"));
        assert_eq!((file.data.group.as_deref(), file.rules.rounds), (Some("patient"), 7));
        assert_eq!(file.data.missing, consilium_study::Missing::Mean);
        assert!(text.contains("unless other = \"LEVEL\" says"), "{text}");
        assert!(text.contains("# left out: site\\u{1b} (one value only"), "{text}");
        assert!(text.contains("columns of t.csv, 60 rows") && !text.contains("left out: patient"), "{text}");
    }

    #[test]
    fn what_is_chosen_by_its_name_is_said_and_a_column_of_patients_is_proposed() {
        let survey = survey(&["no", "yes"]);
        let bare = Said { group: None, ..said(None) };
        let told = choices(&survey.columns[4].values, &bare);
        assert!(told.len() == 1 && told[0].contains("\"yes\"") && told[0].contains("--positive no"), "{told:?}");
        assert!(choices(&survey.columns[4].values, &said(Some("no"))).is_empty());
        assert_eq!(proposed(&survey, &bare), Some("patient"));
        let ignored = Said { ignore: vec!["patient".into()], ..bare };
        assert_eq!(proposed(&survey, &ignored), None);
        // no column goes without a word
        let told = unused(&survey, &said(None));
        assert!(told.len() == 1 && told[0].contains("site\\u{1b}") && told[0].contains("one value only"), "{told:?}");
    }

    #[test]
    fn whose_value_is_looked_for_is_never_guessed_from_nothing() {
        let error = |values: &[&str], positive| {
            draft(&survey(values), &said(positive), Path::new("t")).unwrap_err().to_string()
        };
        assert!(error(&["B", "M"], None).contains("--positive VALUE"));
        assert!(error(&["B", "M"], Some("X")).contains("the label's values are \"B\" and \"M\""));
        assert!(error(&["B"], None).contains("one value only"));
        assert!(error(&[], None).contains("too many"));
        let text = draft(&survey(&["B", "M"]), &said(Some("M")), Path::new("t")).unwrap();
        assert_eq!(StudyFile::parse(&text).unwrap().data.negative, "B");
        let text = draft(&survey(&["a", "b", "c"]), &said(None), Path::new("t")).unwrap();
        assert_eq!(StudyFile::parse(&text).unwrap().data.classes, ["a", "b", "c"]);
    }

    #[test]
    fn a_column_of_many_numbers_is_a_number_and_a_time_has_its_event() {
        let mut table = survey(&["no", "yes"]);
        table.columns.extend([column("stay", "numbers", 0, &[]), column("score", "numbers", 0, &["1", "2", "3"])]);
        let of = |said: &Said| draft(&table, said, Path::new("t")).map(|text| StudyFile::parse(&text).unwrap().spec());
        let label = |name: &str| Said { label: name.into(), ..said(None) };
        let stay = of(&label("stay")).unwrap();
        assert_eq!((stay.data.task(), stay.data.label_columns()), (Task::Value, vec!["stay"]));
        assert_eq!((stay.training.loss, stay.evaluation.metric), (Loss::SquaredError, Metric::SquaredError));
        assert!(stay.data.features.columns.iter().all(|name| name != "stay"), "{:?}", stay.data.features);
        assert_eq!(of(&label("score")).unwrap().data.task(), Task::Classes(3));
        assert_eq!(of(&Said { number: true, ..label("score") }).unwrap().data.task(), Task::Value);
        let texts = of(&Said { number: true, ..label("ill") }).unwrap_err().to_string();
        assert!(texts.contains("not all cells of \"ill\" are numbers"), "{texts}");

        let time = Said { time: Some("stay".into()), cuts: vec![90.0, 365.5], ..label("ill") };
        let spec = of(&time).unwrap();
        assert_eq!((spec.data.task(), spec.data.label_columns()), (Task::Events(2), vec!["stay", "ill"]));
        assert_eq!((spec.data.cuts(), spec.evaluation.metric), (&[90.0, 365.5][..], Metric::LogLoss));
        let Some(Outcome::TimeToEvent { happened, censored, .. }) = &spec.data.outcome else { panic!() };
        assert_eq!((happened.as_str(), censored.as_str()), ("yes", "no"));
        assert_eq!(spec.data.features.columns, ["age \"now\"", "score"], "the time is no feature");
        let error = |said: Said| of(&said).unwrap_err().to_string();
        assert!(error(Said { cuts: Vec::new(), ..time.clone() }).contains("--cuts"));
        assert!(error(Said { time: Some("sex".into()), ..time.clone() }).contains("--time sex: not all"));
        assert!(error(Said { time: Some("day".into()), ..time.clone() }).contains("--time day: there is no such"));
        assert!(error(Said { label: "score".into(), ..time }).contains("--event score: it has 3 values"));
    }
}
