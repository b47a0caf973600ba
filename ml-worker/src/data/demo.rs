//! The Wisconsin diagnostic breast-cancer data, shared out over four sites.
//!
//! 569 patients, 30 features. In the embedded copy a target of 1 means *benign*; here malignant is the positive class.

use crate::{
    data::Partition,
    random::{key, Stream},
};
use std::{fmt::Write as _, fs, io, path::Path};

/// Names of the four sites, their patients, and how many of these are malignant.
pub const SITES: [(&str, usize, usize); 4] =
    [("hospital-a", 200, 20), ("hospital-b", 110, 77), ("hospital-c", 75, 38), ("hospital-d", 70, 35)];
/// Patients held out of everything, and how many of these are malignant.
pub const HELD_OUT: (usize, usize) = (114, 42);
/// Column of the label.
pub const LABEL: &str = "diagnosis";

/// A partition of the embedded copy's rows, drawn from a seed, with exactly the numbers of [`SITES`] and [`HELD_OUT`].
pub fn partition(seed: u64) -> Partition {
    let data = smartcore::dataset::breast_cancer::load_dataset();
    let mut classes = [Vec::new(), Vec::new()];
    for (row, target) in data.target.iter().enumerate() {
        classes[usize::from(*target == 0)].push(row);
    }
    let mut stream = Stream::new(key("consilium/demo/partition/1", &[&seed.to_le_bytes()]));
    for class in &mut classes {
        stream.shuffle(class);
    }
    let [mut benign, mut malignant] = classes;
    let mut take = |rows: usize, positive: usize| {
        let mut part = malignant.split_off(malignant.len() - positive);
        part.extend(benign.split_off(benign.len() - (rows - positive)));
        // the order of the file carries no class
        part.sort_unstable();
        part
    };
    let held_out = take(HELD_OUT.0, HELD_OUT.1);
    let sites = SITES.iter().map(|(_, rows, positive)| take(*rows, *positive)).collect();
    Partition { held_out, sites }
}

/// Secret of a demo site. Known to everyone, which is right for data known to everyone.
pub fn secret(seed: u64, name: &str) -> [u8; 32] {
    key("consilium/demo/secret/1", &[&seed.to_le_bytes(), name.as_bytes()])
}

/// Writes one CSV file and one secret per site, and `held-out.csv`.
///
/// # Errors
/// What the file system says.
pub fn write(seed: u64, dir: &Path) -> io::Result<()> {
    let data = smartcore::dataset::breast_cancer::load_dataset();
    let partition = partition(seed);
    fs::create_dir_all(dir)?;
    let table = |rows: &[usize]| {
        let mut text = data.feature_names.join(",");
        let _ = writeln!(text, ",{LABEL}");
        for row in rows {
            for value in &data.data[row * data.num_features..(row + 1) * data.num_features] {
                let _ = write!(text, "{value},");
            }
            text.push_str(if data.target[*row] == 0 { "M\n" } else { "B\n" });
        }
        text
    };
    for ((name, ..), rows) in SITES.iter().zip(&partition.sites) {
        fs::write(dir.join(format!("{name}.csv")), table(rows))?;
        fs::write(dir.join(format!("{name}.secret")), hex::encode(secret(seed, name)))?;
    }
    fs::write(dir.join("held-out.csv"), table(&partition.held_out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_patient_is_in_exactly_one_part_and_the_numbers_are_those_promised() {
        let data = smartcore::dataset::breast_cancer::load_dataset();
        assert_eq!((data.num_samples, data.num_features), (569, 30));
        // 212 of the 569 are malignant (the data set's own description)
        assert_eq!(data.target.iter().filter(|t| **t == 0).count(), 212);
        for seed in 1..=3 {
            let p = partition(seed);
            let malignant = |rows: &[usize]| rows.iter().filter(|r| data.target[**r] == 0).count();
            assert_eq!((p.held_out.len(), malignant(&p.held_out)), HELD_OUT);
            for (site, (_, rows, positive)) in p.sites.iter().zip(SITES) {
                assert_eq!((site.len(), malignant(site)), (rows, positive));
            }
            let mut all: Vec<usize> = p.sites.concat();
            all.extend(&p.held_out);
            all.sort_unstable();
            assert_eq!(all, (0..569).collect::<Vec<_>>());
        }
        assert_ne!(partition(1).held_out, partition(2).held_out);
    }
}
