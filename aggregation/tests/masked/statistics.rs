//! Statistics and figures under masks.

use super::*;
use consilium_aggregation::{
    masked::{
        mask_figures, merge_masked_statistics, sum_figures, ExactStatistics, MaskedLayout, OutOfRange, MIN_VALUES,
    },
    Statistics,
};
use serde_json::Value;

const SITES: usize = 4;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn write(&self, site: usize, bytes: &[u8]) -> InputFile {
        let path = self.dir.path().join(site.to_string());
        fs::write(&path, bytes).unwrap();
        InputFile { path, blob: blob_ref(bytes), duty: Round::duty(site), weight: 1 }
    }
}

fn golden() -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("../golden/masked_statistics.json")).unwrap();
    golden["columns"].as_array().unwrap().clone()
}

fn values(column: &Value, site: usize) -> Vec<f64> {
    column["sites"][site].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// The words of a file after its header.
fn words(bytes: &[u8]) -> &[u8] {
    &bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..]
}

fn exact(columns: &[Value], site: usize) -> ExactStatistics {
    let values: Vec<Vec<f64>> = columns.iter().map(|column| values(column, site)).collect();
    ExactStatistics::of_columns(&values).unwrap()
}

/// Everybody's masked file.
fn files(columns: &[Value], dir: &Files) -> Vec<InputFile> {
    let masked = |site| exact(columns, site).masked(&own_masks(site, SITES), &Round::duty(site)).unwrap();
    (0..SITES).map(|site| dir.write(site, &masked(site))).collect()
}

#[test]
fn masked_statistics_equal_exact_rationals() {
    let columns = golden();
    let dir = Files::new();
    let inputs = files(&columns, &dir);
    for site in 0..SITES {
        // without masks the file holds the three whole numbers of each column, and figures of nobody
        let bytes = fs::read(&inputs[site].path).unwrap();
        assert_eq!(bytes.len() as u64, MaskedLayout::statistics(columns.len()).unwrap().file_len());
        let mut integers: Vec<[u32; 8]> = words(&bytes)[..96 * columns.len()]
            .chunks_exact(32)
            .map(|b| std::array::from_fn(|k| u32::from_le_bytes(b[4 * k..4 * k + 4].try_into().unwrap())))
            .collect();
        let unmask = own_masks_off(site);
        unmask.add_wide(0, &mut integers);
        for (column, three) in columns.iter().zip(integers.chunks_exact(3)) {
            for (place, integer) in three.iter().enumerate() {
                let bytes: Vec<u8> = integer.iter().flat_map(|word| word.to_le_bytes()).collect();
                let expected = column["integers"][site][place].as_str().unwrap();
                assert_eq!(hex::encode(bytes), expected, "{}: site {site}", column["name"]);
            }
        }
    }
    let merged = merge_masked_statistics(&inputs, columns.len(), &masks_on_sum(&[0, 1, 2, 3], SITES)).unwrap();
    for (place, column) in columns.iter().enumerate() {
        let name = &column["name"];
        assert_eq!(merged.count[place], column["count"].as_u64().unwrap() as f64, "{name}");
        for (found, what) in [(merged.mean[place], "mean"), (merged.m2[place], "m2")] {
            assert_eq!(hex::encode(found.to_be_bytes()), column[what].as_str().unwrap(), "{name}: {what} {found}");
        }
    }
    // the merged file is that of today
    let bytes = merged.encode(None).unwrap();
    assert_eq!(Statistics::decode(&bytes, columns.len(), None).unwrap(), merged);
}

/// One site's masks, each with the sign that takes it off.
fn own_masks_off(site: usize) -> Streams {
    let sign = |other: usize| if site < other { Sign::Subtract } else { Sign::Add };
    let others = (0..SITES).filter(|other| *other != site).map(|other| (pair_key(site, other), sign(other)));
    Streams::new([(self_key(site), Sign::Subtract)].into_iter().chain(others))
}

