//! A model as a file of ONNX (Open Neural Network Exchange), with what is done to rows before the network and to its outputs
//! after it: what `predict` does, for programs that know nothing of this project.
//!
//! Operator set 17 and intermediate representation 8, of June 2022: old enough for what hospitals run, and known to every
//! runtime since. Operators that came later, or that round otherwise, are written out.

mod about;
mod graph;
mod network;
mod proto;
mod rank;
mod rows;

use crate::{data::Scaler, desk::Bundle};
use anyhow::{bail, Result};
use consilium_study::{DataSpec, Features, Loss, Missing, Others, Task};
use graph::{Graph, ML};
use network::Network;
use prost::Message;
use proto::{element, AttributeProto, ModelProto, OperatorSetIdProto};
use rows::{Numbers, Ready};

/// Version of ONNX' operators.
pub const OPERATORS: i64 = 17;
/// Version of its operators for tables.
const TABLES: i64 = 2;
/// Version of its file format.
const REPRESENTATION: i64 = 8;
/// Bytes that a file of this kind can have: protocol buffers count them in 31 bits.
const MOST: usize = i32::MAX as usize;

/// A model's file. `names`: the numeric columns' names, where the study only counts them (`data.features.others`), sorted as
/// the model takes them; without them the file says how many there are, and their hash.
///
/// Outputs are those of `predict` but for the order in which 32-bit floats are added up. Of a row that `predict` would refuse
/// all outputs are NaN.
///
/// # Errors
/// What cannot be said in ONNX: a model that a program of its own computes with, rows that are scaled by each other; names
/// that are not those agreed, or that are needed and not there; a model that is too large for such a file.
pub fn export(bundle: &Bundle, names: Option<&[String]>) -> Result<Vec<u8>> {
    let spec = &bundle.spec;
    if spec.model.external().is_some() {
        bail!(
            "this study's model is trained by a program of its own (model.external), and only that one can compute with it: \
             export the model with that program's own tools"
        );
    }
    let names = columns(&spec.data, names)?;
    let mut graph = Graph::default();
    let ready = match &spec.data.pictures {
        Some(pictures) => rows::pictures(&mut graph, pictures),
        None => rows::table(&mut graph, &spec.data, &numbers(bundle, names)?),
    };
    let architecture = spec.architecture()?;
    let network = Network::new(&mut graph, &architecture, &spec.layout()?, &bundle.parameters);
    let logits = network.logits(ready.rows.clone());
    outputs(&mut graph, bundle, &ready, &logits);
    let mut opset_import = vec![OperatorSetIdProto { domain: String::new(), version: OPERATORS }];
    if graph.uses_ml() {
        opset_import.push(OperatorSetIdProto { domain: ML.into(), version: TABLES });
    }
    let model = ModelProto {
        ir_version: REPRESENTATION,
        producer_name: "consilium".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: spec.title.clone(),
        graph: Some(graph.finish("consilium")),
        opset_import,
        metadata_props: about::metadata(bundle, names)?,
    };
    let length = model.encoded_len();
    if length > MOST {
        bail!("this model needs {length} bytes, and a file of ONNX has at most {MOST}");
    }
    Ok(model.encode_to_vec())
}

/// The names of numeric columns, where they are known: those of the study, or those given, held to the study's hash.
fn columns<'a>(spec: &'a DataSpec, given: Option<&'a [String]>) -> Result<Option<&'a [String]>> {
    let Features { columns, others } = &spec.features;
    let Some(others) = others else { return Ok(Some(columns)) };
    let Some(given) = given else { return Ok(None) };
    let found = Others::of(given, others.ignore.clone());
    if found != *others {
        bail!(
            "the {} other columns of the table are not the {} that were agreed (data.features.others): name a table of the study",
            found.count,
            others.count
        );
    }
    Ok(Some(given))
}

/// How numeric columns are scaled and filled.
fn numbers<'a>(bundle: &'a Bundle, names: Option<&[String]>) -> Result<Numbers<'a>> {
    let spec = &bundle.spec.data;
    let scaler: &Scaler = &bundle.preprocessing.scaler;
    let Some([mean, deviation, fill]) = scaler.fixed() else {
        bail!(
            "this model scales the rows of a table by their own mean and deviation (data.scaling \"transductive\"): what it says \
             of a row depends on which others are there, and a file of ONNX takes each row by itself. Agree on \"swarm\" or \
             \"site\" in the next study"
        );
    };
    if let Some(part) = [mean, deviation, fill].iter().find(|part| part.len() != spec.numeric()) {
        bail!("the model's folder scales {} numeric columns, and its study has {}", part.len(), spec.numeric());
    }
    let known = spec.missing == Missing::Mean && bundle.knows_means();
    Ok(Numbers { mean, deviation, fill: known.then_some(fill), codes: codes(spec, names)? })
}

