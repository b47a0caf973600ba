//! What `study new` asks at a terminal, and asks again after a slip.

use super::{
    predicted::{find, Predicted},
    Said, Survey,
};
use crate::{ask, plain::seen, process::answer, programs::Programs, study::guess};
use anyhow::{bail, ensure, Context, Result};
use std::{fs, path::Path, process::Command};

/// How often the label is asked for.
const TRIES: usize = 3;

/// What the worker tells of a table.
async fn survey(programs: &Programs, data: &Path, label: &str) -> Result<Survey> {
    let mut command = Command::new(&programs.worker);
    command.arg("survey").arg("--data").arg(data).args(["--label", label]);
    serde_json::from_value(answer(command).await?).context("the worker is of another version")
}

/// The column that is predicted, and what the table holds. Where none was given, it is asked for until one is named that can be.
///
/// # Errors
/// Nobody is there to be asked; the table cannot be read; no such column, or one that cannot be predicted.
pub(super) async fn label(
    programs: &Programs,
    data: &Path,
    given: Option<&str>,
    number: bool,
) -> Result<(String, Survey)> {
    if let Some(label) = given {
        return Ok((label.to_owned(), survey(programs, data, label).await?));
    }
    ensure!(ask::somebody(), "which column is to be predicted? Give --label COLUMN");
    // no other name of a column mends that
    fs::File::open(data).with_context(|| format!("cannot read {}", data.display()))?;
    for left in (0..TRIES).rev() {
        let label = ask::line("Which column is to be predicted? ")?.trim().to_owned();
        let found = survey(programs, data, &label).await.and_then(|survey| {
            Predicted::of(&survey, &Said { label: label.clone(), number, ..Said::default() })?;
            Ok(survey)
        });
        match found {
            Ok(survey) => return Ok((label, survey)),
            Err(error) if left == 0 => return Err(error),
            Err(error) => eprintln!("{error:#}"),
        }
    }
    bail!("no column was named")
}

/// Which of two values is looked for.
///
/// # Errors
/// Nobody is there to be asked; three answers that are neither.
pub(super) fn positive(one: &str, other: &str) -> Result<String> {
    let which = format!("which of {one:?} and {other:?} is looked for");
    ensure!(ask::somebody(), "{which}? Give --positive VALUE");
    ask::until(|| Ok(ask::line(&format!("{which}? "))?), |answer| either(answer, one, other))
}

fn either(answer: &str, one: &str, other: &str) -> Result<String> {
    ensure!(answer == one || answer == other, "{:?} is neither {one:?} nor {other:?}", seen(answer));
    Ok(answer.to_owned())
}

/// The column that says which rows are one patient's: nothing typed takes what was proposed, and a dash takes none.
///
/// # Errors
/// Three answers that name no column.
pub(super) fn group(
    survey: &Survey,
    proposed: Option<&str>,
    asked: impl FnMut() -> Result<String>,
) -> Result<Option<String>> {
    ask::until(asked, |answer| {
        let group = guess::group(answer, proposed);
        if let Some(name) = &group {
            find(survey, "the group", name)?;
        }
        Ok(group)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::Column, *};

    #[test]
    fn a_mistyped_column_or_value_is_asked_for_again() {
        let column = |name: &str| Column { name: name.into(), holds: "texts".into(), missing: 0, values: Vec::new() };
        let survey = Survey { rows: 9, columns: vec![column("patient"), column("case")], others: None };
        let of = |answers: &[&str]| {
            let mut answers = answers.iter();
            group(&survey, Some("patient"), || Ok((*answers.next().unwrap()).to_owned()))
        };
        assert_eq!(of(&["\n"]).unwrap().as_deref(), Some("patient"));
        assert_eq!(of(&["-\n"]).unwrap(), None);
        assert_eq!(of(&["csae\n", "case\n"]).unwrap().as_deref(), Some("case"));
        let error = of(&["csae\n"; 3]).unwrap_err().to_string();
        assert!(error.contains("csae: there is no such column"), "{error}");
        assert_eq!(either("M", "B", "M").unwrap(), "M");
        assert!(either("m", "B", "M").unwrap_err().to_string().contains("neither \"B\" nor \"M\""));
    }
}
