//! What is known of the patients: mean and spread of each column, as every site holds them since the study merged its statistics.

use super::document::{Column, LearnedFrom};
use crate::{institution::folder::BLOBS, plain::seen};
use consilium_aggregation::{blob_hash, Statistics};
use consilium_primitives::Hash;
use consilium_study::{StudySpec, Task, Transform};
use std::{fs, path::Path};

/// Of the study's merged statistics in the own folder. Nothing is read of the own table.
pub fn read(dir: &Path, spec: Option<&StudySpec>, statistics: Option<&Hash>) -> LearnedFrom {
    match columns(dir, spec, statistics) {
        Ok(found) => found,
        Err(missing) => LearnedFrom { missing: Some(missing), ..LearnedFrom::default() },
    }
}

fn columns(dir: &Path, spec: Option<&StudySpec>, statistics: Option<&Hash>) -> Result<LearnedFrom, String> {
    let data = &spec.ok_or("the specification is not known here")?.data;
    if data.pictures.is_some() {
        return Err("the rows are pictures".into());
    }
    let root = statistics.ok_or("this study merges no statistics of columns")?;
    let names = &data.features.columns;
    if names.len() != data.numeric() {
        return Err("the specification names its columns by a hash alone".into());
    }
    // of an outcome that is a number mean and deviation are shared, also where nothing else is
    let outcomes = usize::from(data.task() == Task::Value);
    let features = data.statistics_columns() - outcomes;
    let how = if data.transform == Transform::None { "" } else { ", as it is" };
    let outcome = data.label_columns().into_iter().take(outcomes);
    let outcome = outcome.map(|name| format!("{} (the outcome{how})", seen(name)));
    let names: Vec<String> = names.iter().take(features).map(|name| seen(name)).chain(outcome).collect();
    let bytes = fs::read(dir.join(BLOBS).join(hex::encode(root))).map_err(|_| {
        "the merged statistics are not in this folder any more; a node keeps them for a day after the study's end"
    })?;
    if blob_hash(&bytes) != *root {
        return Err("the merged statistics in this folder are damaged: their bytes do not have their hash".into());
    }
    let found = Statistics::decode(&bytes, names.len(), None).map_err(|error| seen(&error.to_string()))?;
    let numbers = found.count.iter().zip(&found.mean).zip(&found.m2);
    let columns = names.into_iter().zip(numbers).map(|(name, ((count, mean), m2))| Column {
        name,
        values: *count as u64,
        mean: (*count > 0.0).then_some(*mean),
        deviation: (*count > 0.0).then(|| (m2 / count).sqrt()),
    });
    Ok(LearnedFrom {
        missing: None,
        of: match data.transform {
            _ if features == 0 => None,
            Transform::None => None,
            Transform::Log1p => Some("ln(1 + value)".into()),
            Transform::Rank => Some("the values' ranks in their row".into()),
        },
        columns: columns.collect(),
        categories: data.categorical.iter().map(|category| seen(&category.column)).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::{Outcome, Scaling, StudyFile};

    #[test]
    fn columns_are_those_of_the_merged_statistics_and_otherwise_it_is_said_why_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let spec = StudyFile::parse(include_str!("../../../examples/own-csv/study.toml")).unwrap().spec();
        let merged =
            Statistics { count: vec![40.0, 0.0, 41.0], mean: vec![60.0, 0.0, 96.5], m2: vec![4_000.0, 0.0, 41.0] };
        let bytes = merged.encode(None).unwrap();
        let root = blob_hash(&bytes);
        let why = |spec: Option<&StudySpec>, root: Option<&Hash>| read(dir.path(), spec, root).missing.unwrap();
        assert!(why(None, None).contains("specification"));
        assert!(why(Some(&spec), None).contains("no statistics"));
        assert!(why(Some(&spec), Some(&root)).contains("not in this folder"));
        fs::create_dir(dir.path().join(BLOBS)).unwrap();
        let path = dir.path().join(BLOBS).join(hex::encode(root));
        fs::write(&path, &bytes[1..]).unwrap();
        assert!(why(Some(&spec), Some(&root)).contains("damaged"));
        fs::write(&path, &bytes).unwrap();
        let found = read(dir.path(), Some(&spec), Some(&root));
        let columns: Vec<_> = found.columns.iter().map(|c| (c.name.as_str(), c.values, c.mean, c.deviation)).collect();
        let wanted =
            [("age", 40_u64, Some(60.0), Some(10.0)), ("crp", 0, None, None), ("spo2", 41, Some(96.5), Some(1.0))];
        assert_eq!((columns.as_slice(), found.missing, found.of), (&wanted[..], None, None));
    }

    #[test]
    fn an_outcome_that_is_a_number_stands_behind_the_columns_or_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(BLOBS)).unwrap();
        let mut spec = StudyFile::parse(include_str!("../../../examples/own-csv/study.toml")).unwrap().spec();
        (spec.data.label, spec.data.positive, spec.data.negative) = Default::default();
        spec.data.outcome = Some(Outcome::Value { column: "stay".into() });
        let all = ["age", "crp", "spo2", "stay (the outcome)"];
        for (scaling, names) in [(Scaling::Swarm, &all[..]), (Scaling::Site, &all[3..])] {
            spec.data.scaling = scaling;
            let shared = names.len();
            let merged = Statistics { count: vec![40.0; shared], mean: vec![6.0; shared], m2: vec![4_000.0; shared] };
            let bytes = merged.encode(None).unwrap();
            let root = blob_hash(&bytes);
            fs::write(dir.path().join(BLOBS).join(hex::encode(root)), &bytes).unwrap();
            let found = read(dir.path(), Some(&spec), Some(&root));
            assert_eq!(found.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), names, "{:?}", found.missing);
        }
    }
}
