//! Columns scaled by numbers that the study names.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::data::{preflight, Prepared, Preprocessing, Reading, Split};
use made::{read, spec, Folder};

const FIXED: &str = "features = { columns = [\"b\", \"a\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
                     missing = \"mean\"\nscaling = { fixed = { a = [10.0, 4.0], b = [-1.0, 0.5] } }";
const TABLE: &str = "a,b,ill\n2,0,yes\n,1,no\n18,,yes\n10,-1,no\n6,4,yes\n7,7,no\n";

#[test]
fn rows_are_scaled_by_the_agreed_numbers_and_by_nothing_of_their_own() {
    let spec = spec(FIXED);
    let table = read(&spec, TABLE).unwrap();
    let split = Split::of(&table, 0.3);
    let prepared = Prepared::new(&spec, &table, &split, None).unwrap();
    let (training, validation) = split.rows(&table);
    for (places, rows) in [(training, &prepared.training), (validation, &prepared.validation)] {
        let features = rows.features().unwrap();
        for (place, found) in places.iter().zip(features.chunks(2)) {
            // the model's order: b, then a; an empty cell is the agreed centre, which is 0 after scaling
            let raw = table.row(*place).unwrap();
            let wanted = [(raw[0], -1.0, 0.5), (raw[1], 10.0, 4.0)].map(|(value, centre, deviation)| {
                if value.is_nan() {
                    0.0
                } else {
                    ((value - centre) / deviation) as f32
                }
            });
            assert_eq!(found, wanted, "row {place}");
        }
    }
    // one row alone is scaled as it is among others: what travels with a model says it all
    let text = serde_json::to_string(&prepared.preprocessing).unwrap();
    let again: Preprocessing = serde_json::from_str(&text).unwrap();
    assert_eq!(again, prepared.preprocessing);
    let one = read(&spec, "ill,b,a\nno,2,2\n").unwrap();
    assert_eq!(again.rows(&one).unwrap().features().unwrap(), [6.0, -2.0]);
}

#[test]
fn preflight_looks_at_what_the_agreed_numbers_make_of_a_table() {
    let spec = spec(&FIXED.replace("[-1.0, 0.5]", "[-1.0, 1e-300]"));
    let mut text = String::from("a,b,ill\n");
    for n in 0..60 {
        text.push_str(&format!("{n},{},{}\n", n * 7 % 11, if n % 2 == 0 { "yes" } else { "no" }));
    }
    let report = preflight(&Folder::new().write("t.csv", &text), &spec, &[1; 32], &Reading::default()).to_string();
    assert!(report.contains("column \"b\": a scaled value leaves the range of f32"), "{report}");
}
