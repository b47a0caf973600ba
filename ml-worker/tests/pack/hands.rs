//! What newcomers type, and what they look for in what is printed.

use super::support::finished::{Study, STUDY};
use std::fs;

/// What somebody types who has read no more than what `study fetch` printed.
#[test]
fn a_fetched_folder_is_packed_by_its_name_and_what_was_meant_is_said_where_another_is_named() {
    let study = Study::new("swarm");
    let fetched = study.path("fetched");
    fs::create_dir(&fetched).unwrap();
    for name in ["spec.json", "model.safetensors", "statistics.safetensors"] {
        fs::copy(study.path(name), fetched.join(name)).unwrap();
    }
    // before it is packed it is no model
    for command in ["predict", "evaluate"] {
        let said = study.fails(&format!("{command} --model ./fetched --data ./new.csv"));
        assert!(said.contains("ml-worker pack --dir") && said.contains("fetched/ready"), "{said}");
    }
    study.run(&study.pack());
    study.run("pack --dir ./fetched --out ./fetched/ready");
    let packed = |name: &str| fs::read(study.path(name)).unwrap();
    for name in ["model.safetensors", "model.json"] {
        assert_eq!(packed(&format!("packed/{name}")), packed(&format!("fetched/ready/{name}")), "{name}");
    }
    study.run("predict --model ./fetched/ready --data ./new.csv");
    // a study file in the place of what was signed
    fs::write(study.path("study.toml"), STUDY.replace("SCALING", "swarm")).unwrap();
    let said = study.fails("pack --study ./study.toml --model ./model.safetensors --out ./no");
    assert!(said.contains("study.toml: this is a study file") && said.contains("--dir"), "{said}");
    fs::remove_file(fetched.join("model.safetensors")).unwrap();
    let said = study.fails("pack --dir ./fetched --out ./no");
    assert!(said.contains("fetched: no model.safetensors is in it"), "{said}");
    // a table without its site's secret, and a folder that would lose the study's own files
    let said = study.fails("pack --dir ./fetched --data ./1.csv --out ./no");
    assert!(said.contains("--secret FILE") && said.contains("worker/secret"), "{said}");
    fs::copy(study.path("model.safetensors"), fetched.join("model.safetensors")).unwrap();
    let said = study.fails("pack --dir ./fetched --out ./fetched");
    assert!(said.contains("would be overwritten") && said.contains("fetched/ready"), "{said}");
}

#[test]
fn predictions_have_what_names_their_rows_where_the_table_has_it() {
    let named = STUDY.replace("group =", "id = \"visit\"\ngroup =");
    let study = Study::of("swarm", &named);
    study.run(&study.pack());
    let text = "visit,patient,note,a,b,ill\nv1,p,\"x, y\",40,1,0\n,q,,41,2,1\n v3 ,,z,42,3,\n";
    fs::write(study.path("few.csv"), text).unwrap();
    let column = |line: &str, n: usize| {
        let mut reader = csv::Reader::from_reader(line.as_bytes());
        reader.records().map(|record| record.unwrap()[n].to_owned()).collect::<Vec<_>>()
    };
    let printed = study.run("predict --model ./packed --data ./few.csv --id note");
    assert!(printed.starts_with("row,visit,patient,note,p(1),"), "{printed}");
    assert_eq!(column(&printed, 1), ["v1", "", "v3"]);
    assert_eq!(column(&printed, 2), ["p", "q", ""]);
    assert_eq!(column(&printed, 3), ["x, y", "", "z"]);
    // named twice it is there once; without the columns rows have their numbers
    assert!(study.run("predict --model ./packed --data ./few.csv --id patient").starts_with("row,visit,patient,p(1),"));
    fs::write(study.path("bare.csv"), "a;b\n40;1\n").unwrap();
    let printed = study.run("predict --model ./packed --data ./bare.csv");
    assert!(printed.starts_with("row,p(1),") && printed.lines().nth(1).unwrap().starts_with("1,"), "{printed}");
    let said = study.fails("predict --model ./packed --data ./bare.csv --id visit");
    assert!(said.contains("bare.csv: has no column \"visit\", which --id names"), "{said}");
}
