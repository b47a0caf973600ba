//! Whole rounds and larger sums made by independent Python: `masks/tests/data/mask_reference.py`, and `masked_merges.py` in
//! `tests/golden`.

use super::*;
use consilium_aggregation::masked::merge_unmasked;
use consilium_masks as masks;
use consilium_primitives::rules::NormBound;
use serde_json::Value;

/// The file's words without its header, as hexadecimal digits.
fn content(round: &Round, site: usize) -> String {
    let bytes = fs::read(round.path(&format!("masked{site}"))).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    hex::encode(&bytes[start..])
}

fn singles(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap()).unwrap()[..N].try_into().unwrap()
}

/// Keys, masks and who is in the set are the Python's; files, sums and models are to be the same.
#[test]
fn golden_rounds_have_the_same_words_sums_figures_and_models() {
    let golden: Value = serde_json::from_str(include_str!("../../../masks/tests/data/mask_golden.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = case["case"].as_str().unwrap();
        let partners: Vec<&Value> =
            case["sites"].as_array().unwrap().iter().filter(|site| site["deal"].is_string()).collect();
        let root: [u8; 32] = bytes(&case["partners_root"]);
        let base = singles(&case["base"]);
        let weights: Vec<u32> = partners.iter().map(|site| site["weight"].as_u64().unwrap() as u32).collect();
        let updates: Vec<Vec<f32>> = partners.iter().map(|site| singles(&site["update"])).collect();
        let round = Round::new(mean(), one_tensor(base.len()), updates, base, &weights);
        let id = |site: &Value| bytes::<32>(&site["id"]);
        let own_key = |site: &Value| masks::self_key(&bytes(&site["seed"]), &id(site), &root);
        let pair_key = |a: &Value, b: &Value| {
            let public: [u8; 96] = bytes(&b["keys"]);
            masks::pair_key(&bytes(&a["pair"]), &public[32..64].try_into().unwrap(), &id(a), &id(b), &root)
        };
        for (place, site) in partners.iter().enumerate().filter(|(_, site)| site["masked"].is_string()) {
            let others = partners.iter().filter(|other| id(other) != id(site));
            let pairs = others.map(|other| (pair_key(site, other), Sign::of_pair(&id(site), &id(other))));
            let streams = Streams::new([(own_key(site), Sign::Add)].into_iter().chain(pairs));
            let figures = &site["loss_rows"];
            let figures = Figures::of(figures[0].as_u64().unwrap() as u32, figures[1].as_u64().unwrap() as u32);
            let masked = round.mask_by(&mean(), place, figures, &streams).unwrap();
            assert_eq!((masked.clamped, masked.shortened), (0, 1.0), "{name}");
            assert_eq!(content(&round, place), site["masked"].as_str().unwrap(), "{name}: site {place}");
        }
        let is_used = |site: &Value| site["used"].as_bool().unwrap();
        let used: Vec<usize> = (0..partners.len()).filter(|place| is_used(partners[*place])).collect();
        let own = used.iter().map(|place| (own_key(partners[*place]), Sign::Subtract));
        let mut keys: Vec<(StreamKey, Sign)> = own.collect();
        for lost in partners.iter().filter(|site| !is_used(site)) {
            for site in used.iter().map(|place| partners[*place]) {
                keys.push((pair_key(lost, site), Sign::of_pair(&id(site), &id(lost)).opposite()));
            }
        }
        let streams = Streams::new(keys);
        let inputs: Vec<InputFile> = used.iter().map(|place| round.input(*place)).collect();
        let (merged, file) = round.merge_with(&inputs, &streams).unwrap();
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&decoded(&file, &round.layout)), bits(&singles(&case["model"])), "{name}");
        let tail = [merged.figures.loss, merged.figures.rows, merged.figures.reporters];
        let expected: Vec<u64> = case["tail"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect();
        assert_eq!(tail[..], expected[..], "{name}");
        let mut sum = vec![0u32; round.base.len()];
        for place in &used {
            let words = hex::decode(content(&round, *place)).unwrap();
            for (sum, word) in sum.iter_mut().zip(words.chunks_exact(4)) {
                *sum = sum.wrapping_add(u32::from_le_bytes(word.try_into().unwrap()));
            }
        }
        streams.add(0, &mut sum);
        let expected: Vec<i64> = case["sum"].as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect();
        assert_eq!(sum.iter().map(|word| i64::from(*word as i32)).collect::<Vec<_>>(), expected, "{name}");
    }
}

/// FNV-1a.
fn checksum(data: impl IntoIterator<Item = u8>) -> String {
    let sum = data
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:016x}")
}

#[test]
fn larger_sums_models_and_norms_are_those_of_python() {
    let golden: Value = serde_json::from_str(include_str!("../golden/masked_merges.json")).unwrap();
    let numbers = golden["numbers"].as_u64().unwrap() as usize;
    let weights: Vec<u32> = golden["weights"].as_array().unwrap().iter().map(|w| w.as_u64().unwrap() as u32).collect();
    let base = made(99, numbers);
    let updates: Vec<Vec<f32>> = (1..=weights.len() as u64).map(|seed| moved(&base, seed)).collect();
    for case in golden["cases"].as_array().unwrap() {
        let bound = case["bound"].as_f64().map(|bound| NormBound::Fixed((bound * 1e6) as u64));
        let bounded = bound.is_some();
        let used: Vec<usize> =
            case["used"].as_array().unwrap().iter().map(|place| place.as_u64().unwrap() as usize).collect();
        let round = Round::new(Merge { bound, ..mean() }, one_tensor(numbers), updates.clone(), base.clone(), &weights);
        round.mask_all();
        let (merged, file) = round.merge(&used).unwrap();
        let model = decoded(&file, &round.layout);
        assert_eq!(checksum(model.iter().flat_map(|x| x.to_le_bytes())), case["model"].as_str().unwrap(), "{case}");
        if bounded {
            assert_eq!(hex::encode(merged.norm.unwrap().to_be_bytes()), case["norm"].as_str().unwrap(), "{case}");
        } else {
            assert_eq!(merged.norm, None);
        }
        let inputs: Vec<(&[f32], u32)> = used.iter().map(|i| (updates[*i].as_slice(), weights[*i])).collect();
        let scale = Scale::new(RANGE_LOG2);
        let memory = merge_unmasked(&round.merge, scale, round.total(), &inputs, &base, &[]).unwrap();
        assert!(memory.0 == model, "{case}");
        let mut sum = vec![0u32; numbers];
        for site in &used {
            let words = hex::decode(content(&round, *site)).unwrap();
            for (sum, word) in sum.iter_mut().zip(words.chunks_exact(4)) {
                *sum = sum.wrapping_add(u32::from_le_bytes(word.try_into().unwrap()));
            }
        }
        masks_on_sum(&used, weights.len()).add(0, &mut sum);
        assert_eq!(checksum(sum.iter().flat_map(|x| x.to_le_bytes())), case["sums"].as_str().unwrap(), "{case}");
    }
}
