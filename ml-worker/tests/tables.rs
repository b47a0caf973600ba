//! What a study may ask of a table beyond numbers and two classes.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::data::{
    columns, own_statistics, read_file, read_table, statistics_of, Prepared, Preprocessing, Reading, Scaler, Split,
};
use consilium_primitives::FailureCode;
use consilium_study::{BadRows, Categorical, Missing, Others, Scaling, StudySpec, Transform};
use made::{read, refused, spec, Folder};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    io::Write as _,
};

const TWO: &str = "features = { columns = [\"a\", \"b\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"";

fn two() -> StudySpec {
    spec(TWO)
}

/// Values whose NaN are equal.
fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| if v.is_nan() { 1 } else { v.to_bits() }).collect()
}

#[test]
fn all_other_columns_are_features_sorted_by_their_names_if_they_are_those_agreed() {
    let folder = Folder::new();
    let path = folder.write("t.csv", "B,ill,a,id,Z,ä\n1,yes,2,77,3,4\n5,no,6,78,7,8\n");
    let header = columns(&path, &["ill"], vec!["id".into()]).unwrap();
    assert_eq!(header.others, Others::of(&["B", "Z", "a", "ä"], vec!["id".into()]));
    assert_eq!(header.names, ["B", "ill", "a", "id", "Z", "ä"]);
    let said = header.to_string();
    let mut others = spec(&format!("{said}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\""));
    let table = read_table(&path, &others.data, &[0; 32]).unwrap();
    assert_eq!(table.features, ["B", "Z", "a", "ä"]);
    assert_eq!(table.values().unwrap(), [1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]);
    // the same columns in another order and dialect
    let again = read(&others, "Z;ä;id;ill;B;a\n3,0;4;77;yes;1;2\n").unwrap();
    assert_eq!(again.row(0).unwrap(), table.row(0).unwrap());

    let more = refused(&others, "B,ill,a,Z,ä,x\n1,yes,2,3,4,5\n");
    assert!(more.contains("has 5 other columns, 1 more than the 4 agreed") && more.contains("ignore"), "{more}");
    let fewer = refused(&others, "B,ill,a,Z\n1,yes,2,3\n");
    assert!(fewer.contains("has 3 other columns, 1 fewer than the 4 agreed"), "{fewer}");
    let unlike = refused(&others, "B,ill,a,Z,y\n1,yes,2,3,4\n");
    assert!(unlike.contains("as many as agreed, but not of the agreed names") && unlike.contains("ml-worker columns"));
    // row numbers are none of them, whatever the program that wrote them calls them
    for name in ["", "__index_level_0__", "Unnamed: 0", "Unnamed: 0.1"] {
        assert_eq!(
            read(&others, format!("{name},B,ill,a,Z,ä\n0,1,yes,2,3,4\n")).unwrap().features,
            ["B", "Z", "a", "ä"]
        );
        let agreed = columns(&folder.write("r.csv", format!("{name},B,ill,a,Z,ä,id\n")), &["ill"], vec!["id".into()]);
        assert_eq!(agreed.unwrap().others, header.others);
    }
    let old = Others::of(&["", "B", "Z", "a", "ä"], Vec::new());
    let said = format!("features = {{ others = {{ count = 5, hash = \"{}\" }} }}", old.hash);
    let old = spec(&format!("{said}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\""));
    assert!(refused(&old, ",B,ill,a,Z,ä\n0,1,yes,2,3,4\n").contains("the column \"\" is not among them"));
    assert!(refused(&others, "B,ill,a,Z,ä,a\n1,yes,2,3,4,5\n").contains("two columns \"a\""));
    others.data.features.others.as_mut().unwrap().ignore.push("x".into());
    read(&others, "B,ill,a,Z,ä,x\n1,yes,2,3,4,no number\n").unwrap();

    for (named, text, why) in [
        (vec!["nothing"], "a,b\n1,2\n", "has no column \"nothing\""),
        (vec!["b"], "a,b,a\n1,2,3\n", "two columns \"a\""),
        (vec!["a"], "a\n1\n", "no other columns"),
    ] {
        let error = columns(&folder.write("u.csv", text), &named, Vec::new()).unwrap_err();
        assert!(error.message.contains("u.csv") && error.message.contains(why), "{error}");
    }
}

