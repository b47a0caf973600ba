//! A scale that a study names.
#![allow(clippy::unwrap_used)]

use consilium_study::{StudyFile, StudySpec};

#[test]
fn an_agreed_scale_names_each_numeric_column_once() {
    let text = |fixed: &str| {
        format!(
            "title = \"t\"\n[data]\nfeatures = {{ columns = [\"age\", \"crp\"] }}\nlabel = \"ill\"\npositive = \"1\"\n\
             negative = \"0\"\nscaling = {{ fixed = {{ {fixed} }} }}\n[model.logistic]\n[training]\noptimizer = {{ sgd = {{ \
             learning_rate = 0.1 }} }}\nbatch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.25\n[rules]\n\
             rounds = 1\ntraining_seconds = 1\n"
        )
    };
    let spec = StudyFile::parse(&text("crp = [8, 20.5], age = [61.0, 12]")).unwrap().spec();
    // in the order of the columns, whatever the order in the file
    let columns = || spec.data.features.columns.iter().map(String::as_str);
    assert_eq!(spec.data.scaling.agreed(columns()), Some((vec![61.0, 8.0], vec![12.0, 20.5])));
    assert_eq!(spec.statistics_len().unwrap(), 0, "nothing is shared");
    let canonical = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(canonical.contains(r#""scaling":{"fixed":{"age":[61.0,12.0],"crp":[8.0,20.5]}}"#), "{canonical}");
    assert_eq!(StudySpec::from_canonical(canonical.as_bytes()).unwrap(), spec);
    for (fixed, words) in [
        ("age = [61, 12]", "data.scaling.fixed: says nothing of the column \"crp\""),
        ("age = [61, 12], crp = [8, 0]", "data.scaling.fixed.crp: must be [centre, deviation]"),
        ("age = [61, 12], crp = [inf, 1]", "data.scaling.fixed.crp: must be [centre, deviation]"),
        ("age = [61, 12], crp = [8, 20], sex = [0, 1]", "data.scaling.fixed.sex: is no numeric feature"),
        ("age = [61, 12], crp = [8, 20], \" crp\" = [8, 20]", "is named twice"),
    ] {
        let error = StudyFile::parse(&text(fixed)).unwrap_err().to_string();
        assert!(error.contains(words), "{fixed}: {error}");
    }
}
