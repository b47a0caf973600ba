//! Tables in the forms that hospitals and their databases give them.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::data::{columns_in, read_file, read_table, Pool, Reading};
use consilium_primitives::FailureCode;
use consilium_study::{Encoding, Layout, Orientation};
use flate2::{write::GzEncoder, Compression};
use made::{look, read, refused, spec, Folder};
use std::{fs, io::Write};

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
        format!(
            "{},{},{}\n",
            25 + n * 29 % 66,
            if n.is_multiple_of(20) { 9999 } else { n * 13 % 71 },
            ["yes", "no"][n % 2]
        )
    };
    let text = "age,crp,ill\n".to_owned() + &(0..100).map(rows).collect::<String>();
    let (_, words) = look(&two("missing = \"mean\""), &text);
    assert!(words.contains("column \"crp\": 5 rows have the same number far outside"), "{words}");
    assert!(words.contains("data.missing_values"), "{words}");
    let (report, words) = look(&two("missing = \"mean\"\nmissing_values_of = { crp = [\"9999\"] }"), &text);
    assert!(report.look.codes.is_empty() && !words.contains("far outside"), "{words}");
    assert_eq!((report.missing[0].column.as_str(), report.missing[0].rows), ("crp", 5));
}

/// A text as a program of Windows or of old writes it: one byte for each character.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[test]
fn a_study_may_say_that_a_sites_texts_are_latin_1() {
    let names = "features = { columns = [\"größe\"] }\nlabel = \"ill\"\npositive = \"männlich\"\nnegative = \"weiblich\"\ngroup = \"id\"\n";
    let text = "id;größe;ill\nMüller;1,75;männlich\nÄrztin;1,5;weiblich\n";
    let (plain, with) = (spec(names), spec(&format!("{names}encoding = \"latin1\"")));
    let said = refused(&plain, latin(text));
    assert!(said.contains("UTF-8"), "{said}");
    let wanted = read(&plain, text).unwrap();
    // sites need not export alike: what is UTF-8 is read as that, and a patient is the same one
    for bytes in [latin(text), text.into(), [b"\xef\xbb\xbf", text.as_bytes()].concat()] {
        let table = read(&with, bytes).unwrap();
        assert_eq!(table.values().unwrap(), [1.75, 1.5]);
        assert_eq!((&table.labels, &table.groups), (&wanted.labels, &wanted.groups));
    }
    let folder = Folder::new();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&latin(text)).unwrap();
    let path = folder.write("t.csv.gz", packed.finish().unwrap());
    assert_eq!(read_table(&path, &with.data, &[3; 32]).unwrap().labels, [1, 0]);
    let said = refused(&with, [latin(text), b"M\x81;1,8;weiblich\n".to_vec()].concat());
    assert!(said.contains("line 4: has a byte that is neither UTF-8 nor Windows-1252"), "{said}");
    let said = refused(&with, latin("id;größe;ill\nx;hoch;männlich\n"));
    assert!(said.contains("line 2, column \"größe\": is not a number"), "{said}");
    let layout = Layout { encoding: Encoding::Latin1, ..Layout::default() };
    let header = columns_in(&folder.write("l.csv", latin(text)), layout, &["ill"], vec!["id".into()]).unwrap();
    assert_eq!(header.names, ["id", "größe", "ill"]);
    // it is in memory whole
    let small = Reading { allowance: 10, folder: None };
    let error =
        read_file(&folder.write("large.csv", latin(text).repeat(20_000)), &with.data, &[3; 32], &small).unwrap_err();
    assert_eq!(error.code, FailureCode::OutOfMemory, "{error}");
    assert!(error.message.contains("more than 10 bytes of text") && error.message.contains("data.encoding"), "{error}");
}

/// Twelve samples of two genes, a row of labels and one of patients, as rows; and the same turned, as R and GEO write it.
fn matrices() -> (String, [String; 3]) {
    let samples: Vec<[String; 5]> = (0..12)
        .map(|n| {
            let label = ["yes", "no"][n % 2];
            [format!("GSM{n}"), format!("{}.5", n * 7 % 11), format!("{n}"), label.into(), format!("p{}", n / 2)]
        })
        .collect();
    let names = ["ID_REF", "TP53", "BRCA1", "ill", "patient"];
    let rows = samples.iter().fold(names.join("\t") + "\n", |text, row| text + &row.join("\t") + "\n");
    let line = |n: usize| samples.iter().fold(names[n].to_owned(), |line, row| line + "\t" + &row[n]) + "\n";
    let turned: String = (0..5).map(line).collect();
    let r = turned.replacen("ID_REF\t", "", 1);
    let geo = format!("!Series_title\t\"x\"\n!Sample_geo_accession\t\"a\"\t\"b\"\n{turned}!series_matrix_table_end\n");
    (rows, [turned, r, geo])
}

