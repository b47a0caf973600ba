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

mod cases;

use cases::{layout, tampering, turn, ways, Case, Draw, Forget, Input, Round, INPUTS, SEED, TAMPERINGS};
use consilium_aggregation::{blob_hash, hash_file, verify_update, FilesError, ModelFile};
use consilium_primitives::{round::inputs_root, Hash, InstitutionId, Merge, MergeRule};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

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
