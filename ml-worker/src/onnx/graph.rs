//! A graph while it is being made: operations one after the other, each of which gives one value.

use super::proto::{
    element, AttributeProto, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// The name that stands for however many rows there are.
const ROWS: &str = "rows";
/// The domain of the operators for tables, of which one is used.
pub const ML: &str = "ai.onnx.ml";

/// Operations, constants, inputs and outputs so far.
#[derive(Default)]
pub struct Graph(GraphProto);

impl Graph {
    /// What the file holds.
    pub fn finish(mut self, name: &str) -> GraphProto {
        self.0.name = name.into();
        self.0
    }

    /// Whether an operator for tables is among them.
    pub fn uses_ml(&self) -> bool {
        self.0.node.iter().any(|node| node.domain == ML)
    }

    /// An operation without settings; the name of what it gives.
    pub fn node(&mut self, op: &str, inputs: &[&str]) -> String {
        self.with(op, inputs, Vec::new())
    }

    /// An operation.
    pub fn with(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{}_{}", op.to_lowercase(), self.0.node.len());
        self.add((op, ""), inputs, attributes, vec![output.clone()]);
        output
    }

    /// An operation on tables, of the domain [`ML`].
    pub fn of_tables(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{}_{}", op.to_lowercase(), self.0.node.len());
        self.add((op, ML), inputs, attributes, vec![output.clone()]);
        output
    }

    /// An operation that gives two values.
    pub fn pair(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> (String, String) {
        let name = |n: usize| format!("{}_{}_{n}", op.to_lowercase(), self.0.node.len());
        let pair = (name(0), name(1));
        self.add((op, ""), inputs, attributes, vec![pair.0.clone(), pair.1.clone()]);
        pair
    }

    fn add(
        &mut self,
        (op, domain): (&str, &str),
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        output: Vec<String>,
    ) {
        let (input, name) = (inputs.iter().map(ToString::to_string).collect(), format!("node_{}", self.0.node.len()));
        self.0.node.push(NodeProto { input, output, name, op_type: op.into(), attribute, domain: domain.into() });
    }

    /// A conversion to another type of [`element`].
    pub fn cast(&mut self, value: &str, to: i32) -> String {
        self.with("Cast", &[value], vec![AttributeProto::int("to", i64::from(to))])
    }

    /// A constant of 32-bit floats. Two constants that are to have one name get a number each.
    pub fn floats(&mut self, name: &str, dims: &[usize], numbers: &[f32]) -> String {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.constant(name, element::FLOAT, dims, bytes)
    }

    /// A constant of 64-bit floats.
    pub fn doubles(&mut self, name: &str, dims: &[usize], numbers: &[f64]) -> String {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.constant(name, element::DOUBLE, dims, bytes)
    }

    /// A 64-bit float that is not a number.
    pub fn nan(&mut self) -> String {
        const NAN: &str = "nan";
        match self.0.initializer.iter().any(|tensor| tensor.name == NAN) {
            true => NAN.to_owned(),
            false => self.doubles(NAN, &[], &[f64::NAN]),
        }
    }

    /// A constant of integers, one after the other.
    pub fn integers(&mut self, name: &str, numbers: &[i64]) -> String {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.constant(name, element::INT64, &[numbers.len()], bytes)
    }

    fn constant(&mut self, name: &str, data_type: i32, dims: &[usize], raw_data: Vec<u8>) -> String {
        let taken = self.0.initializer.iter().any(|tensor| tensor.name == name);
        let name = if taken { format!("{name}_{}", self.0.initializer.len()) } else { name.to_owned() };
        let dims = dims.iter().map(|size| *size as i64).collect();
        self.0.initializer.push(TensorProto { dims, data_type, name: name.clone(), raw_data });
        name
    }

    /// An input of so many numbers, or texts, to a row.
    pub fn input(&mut self, name: &str, element: i32, row: &[usize], what: &str) {
        self.0.input.push(value(name, element, row, what));
    }

    /// Gives a value a name by which it comes out.
    pub fn output(&mut self, from: &str, name: &str, element: i32, row: &[usize], what: &str) {
        self.add(("Identity", ""), &[from], Vec::new(), vec![name.to_owned()]);
        self.0.output.push(value(name, element, row, what));
    }
}

fn value(name: &str, elem_type: i32, row: &[usize], what: &str) -> ValueInfoProto {
    let rows = DimensionProto { dim_param: Some(ROWS.into()), dim_value: None };
    let sizes = row.iter().map(|size| DimensionProto { dim_value: Some(*size as i64), dim_param: None });
    let shape = Some(TensorShapeProto { dim: std::iter::once(rows).chain(sizes).collect() });
    let r#type = Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type, shape }) });
    ValueInfoProto { name: name.into(), r#type, doc_string: what.into() }
}
