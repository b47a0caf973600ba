//! Whether rows to measure on are others than those trained on.

use anyhow::{bail, Result};
use consilium_ml_worker::data::Table;
use consilium_study::DataSpec;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

/// Refuses held-out rows of patients whose other rows are trained on. Both tables must have been read with the same key.
///
/// Where the study names no group, rows are known by their values: equal ones are counted, logged and given back in words,
/// and refused where no held-out row is another.
pub fn apart(spec: &DataSpec, train: (&Path, &Table), test: (&Path, &Table)) -> Result<Option<String>> {
    let there: HashSet<&[u8; 32]> = train.1.groups.iter().collect();
    let shared = test.1.groups.iter().filter(|group| there.contains(group)).count();
    if shared == 0 {
        return Ok(None);
    }
    let (trained, held_out, rows) = (train.0.display(), test.0.display(), test.1.rows());
    if let Some(group) = &spec.group {
        bail!(
            "{trained} and {held_out}: rows of the same {group:?} are in both; held-out rows must be of others than those \
             trained on"
        );
    }
    if shared == rows {
        bail!(
            "{held_out}: each of its {rows} rows is in {trained}, too; held-out rows must be others than those trained on"
        );
    }
    let words = format!(
        "{held_out}: {shared} of its {rows} rows are equal to rows of {trained}; if they are the same patients, figures on \
         them flatter: take them out, or name a group column in the study"
    );
    tracing::warn!("{words}");
    Ok(Some(words))
}

/// Says of two sites or more how many values of the group column are at more than one of them. All must have been read with the
/// same key.
pub fn at_several(group: &str, sites: &[(String, HashSet<[u8; 32]>)]) -> Option<String> {
    let mut at: HashMap<&[u8; 32], usize> = HashMap::new();
    sites.iter().flat_map(|(_, groups)| groups).for_each(|one| *at.entry(one).or_default() += 1);
    let shared = |one: &[u8; 32]| at.get(one).is_some_and(|sites| *sites > 1);
    let count = at.values().filter(|sites| **sites > 1).count();
    let names = sites.iter().filter(|(_, groups)| groups.iter().any(shared)).map(|(name, _)| name.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    (count > 0).then(|| {
        format!(
            "{count} values of {group:?} are at more than one site ({names}): if they are the same patients, some are trained on at one \
             site and measured on at another, and figures flatter; if each site numbers its own, all is well"
        )
    })
}
