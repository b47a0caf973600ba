//! Which rows train and which validate: decided once per study and site, and kept.

use crate::data::table::Table;
use consilium_study::Task;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A site's split, as it is kept on disk: keyed hashes of the groups on either side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    training: BTreeSet<String>,
    validation: BTreeSet<String>,
}

impl Split {
    /// A split of the table's groups, each class apart, where there are classes; of times until an event groups with the event and those
    /// without it. Of each class's groups, ordered by their keyed hashes, the first `share` (rounded to whole groups) validate.
    ///
    /// A group's class is the last one, in the study's order, that one of its rows has: of two classes the positive one
    /// when one of its rows is. Where there are several labels, it is that of the group's labels which the fewest of the
    /// site's groups have (the first of those that equally few have), and none where none of its labels holds: so that
    /// rare labels are on both sides.
    pub fn of(table: &Table, share: f64) -> Self {
        let mut split = Self::default();
        split.extend(table, share);
        split
    }

    /// Places groups that were not there when the split was made; all others keep their place.
    ///
    /// Where rows do not say whom they belong to, those that come later train: one of them may be a row whose value was
    /// corrected, and what was trained on before must not be measured on.
    pub fn extend(&mut self, table: &Table, share: f64) {
        let later = !(self.training.is_empty() && self.validation.is_empty());
        let share = if later && !table.form.grouped { 0.0 } else { share };
        let mut classes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (group, class) in strata(table) {
            classes.entry(class).or_default().push(hex::encode(group));
        }
        for of_class in classes.into_values() {
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
        let bytes = |text: &String| {
            let mut group = [0; 32];
            hex::decode_to_slice(text, &mut group).ok().map(|()| group)
        };
        let validation: HashSet<[u8; 32]> = self.validation.iter().filter_map(bytes).collect();
        (0..table.rows()).partition(|row| !validation.contains(&table.groups[*row]))
    }
}

/// Each group's class, by the groups' hashes.
fn strata(table: &Table) -> BTreeMap<&[u8; 32], usize> {
    let rows = || table.groups.iter().zip(0..).map(|(group, row)| (group, table.label(row)));
    let labels = match table.form.task {
        Task::Labels(labels) => labels,
        // there are no classes
        Task::Value => return table.groups.iter().map(|group| (group, 0)).collect(),
        // with an event, and without
        Task::Events(_) => {
            let mut groups: BTreeMap<&[u8; 32], usize> = BTreeMap::new();
            for (group, label) in rows() {
                let class = groups.entry(group).or_default();
                *class = (*class).max(usize::from(label.get(1) == Some(&1)));
            }
            return groups;
        }
        Task::Binary | Task::Classes(_) => {
            let mut groups: BTreeMap<&[u8; 32], usize> = BTreeMap::new();
            for (group, label) in rows() {
                let class = groups.entry(group).or_default();
                *class = label.iter().fold(*class, |last, label| last.max(*label as usize));
            }
            return groups;
        }
    };
    let mut held: BTreeMap<&[u8; 32], BTreeSet<usize>> = BTreeMap::new();
    for (group, label) in rows() {
        held.entry(group).or_default().extend((0..labels).filter(|n| label[*n] == 1));
    }
    let mut counts = vec![0usize; labels];
    for label in held.values().flatten() {
        counts[*label] += 1;
    }
    // no label comes after all of them
    let rarest = |held: BTreeSet<usize>| held.into_iter().min_by_key(|label| counts[*label]).unwrap_or(labels);
    held.into_iter().map(|(group, held)| (group, rarest(held))).collect()
}
