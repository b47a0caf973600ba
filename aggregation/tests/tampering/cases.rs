//! Rounds, and what somebody does to them.

use consilium_aggregation::{
    blob::blob_ref, blob_hash, merge, merge_files, FilesError, InputFile, Layout, ModelFile, TensorShape,
};
use consilium_primitives::{
    rules::{Adaptive, NormBound, ServerOptimizer},
    Hash, InstitutionId, Merge, MergeRule, Weighting,
};
use std::{
    fs::{self, File},
    path::Path,
};

pub const INPUTS: usize = 7;
pub const TAMPERINGS: usize = 500;
pub const SEED: u64 = 20_250_101;

pub fn layout() -> Layout {
    Layout::new(vec![TensorShape::new("a", [20, 50]), TensorShape::new("b", [3])]).unwrap()
}

/// SplitMix64.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0).collect()
    }
}

/// Every rule, every limit, mixing, and every optimiser.
pub fn ways() -> Vec<(&'static str, Merge)> {
    let rule = |rule, liars| Merge { liars, ..Merge::by(rule) };
    let mean = || Merge::by(MergeRule::Mean(Weighting::Samples));
    let adaptive = Adaptive { rate: 10_000, beta1: 900_000, beta2: 990_000, tau: 1_000 };
    vec![
        ("mean", mean()),
        ("median", rule(MergeRule::Median(Weighting::Equal), 2)),
        ("weighted median", rule(MergeRule::Median(Weighting::Samples), 1)),
        ("trimmed mean", rule(MergeRule::TrimmedMean, 2)),
        ("geometric median", rule(MergeRule::GeometricMedian(Weighting::Samples), 2)),
        ("krum", rule(MergeRule::Krum { keep: 1 }, 2)),
        ("multi-krum", rule(MergeRule::Krum { keep: 4 }, 2)),
        ("bound, mean", Merge { bound: Some(NormBound::Median), ..mean() }),
        (
            "fixed bound, median",
            Merge { bound: Some(NormBound::Fixed(20_000_000)), ..rule(MergeRule::Median(Weighting::Equal), 2) },
        ),
        ("mixing, trimmed mean", Merge { mixing: true, ..rule(MergeRule::TrimmedMean, 2) }),
        ("momentum", Merge { server: Some(ServerOptimizer::Momentum { rate: 1_000_000, beta: 900_000 }), ..mean() }),
        ("adam", Merge { server: Some(ServerOptimizer::Adam(adaptive)), ..mean() }),
        ("yogi", Merge { server: Some(ServerOptimizer::Yogi(adaptive)), ..mean() }),
        ("adagrad", Merge { server: Some(ServerOptimizer::Adagrad(adaptive)), ..mean() }),
    ]
}

/// A line of the list, with the file that is shown for it.
#[derive(Clone)]
pub struct Input {
    pub institution: InstitutionId,
    pub duty: Hash,
    pub root: Hash,
    pub weight: u32,
    pub file: Vec<u8>,
}

/// What a merge is committed to, as somebody shows it.
#[derive(Clone)]
pub struct Round {
    pub inputs: Vec<Input>,
    pub merge: Merge,
    pub base: Hash,
    pub base_file: Vec<u8>,
}

pub type List = Vec<(InstitutionId, Hash, u32)>;
/// Forgets a part of a round.
pub type Forget = fn(&mut Round);

impl Round {
    pub fn honest(way: &Merge, draw: &mut Draw) -> Self {
        let inputs = (0..INPUTS as u8).map(|i| {
            let duty = Hash::repeat_byte(0xa0 + i);
            let data = draw.numbers(layout().elements());
            let file = ModelFile { layout: layout(), duty: Some(duty), data }.encode().unwrap();
            let weight = if way.weighting() == Some(&Weighting::Samples) { 20 + 7 * u32::from(i) } else { 1 };
            Input { institution: InstitutionId([i + 1; 32]), duty, root: blob_hash(&file), weight, file }
        });
        let inputs = inputs.collect();
        let whole = layout().with_state(way.moments()).unwrap();
        let mut data = draw.numbers(whole.elements());
        data[layout().elements()..].iter_mut().for_each(|remembered| *remembered = remembered.abs());
        let base_file = ModelFile { layout: whole, duty: None, data }.encode().unwrap();
        Self { inputs, merge: way.clone(), base: blob_hash(&base_file), base_file }
    }

