//! Tables in the forms that hospitals and their databases give them.
#![allow(clippy::unwrap_used)]

mod made;

use made::{look, read, refused, spec};

const TWO: &str =
    "features = { columns = [\"age\", \"crp\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n";

/// A study of two numbers, with these lines more.
fn two(more: &str) -> consilium_study::StudySpec {
    spec(&format!("{TWO}{more}"))
}

/// Bits, with one NaN.
fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| if v.is_nan() { f64::NAN } else { *v }.to_bits()).collect()
}

#[test]
fn what_a_study_calls_missing_is_missing_however_it_is_written() {
    let text = "age,crp,ill\n71,-999,yes\nNULL,3.5,no\n.,-999.0,yes\n64, -1 ,no\n-1,-9990e-1,no\n";
    let said = refused(&two(""), text);
    assert!(said.contains("line 3, column \"age\": is not a number"), "{said}");
    let spec =
        two("missing = \"mean\"\nmissing_values = [\"NULL\", \".\", \"-999\"]\nmissing_values_of = { crp = [\"-1\"] }");
    let table = read(&spec, text).unwrap();
    let nan = f64::NAN;
    // -1 is an age as good as any other: it was named for the other column
    let wanted = [71.0, nan, nan, 3.5, nan, nan, 64.0, nan, -1.0, nan];
    assert_eq!(bits(&table.values().unwrap()), bits(&wanted));
    assert_eq!(table.missing, 6);
    // in a file of semicolons with decimal commas
    let table = read(&spec, text.replace(',', ";").replace('.', ",").replace("\n,;", "\n.;")).unwrap();
    assert_eq!(bits(&table.values().unwrap()), bits(&wanted));
    // and where nothing may be missing it is refused as an empty cell is
    let refuses = two("missing_values = [\"-999\"]");
    let said = refused(&refuses, "age,crp,ill\n71,1,yes\n64,-999.0,no\n");
    assert!(said.contains("line 3, column \"crp\": is empty, and the study refuses missing values"), "{said}");
}

#[test]
fn a_level_and_a_group_may_be_missing_by_a_studys_word_too() {
    let spec = spec(&format!(
        "{TWO}categorical = [{{ column = \"sex\", levels = [\"1\", \"2\"] }}]\ngroup = \"patient\"\nmissing = \"mean\"\n\
         missing_values = [\"unknown\", \"9\"]"
    ));
    let table = read(&spec, "patient,age,crp,sex,ill\na,70,2,2,yes\nb,9,1,unknown,no\nc,60,4,9.0,no\n").unwrap();
    let nan = f64::NAN;
    assert_eq!(bits(&table.values().unwrap()), bits(&[70.0, 2.0, 1.0, nan, 1.0, nan, 60.0, 4.0, nan]));
    let said = refused(&spec, "patient,age,crp,sex,ill\na,70,2,2,yes\nunknown,7,1,1,no\n");
    assert!(said.contains("line 3, column \"patient\": is empty (or NA); every row needs its group"), "{said}");
}

#[test]
fn preflight_names_what_looks_like_a_code_and_where_to_say_that_it_is_one() {
    let rows = |n: usize| {
        format!("{},{},{}\n", 25 + n * 29 % 66, if n % 20 == 0 { 9999 } else { n * 13 % 71 }, ["yes", "no"][n % 2])
    };
    let text = "age,crp,ill\n".to_owned() + &(0..100).map(rows).collect::<String>();
    let (_, words) = look(&two("missing = \"mean\""), &text);
    assert!(words.contains("column \"crp\": 5 rows have the same number far outside"), "{words}");
    assert!(words.contains("data.missing_values"), "{words}");
    let (report, words) = look(&two("missing = \"mean\"\nmissing_values_of = { crp = [\"9999\"] }"), &text);
    assert!(report.look.codes.is_empty() && !words.contains("far outside"), "{words}");
    assert_eq!((report.missing[0].column.as_str(), report.missing[0].rows), ("crp", 5));
}
