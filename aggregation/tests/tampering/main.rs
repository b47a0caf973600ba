//! Whoever changes what a merge is committed to is found out: 500 of 500 random tamperings, over every rule, with real
//! files.
//!
//! A chain keeps two hashes of a merge: the *inputs root*, over the ordered list (institution, file's hash, weight),
//! the rule with its parameters and the model they stand on; and the hash of the *merged* file. All else is only shown.
//! Three looks find what was changed, and each is compared here with what truly differs, found by comparing the things
//! themselves:
//!
//! * **own**: a file against the hash that the list gives for it (and the duty that it must name);
//! * **list**: what is shown against the inputs root;
//! * **merged**: the merge done again against the merged hash. Only this one looks at how somebody has merged, and it
//!   sees only what changes the merged bytes: a change that alters neither these nor the list nor a file is counted
//!   apart, as harmless.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use consilium_aggregation::{
    blob::blob_ref, blob_hash, hash_file, merge, merge_files, verify_update, FilesError, InputFile, Layout, ModelFile,
    TensorShape,
};
use consilium_primitives::{
    round::inputs_root,
    rules::{Adaptive, NormBound, ServerOptimizer},
    Hash, InstitutionId, Merge, MergeRule, Weighting,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
};

const INPUTS: usize = 7;
const TAMPERINGS: usize = 500;
const SEED: u64 = 20_250_101;

fn layout() -> Layout {
    Layout::new(vec![TensorShape::new("a", [20, 50]), TensorShape::new("b", [3])]).unwrap()
}

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0).collect()
    }
}