    pub fn list(&self) -> List {
        self.inputs.iter().map(|input| (input.institution, input.root, input.weight)).collect()
    }

    /// The merged file's bytes, computed in memory; `None`: it cannot be merged.
    pub fn merged_in_memory(&self) -> Option<Vec<u8>> {
        let whole = layout().with_state(self.merge.moments()).ok()?;
        let base = ModelFile::decode(&self.base_file, &whole).ok().filter(|base| base.duty.is_none())?;
        let updates: Option<Vec<_>> = self
            .inputs
            .iter()
            // as merging files takes them: that a number is too large is for whoever looks through an update before
            .map(|input| ModelFile::decode(&input.file, &layout()).ok().filter(|file| file.duty == Some(input.duty)))
            .collect();
        let updates = updates?;
        let data: Vec<_> = updates.iter().zip(&self.inputs).map(|(u, i)| (u.data.as_slice(), i.weight)).collect();
        let (numbers, state) = base.data.split_at(layout().elements());
        let merged = merge(&self.merge, &data, numbers, state).ok()?;
        ModelFile { layout: whole, duty: None, data: [merged.model, merged.state].concat() }.encode().ok()
    }

    pub fn write(&self, dir: &Path) {
        for (place, input) in self.inputs.iter().enumerate() {
            fs::write(dir.join(place.to_string()), &input.file).unwrap();
        }
        fs::write(dir.join("base"), &self.base_file).unwrap();
    }

    /// Merges the files in a folder. `committed`: they must have the hashes of the list; else they are taken as they
    /// are.
    pub fn merge_files(&self, dir: &Path, committed: bool) -> Result<Hash, FilesError> {
        let inputs = self.inputs.iter().enumerate().map(|(place, input)| {
            let mut blob = blob_ref(&input.file);
            if committed {
                blob.root = input.root;
            }
            InputFile { path: dir.join(place.to_string()), blob, duty: input.duty, weight: input.weight }
        });
        let path = dir.join("merged");
        let out = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let merged =
            merge_files(&self.merge, &inputs.collect::<Vec<_>>(), &dir.join("base"), &layout(), (&out, &path))?;
        Ok(merged.blob.root)
    }
}

/// What somebody did to a round.
pub struct Case {
    pub way: &'static str,
    pub kind: String,
    pub honest: Round,
    /// Files and list as they are shown.
    pub shown: Round,
    /// What the merge was done with.
    pub merged: Round,
    /// A bit of the merged file that was turned afterwards.
    pub merged_bit: Option<usize>,
    /// What was committed to anew: these bytes have this hash.
    pub anew: Option<Vec<u8>>,
}

pub fn turn(bytes: &mut [u8], bit: usize) {
    let byte = bit / 8 % bytes.len();
    bytes[byte] ^= 1 << (bit % 8);
}

/// A bit of a file, one time in eight of its header.
pub fn some_bit(file: &[u8], draw: &mut Draw) -> usize {
    let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    8 * if draw.below(8) == 0 { draw.below(header) } else { header + draw.below(file.len() - header) } + draw.below(8)
}

/// Another rule or optimiser.
pub fn other_rule(merge: &Merge, draw: &mut Draw) -> Merge {
    let others: Vec<Merge> = ways().into_iter().map(|(_, way)| way).filter(|way| way != merge).collect();
    others[draw.below(others.len())].clone()
}

