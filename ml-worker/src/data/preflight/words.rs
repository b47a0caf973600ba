//! A report in plain words.

use crate::data::preflight::{Part, Report};
use std::fmt;

fn list(names: &[String], all: usize) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let rest = all - shown.len().min(all);
    match rest {
        0 => shown.join(", "),
        rest => format!("{}, and {rest} more", shown.join(", ")),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.usable { "the study can train on it" } else { "the study cannot train on it" };
        writeln!(f, "{}: {verdict}", self.file)?;
        if self.columns == 0 {
            // nothing could be read: there is nothing to count
            return self.told(f);
        }
        let (extra, names) = &self.extra;
        write!(f, "columns: {}", self.columns)?;
        match extra {
            0 => writeln!(f)?,
            extra if names.is_empty() => writeln!(f, ", of which {extra} are not read")?,
            extra => writeln!(f, ", of which {extra} are not read: {}", list(names, *extra))?,
        }
        writeln!(
            f,
            "rows: {}, of which {} cannot be read and {} are dropped for their empty cells; {}",
            self.rows,
            self.skipped,
            self.dropped,
            match &self.group {
                Some(column) => format!("groups (patients) by column {column:?}: {}", self.groups),
                None => "each stands for itself: the study names no column of patients (data.group)".into(),
            }
        )?;
        let part = |f: &mut fmt::Formatter<'_>, name: &str, part: &Part| {
            let counts =
                self.classes.iter().zip(&part.classes).enumerate().map(|(n, (class, rows))| match part.known.get(n) {
                    Some(known) => format!("{class:?}: {rows} of {known} that are known"),
                    None => format!("{class:?}: {rows}"),
                });
            let counts = counts.collect::<Vec<_>>().join(", ");
            let counts = if counts.is_empty() { counts } else { format!(" ({counts})") };
            writeln!(f, "{name}: {} rows{counts}", part.rows)
        };
        part(f, "all that are left", &self.all)?;
        part(f, "training", &self.training)?;
        part(f, "validation", &self.validation)?;
        let (needed, reached) = self.min_rows;
        writeln!(
            f,
            "the loss is reported from {needed} validation rows on: {}",
            if reached { "they are there" } else { "they are not there" }
        )?;
        for count in &self.missing {
            writeln!(f, "column {:?}: {} missing values", count.column, count.rows)?;
        }
        for count in &self.look.other {
            writeln!(
                f,
                "column {:?}: {} rows have the level that all other values count as (data.categorical)",
                count.column, count.rows
            )?;
        }
        for absent in &self.look.absent {
            writeln!(
                f,
                "column {:?}: no row has {:?}: if the table spells it otherwise, its rows count as the others",
                absent.column, absent.levels
            )?;
        }
        if let Some(pictures) = &self.pictures {
            let sizes = pictures.sizes.iter().map(|(width, height, count)| format!("{width} x {height}: {count}"));
            // the study's own trainer alone knows what its files are
            let files = pictures.sizes.is_empty() && pictures.read > 0;
            let what = if files { "files" } else { "pictures" };
            write!(f, "{what}: {} can be read, {} cannot", pictures.read, pictures.unreadable)?;
            if !files {
                write!(f, "; sizes: {}", sizes.collect::<Vec<_>>().join(", "))?;
            }
            match pictures.other_sizes {
                0 => writeln!(f)?,
                other => writeln!(f, ", and {other} others")?,
            }
        }
        if let Some((twice, other)) = self.pictures.as_ref().map(|p| p.twice).filter(|(twice, _)| *twice > 0) {
            writeln!(
                f,
                "suspicious: {twice} rows name the same picture as a row before, byte for byte, as that of another patient or \
                 under another name, {other} of them with another label; such rows may be trained on and measured on"
            )?;
        }
        let constant = &self.look.constant;
        if !constant.is_empty() {
            writeln!(f, "columns with one value only, but for rounding: {}", list(constant, constant.len()))?;
        }
        for count in self.look.same.iter().take(super::MOST) {
            writeln!(f, "suspicious: column {:?}: {} rows have the same value", count.column, count.rows)?;
        }
        for count in self.look.far.iter().take(super::MOST) {
            writeln!(
                f,
                "suspicious: column {:?}: {} rows have a number more than a million times its median size; is a unit or a \
                 decimal mark wrong?",
                count.column, count.rows
            )?;
        }
        for count in self.look.codes.iter().take(super::MOST) {
            writeln!(
                f,
                "suspicious: column {:?}: {} rows have the same number far outside all others; is it a code, as for \"not \
                 known\"? Say so in the study (data.missing_values), or leave such cells empty",
                count.column, count.rows
            )?;
        }
        let counting = &self.look.counting;
        if !counting.is_empty() {
            writeln!(
                f,
                "suspicious: whole numbers that rise from row to row, as row numbers do: {}",
                list(counting, counting.len())
            )?;
        }
        let (twice, other) = self.look.twice;
        if twice > 0 {
            writeln!(
                f,
                "suspicious: {twice} rows have all values of another row, {other} of them with another label; without a \
                 group such rows may be trained on and measured on"
            )?;
        }
        self.told(f)
    }
}

impl Report {
    /// What is wrong, and what to do.
    fn told(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}: {}", if problem.blocks { "problem" } else { "note" }, problem.message)?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more", self.more)?;
        }
        if !self.others_see.is_empty() {
            writeln!(f, "updates of this study are masked; what others will see:")?;
        }
        for line in &self.others_see {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_said_with_the_column_that_they_are_by() {
        let report = Report { columns: 2, rows: 9, groups: 7, group: Some("patient".into()), ..Report::default() };
        assert!(report.to_string().contains("; groups (patients) by column \"patient\": 7\n"), "{report}");
        let bare = Report { group: None, ..report };
        assert!(bare.to_string().contains("the study names no column of patients"), "{bare}");
        assert!(!bare.to_string().contains("masked"), "{bare}");
        let masked = Report { others_see: vec!["the sum".into()], ..bare };
        assert!(masked.to_string().ends_with("what others will see:\n  the sum\n"), "{masked}");
    }
}