#[test]
fn categorical_columns_become_one_input_for_each_level_after_the_numbers_and_unscaled() {
    let mut spec = two();
    spec.data.features.columns = vec!["a".into()];
    let column = |name: &str, levels: &[&str]| Categorical {
        column: name.into(),
        levels: levels.iter().map(|l| (*l).to_owned()).collect(),
        other: None,
    };
    spec.data.categorical = vec![column("sex", &["f", "m"]), column("stage", &["I", "II", "NA"])];
    spec.data.missing = Missing::Mean;
    spec.data.scaling = Scaling::Site;
    assert_eq!((spec.data.numeric(), spec.data.inputs()), (1, 6));
    let text = "stage,a,sex,ill\nII,1,m,yes\nI,3,f,no\nNA,5,,yes\n I ,7, m ,no\n";
    let table = read(&spec, text).unwrap();
    let nan = f64::NAN;
    let wanted = [1.0, 1.0, 1.0, 3.0, 0.0, 0.0, 5.0, nan, 2.0, 7.0, 1.0, 0.0];
    assert_eq!(bits(&table.values().unwrap()), bits(&wanted));
    let all = [0, 1, 2, 3];
    let rows = Scaler::of(&spec.data.scaling, &table, &all, None).unwrap().apply(&table, &all).unwrap();
    let features = rows.features().unwrap();
    let hot: Vec<&[f32]> = features.chunks(6).map(|row| &row[1..]).collect();
    assert_eq!(hot, [[0., 1., 0., 1., 0.], [1., 0., 1., 0., 0.], [0., 0., 0., 0., 1.], [0., 1., 1., 0., 0.]]);
    let root = 5f64.sqrt();
    let scaled: Vec<f32> = features.chunks(6).map(|row| row[0]).collect();
    assert_eq!(scaled, [-3.0, -1.0, 1.0, 3.0].map(|x| (x / root) as f32));
    assert_eq!(statistics_of(&table, &all).unwrap().count.len(), 1, "statistics are of numeric columns only");

    let said = refused(&spec, "stage,a,sex,ill\nII,1,m,yes\nSECRET,3,f,no\n");
    assert!(said.contains("line 3, column \"stage\": is none of the levels") && !said.contains("SECRET"), "{said}");
    spec.data.missing = Missing::Refuse;
    assert!(refused(&spec, text).contains("line 4, column \"sex\": is empty"));
    spec.data.missing = Missing::DropRow;
    let table = read(&spec, text).unwrap();
    assert_eq!((table.rows(), table.dropped), (3, 1));
}

/// Rows of the classes x, y and z by turns, in groups of two rows of neighbouring classes.
fn classed(rows: usize) -> String {
    let mut text = String::from("a,b,ill,who\n");
    for n in 0..rows {
        writeln!(text, "{n},{},{},P{}", n % 7, ["x", "2", "z"][n % 3], n / 2).unwrap();
    }
    text
}

#[test]
fn several_classes_are_numbered_as_declared_and_split_by_the_last_one_of_a_group() {
    let data = "features = { columns = [\"a\", \"b\"] }\nlabel = \"ill\"\nclasses = [\"x\", \"2.0\", \"z\"]\n\
                group = \"who\"";
    let spec = spec(data);
    let table = read(&spec, classed(120)).unwrap();
    assert_eq!(table.labels, (0..120).map(|n| n % 3).collect::<Vec<u32>>());
    assert_eq!(table.classes(0..120), [40, 40, 40]);
    let (training, validation) = Split::of(&table, 0.3).rows(&table);
    // rows 6k..6k+6 are groups of the classes (0, 1), (2, 0) and (1, 2): twenty groups of class 1, forty of class 2
    let groups = |rows: &[usize]| rows.iter().map(|row| row / 2).collect::<BTreeSet<_>>();
    let (trains, validates) = (groups(&training), groups(&validation));
    assert!(trains.is_disjoint(&validates));
    let count = |last: usize| validates.iter().filter(|g| usize::from(**g % 3 != 0) + 1 == last).count();
    assert_eq!((count(1), count(2)), (6, 12));
    let prepared = Prepared::new(&spec, &table, &Split::of(&table, 0.3), None).unwrap();
    assert_eq!(prepared.training.labels(), training.iter().map(|r| *r as u32 % 3).collect::<Vec<_>>());
    let said = refused(&spec, "a,b,ill,who\n1,2,w,P\n");
    assert!(said.contains("line 2, column \"ill\": is none of the study's classes [\"x\", \"2.0\", \"z\"]"), "{said}");
}