/// The same rule with another number or switch.
pub fn other_parameter(merge: &Merge, draw: &mut Draw) -> Merge {
    let mut merge = merge.clone();
    let weighting = |w: &Weighting| match w {
        Weighting::Samples => Weighting::Equal,
        _ => Weighting::Samples,
    };
    match draw.below(5) {
        0 => merge.liars = if merge.liars > 0 && draw.below(2) == 0 { merge.liars - 1 } else { merge.liars + 1 },
        1 => {
            merge.bound = match merge.bound {
                None => Some(NormBound::Median),
                Some(NormBound::Median) => None,
                Some(NormBound::Fixed(limit)) => Some(NormBound::Fixed(limit ^ 1 << draw.below(24))),
            }
        }
        2 => merge.mixing = !merge.mixing,
        _ => match (&mut merge.rule, &mut merge.server) {
            (_, Some(ServerOptimizer::Momentum { rate, beta })) => {
                *[rate, beta][draw.below(2)] ^= 1 << draw.below(16);
            }
            (_, Some(ServerOptimizer::Adam(a) | ServerOptimizer::Yogi(a) | ServerOptimizer::Adagrad(a))) => {
                *[&mut a.rate, &mut a.beta1, &mut a.beta2, &mut a.tau][draw.below(4)] ^= 1 << draw.below(12);
            }
            (MergeRule::Krum { keep }, _) => {
                *keep = if *keep > 1 && draw.below(2) == 0 { *keep - 1 } else { *keep + 1 }
            }
            (MergeRule::Mean(w) | MergeRule::Median(w) | MergeRule::GeometricMedian(w), _) => *w = weighting(w),
            (MergeRule::TrimmedMean, _) => merge.liars += 1,
        },
    }
    merge
}

/// Changes one thing in a round as shown; gives its name, and the bytes that were committed to anew, if any.
pub fn change(round: &mut Round, draw: &mut Draw, anew: bool) -> (&'static str, Option<Vec<u8>>) {
    let at = draw.below(INPUTS);
    match draw.below(9) {
        0 | 1 => {
            let input = &mut round.inputs[at];
            let bit = some_bit(&input.file, draw);
            turn(&mut input.file, bit);
            if !anew {
                return ("a bit of an input", None);
            }
            input.root = blob_hash(&input.file);
            ("a bit of an input, and its hash", Some(input.file.clone()))
        }
        2 => {
            let bit = some_bit(&round.base_file, draw);
            turn(&mut round.base_file, bit);
            if !anew {
                return ("a bit of the base", None);
            }
            round.base = blob_hash(&round.base_file);
            ("a bit of the base, and its hash", Some(round.base_file.clone()))
        }
        3 => {
            // with itself, now and then
            round.inputs.swap(at, draw.below(INPUTS));
            ("the order", None)
        }
        4 => {
            if draw.below(2) == 0 {
                round.inputs.remove(at);
                return ("an input left out", None);
            }
            let mut copy = round.inputs[at].clone();
            if draw.below(2) == 0 {
                copy.institution = InstitutionId([0x77; 32]);
            }
            round.inputs.insert(draw.below(INPUTS + 1), copy);
            ("an input twice", None)
        }
        5 => {
            round.inputs[at].weight ^= 1 << draw.below(29);
            ("a weight", None)
        }
        6 => {
            round.merge = other_rule(&round.merge, draw);
            ("the rule", None)
        }
        7 => {
            round.merge = other_parameter(&round.merge, draw);
            ("a parameter", None)
        }
        _ => {
            let input = &mut round.inputs[at];
            match draw.below(3) {
                0 => {
                    turn(&mut input.institution.0, draw.below(256));
                    ("an institution", None)
                }
                1 => {
                    turn(input.duty.as_mut(), draw.below(256));
                    ("a duty", None)
                }
                _ => {
                    turn(input.root.as_mut(), draw.below(256));
                    ("an input's hash", None)
                }
            }
        }
    }
}

/// The next random tampering.
pub fn tampering(draw: &mut Draw) -> Case {
    let ways = ways();
    let (way, merge) = &ways[draw.below(ways.len())];
    let honest = Round::honest(merge, draw);
    let (mut shown, mut merged) = (honest.clone(), honest.clone());
    let how = draw.below(10);
    if how == 9 {
        let (kind, bit) = ("a bit of the merged file".into(), Some(draw.next() as usize));
        return Case { way, kind, honest, shown, merged, merged_bit: bit, anew: None };
    }
    // a third each: what is shown for a file; that, and its hash in the list; and, while all is shown as it was, the
    // merge
    let (mut kind, mut anew) = change(if how < 6 { &mut shown } else { &mut merged }, draw, matches!(how, 3..=5));
    if how < 6 {
        merged = shown.clone();
    }
    // no merge looks at these
    while how >= 6 && ["an institution", "an input's hash"].contains(&kind) {
        merged = honest.clone();
        (kind, anew) = change(&mut merged, draw, false);
    }
    let kind = if how < 6 { kind.to_string() } else { format!("in the merge alone: {kind}") };
    Case { way, kind, honest, shown, merged, merged_bit: None, anew }
}
