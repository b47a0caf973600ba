//! Which layers keep the rows of a batch apart, as private training needs it of all: a record's part in a step is bounded only where
//! nothing of it goes by way of other rows.

use crate::{
    architecture::Architecture,
    error::{wrong, SpecError},
    nodes::{Node, Op},
};

impl Op {
    /// Whether what it makes of a row depends on no other row of the batch. An operation that is not on this list is refused beside
    /// `[privacy]`, at enrolment and by the worker: who adds one also shows in the engine's tests that it keeps rows apart.
    pub fn keeps_rows_apart(&self) -> bool {
        matches!(
            self,
            Self::Dense { .. }
                | Self::Conv2d { .. }
                | Self::MaxPool { .. }
                | Self::AveragePool { .. }
                | Self::GlobalAveragePool
                | Self::Norm { .. }
                | Self::Activation(_)
                | Self::Dropout(_)
                | Self::Flatten
                | Self::Residual { .. }
        )
    }
}

impl Architecture {
    /// Whether every layer keeps the rows of a batch apart.
    ///
    /// # Errors
    /// The first layer that may not.
    pub fn keeps_rows_apart(&self) -> Result<(), SpecError> {
        self.apart_by(&Op::keeps_rows_apart)
    }

    fn apart_by(&self, apart: &dyn Fn(&Op) -> bool) -> Result<(), SpecError> {
        match first(&self.nodes, apart) {
            None => Ok(()),
            Some(node) => Err(wrong(
                node.path.clone(),
                "may mix the rows of a batch, so that no record's part in a step can be bounded: leave the layer out, or train \
                 without [privacy]",
            )),
        }
    }
}

/// The first layer that is not apart, those inside of others included.
fn first<'n>(nodes: &'n [Node], apart: &dyn Fn(&Op) -> bool) -> Option<&'n Node> {
    nodes.iter().find_map(|node| match &node.op {
        op if !apart(op) => Some(node),
        Op::Residual { branch, shortcut } => first(branch, apart).or_else(|| first(shortcut, apart)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Model, Penalty};

    /// One of every layer.
    const EVERY: &str = r#"{"layers": [
        {"conv2d": {"filters": 4, "kernel": 3, "padding": 1}}, {"max_pool": {"size": 2}}, {"group_norm": {"groups": 2}},
        {"residual": {"branch": [{"activation": "silu"}], "shortcut": [{"conv2d": {"filters": 4, "kernel": 1}}]}},
        {"average_pool": {"size": 2, "stride": 1}}, {"dropout": 0.3}, "global_average_pool", "flatten", {"dense": {"units": 5}}]}"#;

    fn paths(nodes: &[Node], all: &mut Vec<(String, Op)>) {
        for node in nodes {
            all.push((node.path.clone(), node.op.clone()));
            if let Op::Residual { branch, shortcut } = &node.op {
                paths(branch, all);
                paths(shortcut, all);
            }
        }
    }

    #[test]
    fn every_layer_that_mixes_rows_is_refused_under_privacy() {
        let model: Model = serde_json::from_str(EVERY).unwrap();
        let network = Architecture::new(&model, &[2, 6, 6], 3, Penalty::default()).unwrap();
        network.keeps_rows_apart().unwrap();
        let mut all = Vec::new();
        paths(&network.nodes, &mut all);
        assert_eq!(all.len(), 12, "{all:?}");
        for (path, mixes) in &all {
            let said = network.apart_by(&|op| op != mixes).unwrap_err();
            assert_eq!(&said.field, path);
            assert!(said.problem.contains("leave the layer out"), "{said}");
        }
    }
}
