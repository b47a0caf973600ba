//! What a trainer is told, by the schema that the page gives to whoever writes one; rows that are written once; tensors that never change.

use super::*;
use consilium_study::Model;
use serde_json::Value;
use std::{os::unix::fs::MetadataExt, path::PathBuf};

const SCHEMA: &str = include_str!("../../../docs/external/job.schema.json");

/// Where a value is not as a schema asks, by those words of JSON Schema that the page's has; another word is an error of this test.
fn broken(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let number = |asked: &Value| asked.as_u64().unwrap();
    for (word, asked) in schema.as_object().unwrap() {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" | "properties" | "additionalProperties" | "items" => true,
            "type" => match asked.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_u64(),
                other => panic!("type {other}"),
            },
            "const" => value == asked,
            "enum" => asked.as_array().unwrap().contains(value),
            "minimum" => value.as_u64().is_some_and(|value| value >= number(asked)),
            "exclusiveMaximum" => value.as_u64().is_some_and(|value| value < number(asked)),
            "required" => asked.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            other => panic!("{other}"),
        };
        if !holds {
            found.push(format!("{at}: {word} {asked}"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let place = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => found.extend(broken(schema, value, &place)),
            (None, Value::Bool(false)) => found.push(format!("{place}: is not in it")),
            (None, schema) if schema.is_object() => found.extend(broken(schema, value, &place)),
            (None, _) => {}
        }
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        found.extend(broken(&schema["items"], item, at));
    }
    found
}

/// The job that lies in a trainer's folder.
fn told(lab: &Lab) -> Value {
    serde_json::from_slice(&fs::read(folder(lab).join("in/job.json")).unwrap()).unwrap()
}

/// The files of rows there, each with the number by which the disk knows it: one that is written anew has another.
fn rows(lab: &Lab) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<(PathBuf, u64)> = below(&folder(lab).join("rows"))
        .into_iter()
        .map(|path| {
            let inode = fs::metadata(&path).unwrap().ino();
            (path, inode)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn jobs_are_as_their_schema_says_and_rows_are_written_once() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let fits = |told: &Value| assert_eq!(broken(&schema, told, "job"), Vec::<String>::new(), "{told:#}");
    let lab = lab(study("steps = 2\ndeep = { a = [1, 2] }", true), &allowed(forms()[0], SLEEPLESS));
    let base = begin(&lab);
    lab.done(&lab.order(DutyKind::Train, 1, Some(base), None));
    let (job, first) = (told(&lab), rows(&lab));
    assert_eq!(
        (&job["kind"], &job["round"], &job["local"]),
        (&"train".into(), &1.into(), &serde_json::json!(["rounds"]))
    );
    assert_eq!(job["settings"]["deep"]["a"], serde_json::json!([1, 2]));
    fits(&job);
    lab.done(&lab.order(DutyKind::Train, 2, Some(base), None));
    assert_eq!(told(&lab)["round"], 2);
    assert!(first.len() >= 2 && rows(&lab) == first, "{first:?}");
    lab.done(&lab.order(DutyKind::Evaluate, 2, Some(base), None));
    let job = told(&lab);
    assert_eq!(job["kind"], "predict");
    fits(&job);
    // what is not as it says is found
    let mut wrong = job;
    (wrong["more"], wrong["outputs"], wrong["inputs"]) = (1.into(), 0.into(), serde_json::json!(["30"]));
    assert_eq!(broken(&schema, &wrong, "job").len(), 3, "{wrong:#}");
}

#[test]
fn what_never_changes_is_not_sent_whatever_it_weighs() {
    use safetensors::Dtype::F32;
    let mut spec = study("steps = 5", false);
    let bytes = tensors(&[
        ("weight", F32, vec![1, 30], vec![0; 120]),
        ("bias", F32, vec![1], vec![0; 4]),
        ("deep.weight", F32, vec![100, 100], vec![0; 40_000]),
    ]);
    spec.initial = Some(NamedFile::of(&bytes));
    let Model::External(external) = &mut spec.model else { panic!("it has a trainer of its own") };
    external.frozen = vec!["deep.".into()];
    spec.check().unwrap();
    let lab = lab(spec, &allowed(forms()[0], SLEEPLESS));
    lab.blobs().put(&bytes).unwrap();
    let order = lab.order(DutyKind::Train, 1, Some(begin(&lab)), None);
    let DutyOutput::Update { root, .. } = lab.done(&order) else { panic!() };
    let (update, layout) = (fs::read(lab.blob(&root)).unwrap(), lab.spec.layout().unwrap());
    assert_eq!(ModelFile::decode_update(&update, &layout, &order.duty.hash()).unwrap().data.len(), 31);
    assert!(update.len() as u64 == layout.file_len(true) && update.len() < 1_000, "{}", update.len());
    // nor is it written from round to round: the trainer has it from the file that the study begins with
    let given = fs::read(folder(&lab).join("in/model.safetensors")).unwrap();
    let mut names: Vec<String> =
        safetensors::SafeTensors::deserialize(&given).unwrap().names().iter().map(|name| name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["bias", "weight"]);
    assert!(fs::read(folder(&lab).join("initial.safetensors")).unwrap() == bytes);
}
