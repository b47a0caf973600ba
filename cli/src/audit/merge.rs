//! The one place in which an audit merges models.

use anyhow::{bail, Context, Result};
use consilium_aggregation::{merge, Layout, ModelFile, Plan};
use consilium_primitives::{Hash, Marks, Merge};

/// One update.
pub struct Input<'a> {
    /// Its file.
    pub bytes: &'a [u8],
    /// The duty that the file must name.
    pub duty: Hash,
    /// Its integer weight.
    pub weight: u32,
}

/// Whether a merge looks at the model that its inputs stand on.
pub fn asks_base(rules: &Merge) -> bool {
    Plan::asks_distances(rules) || rules.server.is_some()
}

/// The merged model's file and what the rule did to which update, from the updates in canonical order, the rules, the file of the model that the round started
/// from (`None` where it is not at hand) and the tensors of the study's models.
///
/// # Errors
/// An update that is no valid answer to its duty, by position from 0; updates that cannot be merged; a base that is not at
/// hand, or is no such model.
pub fn merge_models(inputs: &[Input], rules: &Merge, base: Option<&[u8]>, layout: &Layout) -> Result<(Vec<u8>, Marks)> {
    let mut parts = Vec::with_capacity(inputs.len());
    for (position, input) in inputs.iter().enumerate() {
        let file = ModelFile::decode_update(input.bytes, layout, &input.duty)
            .with_context(|| format!("input {position} is no valid update"))?;
        parts.push((file.data, input.weight));
    }
    let whole = layout.with_state(rules.moments())?;
    let base = match base {
        Some(base) => ModelFile::decode(base, &whole).context("the model that the round started from")?.data,
        // nothing comes of it then
        None if !asks_base(rules) => vec![0.0; layout.elements()],
        None => bail!("the model that the round started from is not at hand, and this merge asks for it"),
    };
    let (base, state) = base.split_at(layout.elements());
    let parts: Vec<(&[f32], u32)> = parts.iter().map(|(data, weight)| (data.as_slice(), *weight)).collect();
    let merged = merge(rules, &parts, base, state)?;
    let marks = merged.plan.marks();
    Ok((ModelFile { layout: whole, duty: None, data: [merged.model, merged.state].concat() }.encode()?, marks))
}