/// Every rule, every limit, mixing, and every optimiser.
fn ways() -> Vec<(&'static str, Merge)> {
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
struct Input {
    institution: InstitutionId,
    duty: Hash,
    root: Hash,
    weight: u32,
    file: Vec<u8>,
}

/// What a merge is committed to, as somebody shows it.
#[derive(Clone)]
struct Round {
    inputs: Vec<Input>,
    merge: Merge,
    base: Hash,
    base_file: Vec<u8>,
}

type List = Vec<(InstitutionId, Hash, u32)>;
/// Forgets a part of a round.
type Forget = fn(&mut Round);

impl Round {
    fn honest(way: &Merge, draw: &mut Draw) -> Self {
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

    fn list(&self) -> List {
        self.inputs.iter().map(|input| (input.institution, input.root, input.weight)).collect()
    }

    /// The merged file's bytes, computed in memory; `None`: it cannot be merged.
    fn merged_in_memory(&self) -> Option<Vec<u8>> {
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

    fn write(&self, dir: &Path) {
        for (place, input) in self.inputs.iter().enumerate() {
            fs::write(dir.join(place.to_string()), &input.file).unwrap();
        }
        fs::write(dir.join("base"), &self.base_file).unwrap();
    }

    /// Merges the files in a folder. `committed`: they must have the hashes of the list; else they are taken as they
    /// are.
    fn merge_files(&self, dir: &Path, committed: bool) -> Result<Hash, FilesError> {
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
struct Case {
    way: &'static str,
    kind: String,
    honest: Round,
    /// Files and list as they are shown.
    shown: Round,
    /// What the merge was done with.
    merged: Round,
    /// A bit of the merged file that was turned afterwards.
    merged_bit: Option<usize>,
    /// What was committed to anew: these bytes have this hash.
    anew: Option<Vec<u8>>,
}

fn turn(bytes: &mut [u8], bit: usize) {
    let byte = bit / 8 % bytes.len();
    bytes[byte] ^= 1 << (bit % 8);
}

/// A bit of a file, one time in eight of its header.
fn some_bit(file: &[u8], draw: &mut Draw) -> usize {
    let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    8 * if draw.below(8) == 0 { draw.below(header) } else { header + draw.below(file.len() - header) } + draw.below(8)
}

/// Another rule or optimiser.
fn other_rule(merge: &Merge, draw: &mut Draw) -> Merge {
    let others: Vec<Merge> = ways().into_iter().map(|(_, way)| way).filter(|way| way != merge).collect();
    others[draw.below(others.len())].clone()
}

/// The same rule with another number or switch.
fn other_parameter(merge: &Merge, draw: &mut Draw) -> Merge {
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
fn change(round: &mut Round, draw: &mut Draw, anew: bool) -> (&'static str, Option<Vec<u8>>) {
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
fn tampering(draw: &mut Draw) -> Case {
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

/// By which of the three looks something differs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Differs {
    own: bool,
    list: bool,
    merged: bool,
}

impl Differs {
    fn any(self) -> bool {
        self.own || self.list || self.merged
    }
}

/// The inputs root of what is shown.
fn root(round: &Round) -> Hash {
    inputs_root(&round.list(), &round.merge, round.base)
}

/// What hashes alone tell, from files.
fn found(case: &Case, root: impl Fn(&Round) -> Hash) -> Differs {
    let dir = tempfile::tempdir().unwrap();
    case.honest.write(dir.path());
    let committed = (root(&case.honest), case.honest.merge_files(dir.path(), true).unwrap());

    case.shown.write(dir.path());
    let bad: Vec<usize> = (0..case.shown.inputs.len())
        .filter(|place| {
            let input = &case.shown.inputs[*place];
            verify_update(&dir.path().join(place.to_string()), &layout(), &input.duty, &input.root).is_err()
        })
        .collect();
    let base = hash_file(&dir.path().join("base")).unwrap() != case.shown.base;
    // who merges sees a file that is not the committed one too, and names it
    if !bad.is_empty() {
        match case.shown.merge_files(dir.path(), true).unwrap_err() {
            FilesError::Differs { input, .. } | FilesError::Input { input, .. } => assert!(bad.contains(&input)),
            FilesError::Merge(_) => {}
            other => panic!("{}, {}: {other}", case.way, case.kind),
        }
    }

    case.merged.write(dir.path());
    let merged = case.merged.merge_files(dir.path(), false).ok().map(|merged| {
        let path = dir.path().join("merged");
        if let Some(bit) = case.merged_bit {
            let mut bytes = fs::read(&path).unwrap();
            turn(&mut bytes, bit);
            fs::write(&path, bytes).unwrap();
            return hash_file(&path).unwrap();
        }
        merged
    });
    Differs {
        own: base || !bad.is_empty(),
        list: root(&case.shown) != committed.0,
        merged: merged != Some(committed.1),
    }
}

/// What differs, by comparing the things themselves; merges are done in memory.
fn truth(case: &Case) -> Differs {
    let Case { honest, shown, merged, anew, .. } = case;
    let files = honest.inputs.iter().map(|input| &input.file).chain([&honest.base_file]).chain(anew);
    let named: BTreeMap<Hash, &Vec<u8>> = files.map(|file| (blob_hash(file), file)).collect();
    let is = |root: &Hash, file| named.get(root).is_some_and(|named| *named == file);
    let sound = |input: &Input| ModelFile::decode_update(&input.file, &layout(), &input.duty).is_ok();
    let inputs_are = shown.inputs.iter().all(|input| is(&input.root, &input.file) && sound(input));
    Differs {
        own: !inputs_are || !is(&shown.base, &shown.base_file),
        list: (shown.list(), &shown.merge, shown.base) != (honest.list(), &honest.merge, honest.base),
        merged: case.merged_bit.is_some() || merged.merged_in_memory() != honest.merged_in_memory(),
    }
}

#[derive(Default)]
struct Count {
    all: u32,
    own: u32,
    list: u32,
    merged: u32,
    harmless: u32,
}

#[test]
fn five_hundred_of_five_hundred_tamperings_are_found_each_by_the_look_that_should() {
    let draw = &mut Draw(SEED);
    let (mut detected, mut harmless) = (0, 0);
    let mut kinds: BTreeMap<String, Count> = BTreeMap::new();
    let mut rules: BTreeSet<&str> = BTreeSet::new();
    let mut alone = [0; 3];
    while detected < TAMPERINGS {
        let case = tampering(draw);
        let (what, found, truth) = (format!("{}, {}", case.way, case.kind), found(&case, root), truth(&case));
        assert_eq!(found, truth, "{what}");
        let count = kinds.entry(case.kind).or_default();
        count.all += 1;
        count.own += u32::from(found.own);
        count.list += u32::from(found.list);
        count.merged += u32::from(found.merged);
        if !truth.any() {
            count.harmless += 1;
            harmless += 1;
            continue;
        }
        detected += usize::from(found.any());
        rules.insert(case.way);
        for (look, by) in [found.own, found.list, found.merged].iter().enumerate() {
            let others = [found.own, found.list, found.merged].iter().filter(|by| **by).count() - usize::from(*by);
            alone[look] += u32::from(*by && others == 0);
        }
    }
    println!("{:48} {:>5} {:>5} {:>5} {:>7} {:>9}", "changed", "tried", "own", "list", "merged", "harmless");
    for (kind, Count { all, own, list, merged, harmless }) in &kinds {
        println!("{kind:48} {all:>5} {own:>5} {list:>5} {merged:>7} {harmless:>9}");
    }
    println!("found: {detected} of {TAMPERINGS}; by one look alone: own, list, merged {alone:?}; harmless: {harmless}");
    assert_eq!(detected, TAMPERINGS);
    assert_eq!(rules.len(), ways().len(), "over every rule");
    assert!(alone.iter().all(|cases| *cases > 0), "no look is there for nothing");
}

#[test]
fn nothing_is_found_where_nothing_was_changed() {
    let draw = &mut Draw(SEED);
    for (way, merge) in ways() {
        let honest = Round::honest(&merge, draw);
        let (shown, merged) = (honest.clone(), honest.clone());
        let case = Case { way, kind: "nothing".into(), honest, shown, merged, merged_bit: None, anew: None };
        let nothing = Differs { own: false, list: false, merged: false };
        assert_eq!((found(&case, root), truth(&case)), (nothing, nothing), "{way}");
    }
}

/// A liar turns a bit of an input's last number and writes the new hash into the list: no file is then other than the
/// list says, and where the merge takes nothing of that bit, the inputs root alone is against it.
#[test]
fn a_bit_that_was_committed_to_anew_is_found_by_the_inputs_root() {
    let draw = &mut Draw(SEED);
    let mut by_the_root_alone = 0;
    for (way, merge) in ways() {
        for at in 0..INPUTS {
            let honest = Round::honest(&merge, draw);
            let mut shown = honest.clone();
            let input = &mut shown.inputs[at];
            let last = input.file.len() - 4;
            turn(&mut input.file, last * 8);
            input.root = blob_hash(&input.file);
            let anew = Some(input.file.clone());
            let merged = shown.clone();
            let case = Case { way, kind: "anew".into(), honest, shown, merged, merged_bit: None, anew };
            let found = found(&case, root);
            assert_eq!(found, truth(&case), "{way}");
            assert!(found.list && !found.own, "{way}");
            by_the_root_alone += u32::from(!found.merged);
        }
    }
    assert!(by_the_root_alone > 0);
}

/// These tests can fail: an inputs root that left one of its parts out would let some of the same tamperings through.
#[test]
fn a_root_that_left_a_part_out_would_let_tamperings_through() {
    let blind: [(&str, Forget); 6] = [
        ("institutions", |round| round.inputs.iter_mut().for_each(|input| input.institution = InstitutionId([0; 32]))),
        ("hashes", |round| round.inputs.iter_mut().for_each(|input| input.root = Hash::zero())),
        ("weights", |round| round.inputs.iter_mut().for_each(|input| input.weight = 0)),
        ("the order", |round| round.inputs.sort_by_key(|input| input.institution)),
        ("the rule", |round| round.merge = Merge::by(MergeRule::TrimmedMean)),
        ("the base", |round| round.base = Hash::zero()),
    ];
    let draw = &mut Draw(SEED);
    let mut missed = [0; 6];
    for _ in 0..TAMPERINGS {
        let case = tampering(draw);
        let (seen, truth) = (found(&case, root), truth(&case));
        for (missed, (_, forget)) in missed.iter_mut().zip(blind) {
            let root = |round: &Round| {
                let mut round = round.clone();
                forget(&mut round);
                root(&round)
            };
            let list = root(&case.shown) != root(&case.honest);
            *missed += u32::from(truth.any() && !Differs { list, ..seen }.any());
        }
    }
    println!("missed without {:?}: {missed:?}", blind.map(|(part, _)| part));
    for (missed, (part, _)) in missed.iter().zip(blind) {
        assert!(*missed > 0, "{part}");
    }
}
