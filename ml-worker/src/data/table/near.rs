//! Which of a table's columns somebody has meant who has mistyped its name.

use crate::data::table::header::named;
use consilium_study::DataSpec;

/// Of a table with more columns nothing is proposed.
const MOST_COLUMNS: usize = 1_000;

/// The column whose name is nearest to this one, where it is near: but for what is no letter and no digit, capitals, and one slip (of
/// longer names two).
pub(in crate::data) fn near<'a>(wanted: &str, names: &'a [String]) -> Option<&'a str> {
    if names.len() > MOST_COLUMNS {
        return None;
    }
    let wanted = plain(wanted);
    let most = match wanted.len() {
        0 => return None,
        1..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let each = names.iter().map(|name| (distance(&wanted, &plain(name)), name.as_str()));
    each.filter(|(slips, _)| *slips <= most).min().map(|(_, name)| name)
}

/// Which column may stand for a missing one, in words behind what is said of that; never one that the study names, too.
pub(in crate::data) fn meant(missing: &str, names: &[String], spec: &DataSpec) -> String {
    let taken = |name: &&str| named(spec).contains(name) || spec.features.columns.iter().any(|c| c.trim() == *name);
    let free = near(missing, names).filter(|name| !taken(name));
    free.map_or_else(String::new, |name| format!(" (is {name:?} meant?)"))
}

fn plain(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How many letters are to be added, left out, changed or exchanged with the next one (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_column_and_another_name_finds_none() {
        let names = ["Admitted", "age", "CRP", "bmi_start"].map(str::to_owned);
        for (wanted, meant) in [
            ("admited", Some("Admitted")),
            ("admitted ", Some("Admitted")),
            ("AGE", Some("age")),
            ("cpr", Some("CRP")),
            ("BMI start", Some("bmi_start")),
            ("ag", None),
            ("sex", None),
            ("outcome", None),
            ("", None),
        ] {
            assert_eq!(near(wanted, &names), meant, "{wanted}");
        }
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