#[test]
fn several_labels_stand_side_by_side_and_rare_ones_are_on_both_sides_of_the_split() {
    let data = "features = { columns = [\"a\"] }\nlabels = [\"p\", \"q\", \"r\"]\npositive = \"1\"\nnegative = \"0\"";
    let spec = spec(data);
    let mut text = String::from("q,a,p,r\n");
    for n in 0..200 {
        writeln!(text, "{},{n},{},{}", u8::from(n % 20 == 0), u8::from(n % 2 == 0), u8::from(n % 3 == 0)).unwrap();
    }
    let table = read(&spec, &text).unwrap();
    assert_eq!(table.rows(), 200);
    assert_eq!(table.per_row(), 3);
    assert_eq!(
        (table.label(0), table.label(1), table.label(4), table.label(20)),
        (&[1, 1, 1][..], &[0, 0, 0][..], &[1, 0, 0][..], &[1, 1, 0][..])
    );
    assert_eq!(table.classes(0..200), [100, 10, 67]);
    let (training, validation) = Split::of(&table, 0.3).rows(&table);
    assert_eq!(table.classes(validation.iter().copied())[1], 3, "three of the ten rows of the rarest label");
    assert_eq!(training.len() + validation.len(), 200);
    let prepared = Prepared::new(&spec, &table, &Split::of(&table, 0.3), None).unwrap();
    let mut labels = Vec::new();
    prepared.training.labels_of(&[2, 0], &mut labels);
    assert_eq!(labels, [table.label(training[2]), table.label(training[0])].concat());
    assert!(refused(&spec, "q,a,p,r\n0,1,0,2\n").contains("line 2, column \"r\": is neither"));
    let one = read(&spec, "q,a,p,r\n0,1,1,0\n0,2,1,0\n0,3,1,0\n0,4,1,0\n").unwrap();
    assert_eq!(Prepared::new(&spec, &one, &Split::of(&one, 0.3), None).unwrap_err().code, FailureCode::OneClass);
}

#[test]
fn splits_of_two_classes_are_what_they_always_were() {
    let mut spec = two();
    spec.data.group = Some("who".into());
    let text = classed(300).replace(",x,P", ",yes,P").replace(",2,P", ",no,P").replace(",z,P", ",no,P");
    let table = read(&spec, &text).unwrap();
    // of each class's groups, by their hashes, the first share validates; a group is positive when one of its rows is
    let mut groups: BTreeMap<[u8; 32], bool> = BTreeMap::new();
    for (group, label) in table.groups.iter().zip(&table.labels) {
        *groups.entry(*group).or_default() |= *label == 1;
    }
    let mut validates: BTreeSet<[u8; 32]> = BTreeSet::new();
    for class in [true, false] {
        let own: Vec<_> = groups.iter().filter(|(_, label)| **label == class).map(|(group, _)| *group).collect();
        validates.extend(own.iter().take((own.len() as f64 * 0.3).round() as usize));
    }
    let wanted: (Vec<usize>, Vec<usize>) = (0..300).partition(|row| !validates.contains(&table.groups[*row]));
    assert_eq!(Split::of(&table, 0.3).rows(&table), wanted);
    // the hash of a row without a group, as it was when labels were of two classes alone
    let plain = read(&two(), "a,b,ill\n1.5,-0.0,yes\n").unwrap();
    let bytes = [1.5f64.to_le_bytes().as_slice(), &0.0f64.to_le_bytes(), &[1]].concat();
    assert_eq!(plain.groups[0], *blake3::keyed_hash(&[3; 32], &bytes).as_bytes());
}