#[test]
fn masked_statistics_without_a_site_are_those_of_the_others() {
    let columns = golden();
    let dir = Files::new();
    let inputs = files(&columns, &dir);
    for lost in 0..SITES {
        let used: Vec<usize> = (0..SITES).filter(|site| *site != lost).collect();
        let inputs: Vec<InputFile> = used.iter().map(|site| inputs[*site].clone()).collect();
        let merged = merge_masked_statistics(&inputs, columns.len(), &masks_on_sum(&used, SITES)).unwrap();
        // the same by way of the plain statistics, which round more often
        for (place, column) in columns.iter().enumerate() {
            let all: Vec<f64> = used.iter().flat_map(|site| values(column, *site)).collect();
            let plain = Statistics::own(&[&all]);
            let shown = all.len() as u64 >= MIN_VALUES;
            assert_eq!(merged.count[place], if shown { all.len() as f64 } else { 0.0 });
            let largest = all.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            if shown {
                let away = (merged.mean[place] - plain.mean[0]).abs();
                // the grid is 2^-64
                assert!(away <= 1e-14 * largest + 1e-19, "{}: {away}", column["name"]);
            }
        }
        // with another site's masks they are none
        let error = merge_masked_statistics(&inputs, columns.len(), &masks_on_sum(&[0, 1, 2, 3], SITES)).unwrap_err();
        assert!(matches!(error, MaskedError::OutOfRange(_)), "{error}");
    }
}

#[test]
fn statistics_with_figures_in_them_are_out_of_range() {
    let columns = golden();
    let dir = Files::new();
    let mut inputs = files(&columns, &dir);
    let mut bytes = fs::read(&inputs[1].path).unwrap();
    let rows = bytes.len() - 16;
    bytes[rows] ^= 1;
    inputs[1] = dir.write(1, &bytes);
    let streams = masks_on_sum(&[0, 1, 2, 3], SITES);
    let error = merge_masked_statistics(&inputs, columns.len(), &streams).unwrap_err();
    assert!(matches!(error, MaskedError::OutOfRange(OutOfRange::Figures { sites: 4 })), "{error}");
}

#[test]
fn rows_one_by_one_are_as_good_as_columns() {
    let columns = [[1.5, f64::NAN, -2.0, 8.0], [f64::NAN, 4.0, 5.0, 1e12]];
    let by_column = ExactStatistics::of_columns(&columns).unwrap();
    let mut by_row = ExactStatistics::new(2);
    for (first, second) in columns[0].into_iter().zip(columns[1]) {
        by_row.add_row(&[first, second]).unwrap();
    }
    assert_eq!(by_row, by_column);
}

#[test]
fn figures_alone_are_summed_and_pooled() {
    let dir = Files::new();
    let reported = [Figures::of(300_000, 20), Figures::of(600_000, 30), Figures::default(), Figures::of(900_000, 50)];
    let masked = |site: usize| mask_figures(reported[site], &own_masks(site, SITES), &Round::duty(site)).unwrap();
    let inputs: Vec<InputFile> = (0..SITES).map(|site| dir.write(site, &masked(site))).collect();
    assert_eq!(words(&masked(0)).len(), 24);
    let of = |used: &[usize]| {
        let inputs: Vec<InputFile> = used.iter().map(|site| inputs[*site].clone()).collect();
        sum_figures(&inputs, &masks_on_sum(used, SITES)).unwrap()
    };
    let all = of(&[0, 1, 2, 3]);
    assert_eq!(all, Figures { loss: 69_000_000, rows: 100, reporters: 3 });
    assert_eq!(all.pooled(4), Some(690_000));
    // one reporter less: two of three are more than half, but too few
    let fewer = of(&[0, 1, 2]);
    assert_eq!((fewer.rows, fewer.reporters, fewer.pooled(3)), (50, 2, None));
}
