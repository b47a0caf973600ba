//! What a file of ONNX says of itself: names and values for whoever has the file alone (docs/packages.md).

use super::proto::StringStringEntryProto;
use crate::{desk::Bundle, learn::figures::outputs};
use anyhow::Result;
use consilium_study::{DataSpec, Missing, Task};
use serde_json::{json, Value};

/// Version of these names: one that a reader knows keeps its meaning.
const VERSION: u32 = 1;

/// Entries of the metadata. What is no plain text is JSON.
pub fn metadata(bundle: &Bundle, names: Option<&[String]>) -> Result<Vec<StringStringEntryProto>> {
    let spec = &bundle.spec;
    let data = &spec.data;
    let mut entries = vec![
        ("consilium_onnx", VERSION.to_string()),
        ("title", spec.title.clone()),
        ("task", task(data).into()),
        ("outputs", json!(outputs(data)).to_string()),
        ("spec_hash", hex::encode(spec.hash()?)),
        ("model_hash", hex::encode(bundle.model_hash()?)),
        ("made", serde_json::to_string(&bundle.made)?),
    ];
    match &data.pictures {
        Some(pictures) => {
            let mut size = json!({ "height": pictures.height, "width": pictures.width });
            if pictures.channels > 1 {
                size["channels"] = pictures.channels.into();
            }
            entries.push(("pictures", size.to_string()));
        }
        None => {
            let filled = data.missing == Missing::Mean && bundle.knows_means();
            entries.push(("empty_cells", if filled { "mean" } else { "refused" }.into()));
        }
    }
    if data.numeric() > 0 {
        entries.push(("numeric", numeric(data, names).to_string()));
    }
    if !data.categorical.is_empty() {
        let columns = data.categorical.iter().map(|c| {
            let levels: Vec<&str> = c.levels.iter().map(|level| level.trim()).collect();
            let mut column = json!({ "column": c.column.trim(), "levels": levels });
            if let Some(other) = &c.other {
                column["other"] = other.trim().into();
            }
            column
        });
        entries.push(("categorical", Value::Array(columns.collect()).to_string()));
    }
    if let Task::Binary = data.task() {
        entries.push(("negative", data.negative.clone()));
    }
    if let Task::Events(_) = data.task() {
        entries.push(("times", json!(data.cuts()).to_string()));
    }
    let cuts: Vec<Value> =
        bundle.cuts_of_all().into_iter().map(|(chosen, cuts)| json!({ "chosen": chosen, "cuts": cuts })).collect();
    if !cuts.is_empty() {
        entries.push(("cuts", Value::Array(cuts).to_string()));
    }
    if let Some(by) = bundle.recalibration() {
        entries.push(("recalibration", serde_json::to_string(&by)?));
    }
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
    Ok(entries.into_iter().map(entry).collect())
}

fn task(data: &DataSpec) -> &'static str {
    match data.task() {
        Task::Binary => "binary",
        Task::Classes(_) => "classes",
        Task::Labels(_) => "labels",
        Task::Value => "value",
        Task::Events(_) => "events",
    }
}

/// Names of the numeric columns; where they are not known, what the study says in their place.
fn numeric(data: &DataSpec, names: Option<&[String]>) -> Value {
    match (names, &data.features.others) {
        (Some(names), _) => names.iter().map(|name| name.trim()).collect(),
        (None, others) => json!({ "others": others }),
    }
}
