//! The Wisconsin diagnostic breast-cancer data, shared out over four sites.
//!
//! 569 patients, 30 features, in `breast-cancer.csv`: Wolberg, Mangasarian, Street and Street 1993, from the UCI Machine
//! Learning Repository (CC BY 4.0), in the order and with the numbers of scikit-learn's copy. Malignant is the positive
//! class.

use crate::{
    data::Partition,
    random::{key, Stream},
};
use std::{fmt::Write as _, fs, io, path::Path, sync::LazyLock};

/// Names of the four sites, their patients, and how many of these are malignant.
pub const SITES: [(&str, usize, usize); 4] =
    [("hospital-a", 200, 20), ("hospital-b", 110, 77), ("hospital-c", 75, 38), ("hospital-d", 70, 35)];
/// Patients held out of everything, and how many of these are malignant.
pub const HELD_OUT: (usize, usize) = (114, 42);
/// Column of the label.
pub const LABEL: &str = "diagnosis";

/// All patients.
pub struct Patients {
    /// Names of the features.
    pub features: Vec<String>,
    /// Values, patient by patient.
    pub values: Vec<f32>,
    /// Which patients have a malignant tumour.
    pub malignant: Vec<bool>,
}

impl Patients {
    /// One patient's values.
    pub fn row(&self, patient: usize) -> &[f32] {
        let width = self.features.len();
        &self.values[patient * width..(patient + 1) * width]
    }
}

static PATIENTS: LazyLock<Patients> = LazyLock::new(|| {
    let mut lines = include_str!("breast-cancer.csv").lines();
    let mut features: Vec<String> = lines.next().unwrap_or_default().split(',').map(String::from).collect();
    // the label's name
    features.pop();
    let (mut values, mut malignant) = (Vec::new(), Vec::new());
    for line in lines {
        let (numbers, label) = line.rsplit_once(',').unwrap_or_default();
        values.extend(numbers.split(',').filter_map(|number| number.parse::<f32>().ok()));
        malignant.push(label == "M");
    }
    Patients { features, values, malignant }
});

/// The embedded table.
pub fn patients() -> &'static Patients {
    &PATIENTS
}

/// A partition of the embedded copy's rows, drawn from a seed, with exactly the numbers of [`SITES`] and [`HELD_OUT`].
pub fn partition(seed: u64) -> Partition {
    let mut classes = [Vec::new(), Vec::new()];
    for (row, malignant) in patients().malignant.iter().enumerate() {
        classes[usize::from(*malignant)].push(row);
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
    let data = patients();
    let partition = partition(seed);
    fs::create_dir_all(dir)?;
    let table = |rows: &[usize]| {
        let mut text = data.features.join(",");
        let _ = writeln!(text, ",{LABEL}");
        for row in rows {
            for value in data.row(*row) {
                let _ = write!(text, "{value},");
            }
            text.push_str(if data.malignant[*row] { "M\n" } else { "B\n" });
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

    /// numpy: `x = load_breast_cancer().data.astype("<f4")`, `hashlib.blake2b(x.tobytes() + bytes(target == 0),
    /// digest_size=32)`; the same of the table of the crate `smartcore` 0.7.0, which was read here before.
    #[test]
    fn the_numbers_are_those_of_scikit_learn_bit_for_bit() {
        let data = patients();
        let mut bytes: Vec<u8> = data.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        bytes.extend(data.malignant.iter().map(|m| u8::from(*m)));
        let hash = hex::encode(sp_crypto_hashing::blake2_256(&bytes));
        assert_eq!(hash, "ab1974d84ff5fc3d6a5eea2e1dc572a98a692bfefea1b540cc93b26c764f1b21");
    }

    #[test]
    fn every_patient_is_in_exactly_one_part_and_the_numbers_are_those_promised() {
        let data = patients();
        assert_eq!((data.malignant.len(), data.features.len(), data.values.len()), (569, 30, 569 * 30));
        // 212 of the 569 are malignant (the data set's own description)
        assert_eq!(data.malignant.iter().filter(|m| **m).count(), 212);
        for seed in 1..=3 {
            let p = partition(seed);
            let malignant = |rows: &[usize]| rows.iter().filter(|r| data.malignant[**r]).count();
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
