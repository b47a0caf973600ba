//! Words, masks, figures and files that are not what they should be.

use super::*;
use consilium_aggregation::{
    blob_hash,
    masked::{
        mask_figures, merge_masked_statistics, sum_figures, verify_masked, ExactStatistics, MaskedLayout, OutOfRange,
    },
    FileError, FilesError,
};
use consilium_primitives::{rules::NormBound, BlobRef};

const NUMBERS: usize = 2001;
const WEIGHTS: [u32; 4] = [200, 110, 75, 70];
const ALL: [usize; 4] = [0, 1, 2, 3];

fn round_by(merge: Merge) -> Round {
    let base = made(5, NUMBERS);
    let updates: Vec<Vec<f32>> = (1..=4).map(|seed| moved(&base, seed)).collect();
    Round::new(merge, one_tensor(NUMBERS), updates, base, &WEIGHTS)
}

fn masked_round() -> Round {
    let round = round_by(mean());
    round.mask_all();
    round
}

fn range(result: Result<(MaskedMerge, Vec<u8>), MaskedError>) -> OutOfRange {
    match result {
        Err(MaskedError::OutOfRange(range)) => range,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sum_over_two_is_never_opened() {
    let round = masked_round();
    let few = |error: MaskedError| matches!(error, MaskedError::TooFew { found: 0..=2 });
    for used in [&[0, 1][..], &[2], &[]] {
        assert!(few(round.merge(used).unwrap_err()), "{used:?}");
        let inputs: Vec<InputFile> = used.iter().map(|site| round.input(*site)).collect();
        let streams = masks_on_sum(used, 4);
        assert!(few(sum_figures(&inputs, &streams).unwrap_err()));
        assert!(few(merge_masked_statistics(&inputs, 1, &streams).unwrap_err()));
    }
    round.merge(&[0, 1, 3]).unwrap();
    // nor is anything masked in a way that one other site could undo
    for sites in [1, 2] {
        let streams = own_masks(0, sites);
        assert!(few(round.mask_by(&mean(), 0, Figures::default(), &streams).unwrap_err()));
        assert!(few(mask_figures(Figures::default(), &streams, &Hash::zero()).unwrap_err()));
        assert!(few(ExactStatistics::new(1).masked(&streams, &Hash::zero()).unwrap_err()));
    }
}

#[test]
fn wrong_words_and_wrong_masks_are_out_of_range() {
    let round = masked_round();
    let (_, good) = round.merge(&ALL).unwrap();
    let inputs: Vec<InputFile> = ALL.iter().map(|site| round.input(*site)).collect();
    // a mask too few, one of another site, and none taken off at all
    let keys =
        |sites: &[usize]| Streams::new(sites.iter().map(|site| (self_key(*site), Sign::Subtract)).collect::<Vec<_>>());
    for streams in
        [keys(&[0, 1, 2]), keys(&[0, 1, 2, 4]), keys(&[0, 1, 2, 3, 3]), masks_on_sum(&[0, 1, 2], 4), keys(&[])]
    {
        // the padding word is looked at first in a file of one part
        let found = range(round.merge_with(&inputs, &streams));
        assert!(matches!(found, OutOfRange::Number { .. } | OutOfRange::Padding), "{found}");
    }
    // a partner's masks that are left in the sum
    let three: Vec<InputFile> = inputs[..3].to_vec();
    let found = range(round.merge_with(&three, &keys(&[0, 1, 2])));
    assert!(matches!(found, OutOfRange::Number { .. } | OutOfRange::Padding), "{found}");
    // a word so large that the sum wraps around
    round.tamper(1, |words| words[77] = words[77].wrapping_add(3 << 29));
    let found = range(round.merge(&ALL));
    assert!(matches!(found, OutOfRange::Number { index: 77, most, .. } if most <= 1 << 30), "{found}");
    round.tamper(1, |words| words[77] = words[77].wrapping_sub(3 << 29));
    assert!(round.merge(&ALL).unwrap().1 == good);
    // numbers are odd in number, so that there is a padding word
    round.tamper(2, |words| words[NUMBERS] ^= 1);
    assert_eq!(range(round.merge(&ALL)), OutOfRange::Padding);
    round.tamper(2, |words| words[NUMBERS] ^= 1);
    // loss, rows, and reporters, two words each; a little more loss or less is nothing that can be seen
    for word in NUMBERS + 2..NUMBERS + 7 {
        round.tamper(3, |words| words[word] = words[word].wrapping_add(1 << 31));
        let figures = round.merge(&ALL);
        assert_eq!(range(figures), OutOfRange::Figures { sites: 4 }, "word {word}");
        round.tamper(3, |words| words[word] = words[word].wrapping_sub(1 << 31));
    }
    assert!(round.merge(&ALL).unwrap().1 == good);
}

#[test]
fn a_merged_step_beyond_the_norm_bound_is_found() {
    // steps are about 1.6 long
    let bounded = || Merge { bound: Some(NormBound::Fixed(1_000_000)), ..mean() };
    let round = round_by(bounded());
    for site in ALL {
        let masked = round.mask(site).unwrap();
        assert!((0.5..0.9).contains(&masked.shortened), "{}", masked.shortened);
    }
    let (merged, _) = round.merge(&ALL).unwrap();
    assert!(merged.norm.unwrap() <= 1.0);
    // one that does not shorten its step, and makes it longer
    let mut far = round_by(bounded());
    far.updates[0].iter_mut().zip(&far.base).for_each(|(x, w)| *x = w + 20.0 * (*x - w));
    for site in 1..4 {
        far.mask(site).unwrap();
    }
    far.mask_by(&mean(), 0, Figures::default(), &own_masks(0, 4)).unwrap();
    let found = range(far.merge(&ALL));
    assert!(matches!(found, OutOfRange::Norm { norm, bound: 1.0 } if norm > 5.0), "{found}");
    far.mask(0).unwrap();
    far.merge(&ALL).unwrap();
}

#[test]
fn one_number_in_a_thousand_may_move_too_far_and_no_more() {
    let mut round = round_by(mean());
    for (far, fails) in [(2, false), (3, true)] {
        round.updates[1] = moved(&round.base, 2);
        (0..far).for_each(|k| round.updates[1][k * 500] += 5.0);
        match round.mask(1) {
            Ok(masked) => assert!(!fails && masked.clamped == far as u64),
            Err(MaskedError::StepTooLarge { clamped: 3, numbers: NUMBERS, range: 4.0 }) => assert!(fails),
            Err(error) => panic!("{error}"),
        }
    }
    // those that are held do not leave the range
    round.updates[1] = moved(&round.base, 2);
    round.updates[1][9] = 1e9;
    round.mask_all();
    let (_, bytes) = round.merge(&ALL).unwrap();
    let step = decoded(&bytes, &round.layout)[9] - round.base[9];
    let own = 4.0 * 110.0 / 455.0;
    assert!((step - own).abs() < 0.1, "{step}, expected about {own}");
}

#[test]
fn merges_that_look_at_single_updates_are_refused() {
    for way in [
        Merge { liars: 1, ..Merge::by(MergeRule::Median(Weighting::Samples)) },
        Merge::by(MergeRule::TrimmedMean),
        Merge::by(MergeRule::Krum { keep: 1 }),
        Merge { mixing: true, ..mean() },
        Merge { liars: 1, ..mean() },
        Merge { bound: Some(NormBound::Median), ..mean() },
    ] {
        let round = round_by(way);
        assert!(matches!(round.mask(0), Err(MaskedError::Rule { .. })), "{:?}", round.merge);
        for site in ALL {
            round.mask_by(&mean(), site, Figures::default(), &own_masks(site, 4)).unwrap();
        }
        assert!(matches!(round.merge(&ALL), Err(MaskedError::Rule { .. })), "{:?}", round.merge);
    }
}

#[test]
fn weights_beyond_those_of_all_partners_are_refused() {
    let round = masked_round();
    let mut inputs: Vec<InputFile> = ALL.iter().map(|site| round.input(*site)).collect();
    inputs[0].weight += 1;
    let error = round.merge_with(&inputs, &masks_on_sum(&ALL, 4)).unwrap_err();
    assert!(matches!(error, MaskedError::Weights { sum: 456, total: 455 }), "{error}");
}

/// A bad file is told by its position, and as other bytes than were committed before anything is said of what is in it.
#[test]
fn files_that_are_not_whole_are_refused_by_name() {
    let round = masked_round();
    let layout = MaskedLayout::model(&round.layout).unwrap();
    let streams = masks_on_sum(&ALL, 4);
    let good = fs::read(round.path("masked2")).unwrap();
    let committed: Vec<InputFile> = ALL.iter().map(|site| round.input(*site)).collect();
    let refused = |bytes: &[u8], what: &dyn Fn(&FileError) -> bool| {
        fs::write(round.path("masked2"), bytes).unwrap();
        let error = round.merge_with(&committed, &streams).unwrap_err();
        assert!(matches!(error, MaskedError::Files(FilesError::Differs { input: 2, .. })), "{error}");
        let mut inputs = committed.clone();
        inputs[2].blob = BlobRef { root: blob_hash(bytes), len: bytes.len() as u64 };
        match round.merge_with(&inputs, &streams).unwrap_err() {
            MaskedError::Files(FilesError::Input { input: 2, error }) => assert!(what(&error), "{error}"),
            error => panic!("{error}"),
        }
        let look = |root: &Hash| verify_masked(&round.path("masked2"), &layout, &Round::duty(2), root).unwrap_err();
        assert!(matches!(look(&committed[2].blob.root), FilesError::Differs { input: 0, .. }));
        match look(&inputs[2].blob.root) {
            FilesError::Input { input: 0, error } => assert!(what(&error), "{error}"),
            error => panic!("{error}"),
        }
    };
    let length = |error: &FileError| matches!(error, FileError::Length { .. });
    let header = |error: &FileError| matches!(error, FileError::Header { .. });
    let duty = |error: &FileError| matches!(error, FileError::Duty { .. });
    refused(&good[..good.len() - 1], &length);
    refused(&good[..good.len() / 2], &length);
    refused(&[&good[..], &[0; 4]].concat(), &length);
    refused(&good[..50], &|error| length(error) || header(error));
    refused(&[], &|error| length(error) || header(error));
    let text = |from: &str, to: &str| {
        let mut bytes = good.clone();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    refused(&text("U32", "F32"), &header);
    refused(&text("masked", "Masked"), &header);
    refused(&text("0303", "0404"), &duty);
    // whole again
    fs::write(round.path("masked2"), &good).unwrap();
    verify_masked(&round.path("masked2"), &layout, &Round::duty(2), &committed[2].blob.root).unwrap();
    round.merge_with(&committed, &streams).unwrap();
    // any words are a masked file, but not those that were committed
    let mut other = good.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(round.path("masked2"), &other).unwrap();
    let error = round.merge_with(&committed, &streams).unwrap_err();
    assert!(matches!(error, MaskedError::Files(FilesError::Differs { input: 2, .. })), "{error}");
}

#[test]
fn updates_that_are_none_are_not_masked() {
    let round = masked_round();
    let path = round.path("update");
    let duty = Hash::repeat_byte(0xee);
    let update = ModelFile { layout: round.layout.clone(), duty: Some(duty), data: round.updates[0].clone() };
    let mut bytes = update.encode().unwrap();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let own = OwnUpdate { path: &path, duty: &duty, weight: 1, figures: Figures::default() };
    let (merge, base) = (mean(), round.path("base"));
    let (file, out) = round.open("masked0");
    let streams = own_masks(0, 4);
    let error = mask_update(&round.agreed(&merge, &base), &own, &streams, &Hash::zero(), (&file, &out)).unwrap_err();
    assert!(
        matches!(error, MaskedError::Files(FilesError::Input { error: FileError::NotFinite { index, .. }, .. }) if index == NUMBERS - 1),
    );
    let other = OwnUpdate { duty: &Hash::zero(), ..own };
    let error = mask_update(&round.agreed(&merge, &base), &other, &streams, &Hash::zero(), (&file, &out)).unwrap_err();
    assert!(matches!(error, MaskedError::Files(FilesError::Input { error: FileError::Duty { .. }, .. })), "{error}");
}
