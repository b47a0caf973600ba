//! What `study new` takes a column or a value for by its name alone, and how it says so: whoever writes the file can turn it round.

use crate::plain::seen;

/// Words that stand for what is looked for, in the small letters of a label's values.
const POSITIVE: [&str; 7] = ["yes", "true", "1", "positive", "pos", "case", "present"];

/// Names of columns that say which rows are one patient's: small letters and digits alone, the likeliest first.
const PATIENT: [&str; 17] = [
    "patient",
    "patientid",
    "patid",
    "patientno",
    "patientnr",
    "patientnumber",
    "subject",
    "subjectid",
    "subjid",
    "usubjid",
    "person",
    "personid",
    "participant",
    "participantid",
    "mrn",
    "pid",
    "pseudonym",
];

/// Which of two values is what is looked for, where their words say so.
pub fn positive(values: &[String]) -> Option<usize> {
    let says = |value: &String| POSITIVE.contains(&value.to_lowercase().as_str());
    let mut found = values.iter().enumerate().filter(|(_, value)| says(value));
    let first = found.next()?;
    found.next().is_none().then_some(first.0)
}

/// How likely a column's name is that of patients: the lower, the likelier.
fn rank(name: &str) -> Option<usize> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    PATIENT.iter().position(|known| *known == plain)
}

/// Which of these columns says, by its name, which rows are one patient's.
pub fn patients<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.filter_map(|name| Some((rank(name)?, name))).min().map(|(_, name)| name)
}

/// The group that an answer at the terminal names: nothing typed takes what was proposed, and a dash takes none.
pub fn group(answer: &str, proposed: Option<&str>) -> Option<String> {
    match answer.trim() {
        "" => proposed.map(str::to_owned),
        "-" => None,
        named => Some(named.to_owned()),
    }
}

/// The question for the group's column.
pub fn asks(proposed: Option<&str>) -> String {
    match proposed {
        Some(name) => {
            format!("Which column says which rows are one patient's (Enter alone: {}; - for none)? ", seen(name))
        }
        None => "Which column says which rows are one patient's (Enter alone: none)? ".into(),
    }
}

/// What was chosen of two values because of their words.
pub fn positive_words(wanted: &str, other: &str) -> String {
    let (wanted, other) = (seen(wanted), seen(other));
    format!("the value that is looked for is {wanted:?}, by its word, and not {other:?}: --positive {other} turns that round")
}

/// What was chosen as the group because of its name, or that there is none.
pub fn group_words(group: Option<&str>) -> String {
    match group {
        Some(name) => format!(
            "rows with the same {0:?} are taken for one patient's and stay together (data.group), by the column's name: --group COLUMN \
             names another, --no-group none",
            seen(name)
        ),
        None => "each row is taken for a patient of its own: where some have several rows, name the column that says whose they are \
                 with --group COLUMN"
            .into(),
    }
}

/// Why a column that holds this becomes no feature by itself; none where it becomes one.
pub fn left_out(holds: &str) -> Option<&'static str> {
    Some(match holds {
        "texts" => {
            "texts, of which some stand in few rows: names of patients, words, or numbers with a cell among them that is none; of names \
             such as wards write the common ones as a [[data.categorical]] with other = \"LEVEL\" for the rest; a column that names each row, \
             as a case number does, may be data.id, which `ml-worker predict` writes beside each probability"
        }
        "row_numbers" => "numbers that rise from row to row, as row numbers do",
        "constant" => "one value only in this table",
        "nothing" => "nothing but empty cells in this table",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_patients_is_known_by_its_name_however_it_is_written() {
        for name in ["patient", "Patient_ID", "PATIENT-ID", "patient id", "subject", "USUBJID", "MRN"] {
            assert_eq!(patients(["age", name, "crp"].into_iter()), Some(name));
        }
        assert_eq!(patients(["subject_id", "patient"].into_iter()), Some("patient"));
        assert_eq!(patients(["age", "inpatient", "patients_seen", "subjective"].into_iter()), None);
    }

    #[test]
    fn what_is_typed_decides_and_nothing_typed_takes_what_was_proposed() {
        assert_eq!(group("\n", Some("patient")).as_deref(), Some("patient"));
        assert_eq!(group(" - \n", Some("patient")), None);
        assert_eq!(group("case\n", Some("patient")).as_deref(), Some("case"));
        assert_eq!(group("\n", None), None);
        assert!(asks(Some("patient")).contains("patient;") && asks(None).contains("none"));
    }

    #[test]
    fn a_choice_says_how_it_is_turned_round() {
        let said = positive_words("yes", "no");
        assert!(said.contains("looked for is \"yes\"") && said.contains("--positive no"), "{said}");
        let said = group_words(Some("patient"));
        assert!(
            said.contains("\"patient\"") && said.contains("--group COLUMN") && said.contains("--no-group"),
            "{said}"
        );
        assert!(group_words(None).contains("--group COLUMN"));
        assert!(
            left_out("texts").is_some_and(|why| why.contains("numbers with a cell")
                && why.contains("other =")
                && why.contains("data.id"))
                && left_out("numbers").is_none()
        );
    }
}