#[test]
fn rows_with_empty_cells_are_dropped_and_bad_ones_skipped_as_far_as_agreed() {
    let mut spec = two();
    spec.data.missing = Missing::DropRow;
    let table = read(&spec, "a,b,ill\n1,,yes\n2,3,no\nNA,NA,no\n4,5,yes\n").unwrap();
    assert_eq!((table.rows(), table.dropped, table.missing), (2, 2, 0));
    assert_eq!(table.values().unwrap(), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!((table.labels.len(), table.groups.len()), (2, 2));
    let none = read(&spec, "a,b,ill\n1,,yes\n").unwrap_err();
    assert_eq!(none.code, FailureCode::TooFewSamples);
    assert!(none.message.contains("none of its 1 rows is left"), "{none}");
    assert!(refused(&spec, "a,b,ill\n,x,yes\n").contains("not a number"), "what is no number is not missing");

    spec.data.missing = Missing::Refuse;
    spec.data.bad_rows = BadRows::Skip { at_most: 0.5 };
    let bad = "1,2\nx,3,no\n4,5,maybe\n6,,no\n";
    let good = "1,2,no\n3,4,yes\n5,6,no\n7,8,yes\n";
    let table = read(&spec, format!("a,b,ill\n{bad}{good}")).unwrap();
    assert_eq!((table.rows(), table.skipped), (4, 4));
    assert_eq!(table.values().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let said = refused(&spec, format!("a,b,ill\n9,9,no\n{bad}x,1,no\n1,2,no\n3,4,yes\n"));
    assert!(said.contains("5 of 8 rows cannot be read, more than the share of 0.5"), "{said}");
    assert!(said.contains("the first: line 3: has 2 cells"), "{said}");
    // which number is meant is no matter of one row
    assert!(refused(&spec, "a;b;ill\n1,5;2;no\n1.5;2;no\n1;2;yes\n1;2;no\n").contains("decimal point"));
}

#[test]
fn numbers_are_transformed_before_they_are_scaled() {
    let mut spec = two();
    spec.data.features.columns = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
    spec.data.missing = Missing::Mean;
    let text = "a,b,c,d,e,ill\n3,1,3,-0.0,0,yes\n5,,1,2,NA,no\n";
    spec.data.transform = Transform::Rank;
    let table = read(&spec, text).unwrap();
    assert_eq!(table.row(0).unwrap()[0], 3.0, "a table keeps what it read");
    let own = own_statistics(&table, &[0, 1]).unwrap();
    let ranks = [[0.9, 0.6, 0.9, 0.3, 0.3], [1.0, f64::NAN, 1.0 / 3.0, 2.0 / 3.0, f64::NAN]];
    let features = Scaler::identity(&own).apply(&table, &[0, 1]).unwrap().features().unwrap();
    assert_eq!(features[..5], ranks[0].map(|r| r as f32));
    assert_eq!([features[5], features[7], features[8]], [ranks[1][0], ranks[1][2], ranks[1][3]].map(|r| r as f32));
    assert_eq!([features[6], features[9]], [0.6, 0.3].map(|r: f64| r as f32), "the mean of known ranks");
    assert_eq!(own.mean[0], 0.9 + (1.0 - 0.9) / 2.0);

    spec.data.transform = Transform::Log1p;
    let table = read(&spec, "a,b,c,d,e,ill\n0,1,2,3,4,yes\n-0.5,NA,2,3,4,no\n").unwrap();
    let own = own_statistics(&table, &[0, 1]).unwrap();
    assert_eq!(own.mean[1], 1f64.ln_1p());
    let features = Scaler::identity(&own).apply(&table, &[1]).unwrap().features().unwrap();
    assert_eq!(features, [-0.5f64, 1.0, 2.0, 3.0, 4.0].map(|x| x.ln_1p() as f32));
    let said = refused(&spec, "a,b,c,d,e,ill\n0,1,2,3,4,yes\n0,1,-1,3,4,yes\n");
    assert!(said.contains("line 3, column \"c\"") && said.contains("ln(1 + x)"), "{said}");
}

/// Sixty rows of numbers of different sizes.
fn sixty() -> String {
    let mut text = String::from("a,b,ill\n");
    for n in 0..60 {
        let b = if n % 9 == 4 { String::new() } else { format!("{}", (n * n) % 37) };
        writeln!(text, "{}.5,{b},{}", 1_000 + n * 13 % 59, if n % 3 == 0 { "yes" } else { "no" }).unwrap();
    }
    text
}

#[test]
fn each_scaling_looks_at_the_rows_that_it_says() {
    let mut spec = two();
    spec.data.missing = Missing::Mean;
    let table = read(&spec, sixty()).unwrap();
    let split = Split::of(&table, 0.3);
    let (training, validation) = split.rows(&table);
    // written out: mean and deviation of the known values of some rows, and rows scaled by them
    let figures = |rows: &[usize], column: usize| {
        let known: Vec<f64> =
            rows.iter().map(|r| table.row(*r).unwrap()[column]).filter(|value| !value.is_nan()).collect();
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        (mean, (known.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
    };
    let close = |found: &[f32], rows: &[usize], by: &[usize]| {
        for (row, found) in rows.iter().zip(found.chunks(2)) {
            for (column, found) in found.iter().enumerate() {
                let (mean, deviation) = figures(by, column);
                let value = table.row(*row).unwrap()[column];
                let wanted = if value.is_nan() { 0.0 } else { (value - mean) / deviation };
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "row {row}: {found} instead of {wanted}");
            }
        }
    };
    for (scaling, by) in [(Scaling::Site, &training), (Scaling::Transductive, &validation)] {
        spec.data.scaling = scaling.clone();
        assert_eq!(spec.statistics_len().unwrap(), 0, "no statistics are asked for");
        let prepared = Prepared::new(&spec, &table, &split, None).unwrap();
        close(&prepared.training.features().unwrap(), &training, &training);
        close(&prepared.validation.features().unwrap(), &validation, by);
        // what travels with a model gives the same rows elsewhere, and after it was written down
        let json = serde_json::to_string(&prepared.preprocessing).unwrap();
        let again: Preprocessing = serde_json::from_str(&json).unwrap();
        assert_eq!(again, prepared.preprocessing);
        let rows = again.rows(&table).unwrap().features().unwrap();
        let all: Vec<usize> = (0..table.rows()).collect();
        close(&rows, &all, if scaling == Scaling::Site { &training } else { &all });
    }
    let other = Preprocessing { spec: self::spec(&TWO.replace("\"a\", ", "")).data, scaler: Scaler::transductive() };
    assert_eq!(other.rows(&table).unwrap_err().code, FailureCode::SchemaMismatch);
}

#[test]
fn packed_files_are_read_as_plain_ones_up_to_a_bound() {
    let pack = |text: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    };
    let (mut spec, text) = (two(), sixty());
    spec.data.missing = Missing::Mean;
    let plain = read(&spec, &text).unwrap();
    let folder = Folder::new();
    // in two members, as when files are put one behind the other; whatever the name says
    let (one, two) = text.split_at(500);
    let packed = [pack(one.as_bytes()), pack(two.as_bytes())].concat();
    let path = folder.write("t.csv", &packed);
    let found = read_file(&path, &spec.data, &[3; 32], &Reading::default()).unwrap();
    assert_eq!(found.hash.0, *blake3::hash(&packed).as_bytes(), "the hash is of the file as it is");
    let table = found.table.unwrap();
    assert_eq!(bits(&table.values().unwrap()), bits(&plain.values().unwrap()));
    assert_eq!((table.labels, table.groups), (plain.labels, plain.groups));
    // a line is that of the text within
    let bad = folder.write("u.csv.gz", pack(text.replace("yes", "maybe").as_bytes()));
    assert!(read_table(&bad, &spec.data, &[3; 32]).unwrap_err().message.contains("u.csv.gz, line 2, column \"ill\""));
    let cut = folder.write("cut.csv.gz", &packed[..packed.len() - 20]);
    assert_eq!(read_table(&cut, &spec.data, &[3; 32]).unwrap_err().code, FailureCode::DataUnreadable);
    // a small file of many rows
    let bomb = folder.write("bomb.csv.gz", pack(format!("a,b,ill\n{}", "1,2,no\n".repeat(200_000)).as_bytes()));
    let how = Reading { allowance: 100_000, folder: Some(folder.0.path().join("copies")) };
    let error = read_file(&bomb, &spec.data, &[3; 32], &how).unwrap().table.unwrap_err();
    assert_eq!(error.code, FailureCode::OutOfMemory);
    assert!(error.message.contains("unpacks to more than 800000 bytes, 8 times"), "{error}");
}

#[test]
fn what_cannot_be_trained_on_is_refused_by_the_right_code() {
    let plain = two();
    let prepare = |spec: &StudySpec, text: &str| {
        let table = read(spec, text)?;
        Prepared::new(spec, &table, &Split::of(&table, 0.3), None)
    };
    let code = |spec: &StudySpec, text: &str| prepare(spec, text).unwrap_err();
    for (text, wanted, why) in [
        ("a,b,ill\n1,2,no\n3,4,no\n5,6,no\n", FailureCode::OneClass, "of the class \"no\"; both"),
        ("a,b,ill\n1,2,no\n", FailureCode::TooFewSamples, "1 training rows are left"),
        ("a,b,ill\n", FailureCode::TooFewSamples, "no rows"),
        ("", FailureCode::SchemaMismatch, "is empty"),
        ("a,b,ill\n1,2,no,4\n", FailureCode::SchemaMismatch, "line 2: has 4 cells"),
        ("a,b,ill\n1,x,no\n", FailureCode::SchemaMismatch, "column \"b\": is not a number"),
        ("a,b,ill\n1e39,2,no\n3,4,yes\n5,6,no\n7,8,yes\n", FailureCode::NotFinite, "column \"a\": a scaled value"),
    ] {
        let error = code(&plain, text);
        assert_eq!(error.code, wanted, "{text}: {error}");
        assert!(error.message.contains(why), "{text}: {error}");
    }
    let mut three = spec("features = { columns = [\"a\", \"b\"] }\nlabel = \"ill\"\nclasses = [\"x\", \"y\", \"z\"]");
    let error = code(&three, "a,b,ill\n1,2,y\n3,4,y\n5,6,y\n");
    assert_eq!((error.code, error.message.contains("of the class \"y\"; at least two")), (FailureCode::OneClass, true));
    prepare(&three, "a,b,ill\n1,2,y\n3,4,y\n5,6,z\n7,8,z\n").unwrap();
    three.data.scaling = Scaling::Site;
    prepare(&three, "a,b,ill\n1e39,2,y\n-3e38,4,y\n5,6,z\n7,8,z\n").unwrap();
    // a row that never ends
    let long = format!("a,b,ill\n1,2,no\n\"{}", "7".repeat((1 << 26) + 10));
    let error = code(&plain, &long);
    assert!(error.message.contains("t.csv, line 3: has no end within"), "{}", error.message);
}

#[test]
fn the_first_bad_line_is_named_wherever_pieces_are_cut() {
    let spec = two();
    for bad in [2usize, 7_919, 30_000, 59_999] {
        for second in [bad + 1, bad + 20_000] {
            let mut text = String::from("a,b,ill\n");
            for line in 2..80_000 {
                let cell = if line == bad || line == second { "?" } else { "123.25" };
                writeln!(text, "{line},{cell},{}", if line % 2 == 0 { "yes" } else { "no" }).unwrap();
            }
            let path = Folder::new();
            let path = path.write("t.csv", &text);
            for allowance in [1 << 20, 1 << 30] {
                let how = Reading { allowance, folder: None };
                let error = read_file(&path, &spec.data, &[0; 32], &how).unwrap().table.unwrap_err();
                assert!(error.message.contains(&format!("line {bad}, column \"b\": is not a number")), "{error}");
            }
        }
    }
}