#[test]
fn a_matrix_of_genes_by_samples_has_the_rows_of_the_table_that_it_is_when_turned() {
    let names = "features = { columns = [\"TP53\", \"BRCA1\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\ngroup = \"patient\"\n";
    let (rows, matrices) = matrices();
    let wanted = read(&spec(names), &rows).unwrap();
    let with = spec(&format!("{names}orientation = \"columns\""));
    for matrix in &matrices {
        let table = read(&with, matrix).unwrap();
        assert_eq!(table.values().unwrap(), wanted.values().unwrap());
        assert_eq!((&table.labels, &table.groups), (&wanted.labels, &wanted.groups));
        let (report, words) = look(&with, matrix);
        assert!(report.usable && report.rows == 12, "{words}");
    }
    // places are those of the file
    let said = refused(&with, matrices[0].replace("\t7.5\t", "\thigh\t"));
    assert!(said.contains("column 3, row \"TP53\": is not a number"), "{said}");
    let (_, words) = look(&with, matrices[0].replace("\t7.5\t", "\thigh\t"));
    assert!(words.contains("row \"TP53\": 1 row, the first in column 3"), "{words}");
    let said = refused(&with, "x\ta\tb\nTP53\t1\n");
    assert!(said.contains("line 2: has 2 cells"), "{said}");
    // all other lines are features, and counted alike from either
    let folder = Folder::new();
    let of = |name: &str, text: &str, orientation| {
        let layout = Layout { orientation, ..Layout::default() };
        let named = ["ill", "patient", "ID_REF"];
        columns_in(&folder.write(name, text), layout, &named, Vec::new()).unwrap().others
    };
    assert_eq!(of("r.tsv", &rows, Orientation::Rows), of("m.tsv", &matrices[0], Orientation::Columns));
    let error = Pool::read(&folder.write("p.tsv", &matrices[0]), &with.data, "site").unwrap_err();
    assert!(error.message.contains("data.orientation"), "{error}");
    let parquet = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tables/same.parquet")).unwrap();
    let said = refused(&with, parquet);
    assert!(said.contains("is Parquet") && said.contains("data.orientation"), "{said}");
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/golden/tables/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The workbooks were written by openpyxl, xlwt and odfpy (golden/tables/books.py), the CSV by Python.
#[test]
fn a_workbook_has_the_rows_of_the_csv_that_is_saved_of_it() {
    let of = |features: &str| {
        spec(&format!(
            "{features}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\ngroup = \"patient\"\nmissing = \"mean\"\n\
             categorical = [{{ column = \"smokes\", levels = [\"TRUE\", \"FALSE\"] }}, \
             {{ column = \"remark\", levels = [\"plain\", \"with, comma\", \"\\\"quoted\\\"\", \"two lines\"] }}]"
        ))
    };
    let with = of("features = { columns = [\"größe\", \"crp\"] }");
    let wanted = read(&with, golden("book.csv")).unwrap();
    assert_eq!((wanted.rows(), wanted.missing), (40, 6));
    let folder = Folder::new();
    for name in ["book.xlsx", "book.xls", "book.ods"] {
        let bytes = golden(name);
        let path = folder.write(name, &bytes);
        let found = read_file(&path, &with.data, &[3; 32], &Reading::default()).unwrap();
        assert_eq!(found.hash, consilium_aggregation::blob_hash(&bytes), "{name}: the hash is that of the file");
        let table = found.table.unwrap();
        assert_eq!(bits(&table.values().unwrap()), bits(&wanted.values().unwrap()), "{name}");
        assert_eq!((&table.labels, &table.groups), (&wanted.labels, &wanted.groups), "{name}");
        // a date is no number, though a workbook keeps it as one
        let said = refused(&of("features = { columns = [\"seen\"] }"), &bytes);
        assert!(said.contains("line 2, column \"seen\": is not a number"), "{name}: {said}");
        let (report, words) = look(&with, &bytes);
        assert!(report.usable && report.columns == 7, "{name}: {words}");
    }
    let said = refused(&with, golden("two.xlsx"));
    assert!(said.contains("is a workbook of 2 sheets with cells"), "{said}");
    // a study whose texts have decimal commas takes a workbook's numbers as they are
    let comma = of("features = { columns = [\"größe\", \"crp\"] }\ndecimal = \"comma\"");
    let path = folder.write("book.xlsx", golden("book.xlsx"));
    let table = read_table(&path, &comma.data, &[3; 32]).unwrap();
    assert_eq!(bits(&table.values().unwrap()), bits(&wanted.values().unwrap()));
    // no room is made for all that lies between the table and a cell far away
    let error = read(&with, golden("wide.xlsx")).unwrap_err();
    assert_eq!(error.code, FailureCode::OutOfMemory, "{error}");
    assert!(error.message.contains("spans at least 1048576 rows and 16384 columns"), "{error}");
    let half = golden("book.xlsx");
    let error = read(&with, &half[..half.len() / 2]).unwrap_err();
    assert!(
        error.code == FailureCode::DataUnreadable && error.message.contains("cannot be read as a workbook"),
        "{error}"
    );
    let header =
        columns_in(&folder.write("b.ods", golden("book.ods")), Layout::default(), &["ill"], Vec::new()).unwrap();
    assert_eq!(header.names, ["patient", "größe", "crp", "remark", "seen", "smokes", "ill"]);
}
