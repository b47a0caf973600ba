//! Masked sums through files: against numbers made elsewhere, against the mean, at several numbers of threads, and with words,
//! masks and files that are not what they should be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod golden;
mod noised;
mod refused;
mod statistics;
mod sums;

use consilium_aggregation::{
    blob::blob_ref,
    masked::{
        mask_update, merge_masked, Figures, MaskedError, MaskedMerge, MaskedRound, MaskedUpdate, OwnUpdate, Scale,
    },
    InputFile, Layout, ModelFile, TensorShape,
};
use consilium_masks::{Sign, StreamKey, Streams};
use consilium_primitives::{Hash, Merge, MergeRule, Weighting};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Steps of at most ±4.
const RANGE_LOG2: i8 = 2;

fn mean() -> Merge {
    Merge::by(MergeRule::Mean(Weighting::Samples))
}

fn one_tensor(numbers: usize) -> Layout {
    Layout::new(vec![TensorShape::new("w", [numbers])]).unwrap()
}

/// Numbers between ±1/2, a plain function of seed and position.
fn made(seed: u64, len: usize) -> Vec<f32> {
    let mut x = seed;
    (0..len)
        .map(|_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((x >> 40) as f64 / f64::from(1u32 << 24) - 0.5) as f32
        })
        .collect()
}

/// A model with an eighth of made numbers added.
fn moved(base: &[f32], seed: u64) -> Vec<f32> {
    base.iter().zip(made(seed, base.len())).map(|(w, d)| w + 0.125 * d).collect()
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn self_key(site: usize) -> StreamKey {
    StreamKey::from_bytes([site as u8 + 1; 32])
}

fn pair_key(a: usize, b: usize) -> StreamKey {
    let mut bytes = [0xaa; 32];
    bytes[0] = a.min(b) as u8;
    bytes[1] = a.max(b) as u8;
    StreamKey::from_bytes(bytes)
}

/// The masks of one site of so many.
fn own_masks(site: usize, sites: usize) -> Streams {
    let sign = |other: usize| if site < other { Sign::Add } else { Sign::Subtract };
    let others = (0..sites).filter(|other| *other != site).map(|other| (pair_key(site, other), sign(other)));
    Streams::new([(self_key(site), Sign::Add)].into_iter().chain(others))
}

/// The masks on the sum of those that are used, each with the sign that takes it off.
fn masks_on_sum(used: &[usize], sites: usize) -> Streams {
    let own = used.iter().map(|site| (self_key(*site), Sign::Subtract));
    let lost = (0..sites).filter(|site| !used.contains(site));
    let sign = |site: usize, lost: usize| if site < lost { Sign::Subtract } else { Sign::Add };
    let left = lost.flat_map(|lost| used.iter().map(move |site| (pair_key(*site, lost), sign(*site, lost))));
    Streams::new(own.chain(left))
}

/// A round in a folder.
struct Round {
    dir: tempfile::TempDir,
    merge: Merge,
    layout: Layout,
    base: Vec<f32>,
    updates: Vec<Vec<f32>>,
    weights: Vec<u32>,
}

impl Round {
    fn new(merge: Merge, layout: Layout, updates: Vec<Vec<f32>>, base: Vec<f32>, weights: &[u32]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let round = Self { dir, merge, layout, base, updates, weights: weights.to_vec() };
        let whole = round.layout.with_state(round.merge.moments()).unwrap();
        let mut data = round.base.clone();
        data.resize(whole.elements(), 0.0);
        fs::write(round.path("base"), ModelFile { layout: whole, duty: None, data }.encode().unwrap()).unwrap();
        round
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, name: &str) -> (File, PathBuf) {
        let path = self.path(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        (file, path)
    }

    fn total(&self) -> u64 {
        self.weights.iter().map(|weight| u64::from(*weight)).sum()
    }

    fn agreed<'a>(&'a self, merge: &'a Merge, base: &'a Path) -> MaskedRound<'a> {
        MaskedRound {
            merge,
            scale: Scale::new(RANGE_LOG2),
            noised: None,
            total: self.total(),
            base,
            layout: &self.layout,
        }
    }

    fn duty(site: usize) -> Hash {
        Hash::repeat_byte(site as u8 + 1)
    }

    /// Masks one site's update into a file. `merge` need not be the round's.
    fn mask_by(
        &self,
        merge: &Merge,
        site: usize,
        figures: Figures,
        streams: &Streams,
    ) -> Result<MaskedUpdate, MaskedError> {
        let train = Hash::repeat_byte(0xee);
        let update = ModelFile { layout: self.layout.clone(), duty: Some(train), data: self.updates[site].clone() };
        let path = self.path("update");
        fs::write(&path, update.encode().unwrap()).unwrap();
        let (file, out) = self.open(&format!("masked{site}"));
        let own = OwnUpdate { path: &path, duty: &train, weight: self.weights[site], figures };
        mask_update(&self.agreed(merge, &self.path("base")), &own, streams, &Self::duty(site), (&file, &out))
    }

    fn mask(&self, site: usize) -> Result<MaskedUpdate, MaskedError> {
        self.mask_by(&self.merge, site, Self::figures(site), &own_masks(site, self.weights.len()))
    }

    fn figures(site: usize) -> Figures {
        Figures::of(500_000 + 1000 * site as u32, 20 + site as u32)
    }

    /// The masked file of a site, as it is now.
    fn input(&self, site: usize) -> InputFile {
        let path = self.path(&format!("masked{site}"));
        let blob = blob_ref(&fs::read(&path).unwrap());
        InputFile { path, blob, duty: Self::duty(site), weight: self.weights[site] }
    }

    /// Masks everybody's update.
    fn mask_all(&self) {
        for site in 0..self.updates.len() {
            let masked = self.mask(site).unwrap();
            assert_eq!(masked.blob, self.input(site).blob);
        }
    }

    fn merge_with(&self, inputs: &[InputFile], streams: &Streams) -> Result<(MaskedMerge, Vec<u8>), MaskedError> {
        let (file, path) = self.open("merged");
        let merged = merge_masked(&self.agreed(&self.merge, &self.path("base")), inputs, streams, (&file, &path))?;
        let bytes = fs::read(&path).unwrap();
        assert_eq!(blob_ref(&bytes), merged.blob);
        Ok((merged, bytes))
    }

    fn merge(&self, used: &[usize]) -> Result<(MaskedMerge, Vec<u8>), MaskedError> {
        let inputs: Vec<InputFile> = used.iter().map(|site| self.input(*site)).collect();
        self.merge_with(&inputs, &masks_on_sum(used, self.weights.len()))
    }

    /// Changes the masked file of a site, by words from the start of its numbers.
    fn tamper(&self, site: usize, change: impl FnOnce(&mut [u32])) {
        let path = self.path(&format!("masked{site}"));
        let mut bytes = fs::read(&path).unwrap();
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut words: Vec<u32> =
            bytes[start..].chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        change(&mut words);
        bytes.truncate(start);
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        fs::write(&path, bytes).unwrap();
    }
}

fn decoded(bytes: &[u8], layout: &Layout) -> Vec<f32> {
    ModelFile::decode_merged(bytes, layout).unwrap().data
}
