//! Which rows train and which validate: decided once per study and site, and kept.

use super::table::Table;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A site's split, as it is kept on disk: keyed hashes of the groups on either side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    training: BTreeSet<String>,
    validation: BTreeSet<String>,
}

impl Split {
    /// A split of the table's groups, each class apart. A group is of the positive class when one of its rows is. Of
    /// each class's groups, ordered by their keyed hashes, the first `share` (rounded to whole groups) validate.
    pub fn of(table: &Table, share: f64) -> Self {
        let mut split = Self::default();
        split.extend(table, share);
        split
    }

    /// Places groups that were not there when the split was made; all others keep their place.
    pub fn extend(&mut self, table: &Table, share: f64) {
        let mut groups: BTreeMap<&[u8; 32], bool> = BTreeMap::new();
        for (group, label) in table.groups.iter().zip(&table.labels) {
            *groups.entry(group).or_default() |= *label;
        }
        for class in [true, false] {
            let of_class: Vec<String> =
                groups.iter().filter(|(_, label)| **label == class).map(|(group, _)| hex::encode(group)).collect();
            let wanted = (of_class.len() as f64 * share).round() as usize;
            let mut there = of_class.iter().filter(|g| self.validation.contains(*g)).count();
            for group in of_class {
                if self.validation.contains(&group) || self.training.contains(&group) {
                    continue;
                }
                if there < wanted {
                    there += 1;
                    self.validation.insert(group);
                } else {
                    self.training.insert(group);
                }
            }
        }
    }

    /// Whether any of the table's groups has a place, or no place was given yet.
    pub fn knows(&self, table: &Table) -> bool {
        let placed = |group: &String| self.training.contains(group) || self.validation.contains(group);
        (self.training.is_empty() && self.validation.is_empty())
            || table.groups.iter().any(|group| placed(&hex::encode(group)))
    }

    /// Positions of the training rows and of the validation rows, in the table's order.
    pub fn rows(&self, table: &Table) -> (Vec<usize>, Vec<usize>) {
        (0..table.rows()).partition(|row| !self.validation.contains(&hex::encode(table.groups[*row])))
    }
}