/// The numbers that stand for an empty cell, of each numeric column.
fn codes(spec: &DataSpec, names: Option<&[String]>) -> Result<Vec<Vec<f64>>> {
    let categorical = |name: &String| spec.categorical.iter().any(|c| c.column.trim() == name.trim());
    if let (None, Some(name)) = (names, spec.missing_values_of.keys().find(|name| !categorical(name))) {
        bail!("the study says what is missing in the column {name:?}, but not where it stands: name a table of the study (--data)");
    }
    let numbers = |texts: Vec<&str>| {
        let mut numbers: Vec<f64> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        numbers.retain(|number| number.is_finite());
        numbers
    };
    Ok(match names {
        Some(names) => names.iter().map(|name| numbers(spec.missing_in(name))).collect(),
        None => vec![numbers(spec.missing_values.iter().map(|text| text.trim()).collect()); spec.numeric()],
    })
}

/// Logits, probabilities and, where the model has a recalibration, recalibrated probabilities; of an outcome that is a number
/// predictions in its own unit in place of probabilities. NaN of rows of which nothing can be said. What comes after the logits
/// is computed in 64-bit floats, as `predict` does.
fn outputs(graph: &mut Graph, bundle: &Bundle, ready: &Ready, logits: &str) {
    let spec = &bundle.spec;
    let count = spec.data.task().outputs();
    let nan = graph.floats("nan32", &[], &[f32::NAN]);
    let known = graph.node("Where", &[&ready.unknown, &nan, logits]);
    graph.output(&known, "logits", element::FLOAT, &[count], "what the last layer gives");
    let nan = graph.nan();
    let wide = graph.cast(logits, element::DOUBLE);
    let what = "columns in the order of the metadata's \"outputs\"";
    if spec.data.task() == Task::Value {
        let predictions = told(graph, &wide, bundle);
        let predictions = graph.node("Where", &[&ready.unknown, &nan, &predictions]);
        graph.output(&predictions, "predictions", element::DOUBLE, &[count], what);
        return;
    }
    let probabilities = match (spec.data.task(), spec.training.loss) {
        (Task::Binary, Loss::SquaredError) => {
            let (zero, one) = (graph.doubles("least", &[], &[0.0]), graph.doubles("most", &[], &[1.0]));
            graph.node("Clip", &[&wide, &zero, &one])
        }
        (Task::Events(_), _) => risks(graph, &wide),
        (Task::Binary | Task::Labels(_) | Task::Value, _) => graph.node("Sigmoid", &[&wide]),
        (Task::Classes(_), _) => graph.with("Softmax", &[&wide], vec![AttributeProto::int("axis", 1)]),
    };
    let probabilities = graph.node("Where", &[&ready.unknown, &nan, &probabilities]);
    graph.output(&probabilities, "probabilities", element::DOUBLE, &[count], what);
    let Some(by) = bundle.recalibration() else { return };
    let slope: Vec<f64> = by.iter().map(|by| by.slope).collect();
    let intercept: Vec<f64> = by.iter().map(|by| by.intercept).collect();
    let (slope, intercept) =
        (graph.doubles("slope", &[1, count], &slope), graph.doubles("intercept", &[1, count], &intercept));
    let line = graph.node("Mul", &[&wide, &slope]);
    let line = graph.node("Add", &[&line, &intercept]);
    let recalibrated = graph.node("Sigmoid", &[&line]);
    let recalibrated = graph.node("Where", &[&ready.unknown, &nan, &recalibrated]);
    graph.output(&recalibrated, "recalibrated", element::DOUBLE, &[count], "probabilities after the recalibration");
}

/// An outcome that is a number in its own unit, of what the network gives.
fn told(graph: &mut Graph, standard: &str, bundle: &Bundle) -> String {
    // without it, predictions are told as they are learned
    let (mean, deviation) =
        bundle.preprocessing.scaler.target().map_or((0.0, 1.0), |target| (target.mean, target.deviation));
    let (mean, deviation) =
        (graph.doubles("outcome_mean", &[], &[mean]), graph.doubles("outcome_deviation", &[], &[deviation]));
    let spread = graph.node("Mul", &[standard, &deviation]);
    graph.node("Add", &[&spread, &mean])
}

/// The probability of the event by each cut, of the logits of the intervals' hazards: one less the product of the
/// probabilities of no event in the intervals up to it, as a sum of logarithms, since ONNX has no running product.
fn risks(graph: &mut Graph, hazards: &str) -> String {
    let none = graph.node("Neg", &[hazards]);
    let none = graph.node("Sigmoid", &[&none]);
    let none = graph.node("Log", &[&none]);
    let axis = graph.integers("axis", &[1]);
    let so_far = graph.node("CumSum", &[&none, &axis]);
    let alive = graph.node("Exp", &[&so_far]);
    let one = graph.doubles("one", &[], &[1.0]);
    graph.node("Sub", &[&one, &alive])
}
