//! Gradients with shared noise: whole numbers, whose sum under masks is exact.

use super::*;
use consilium_aggregation::masked::{encode_noised, mask_noised, merge_noised, Noised};
use consilium_primitives::rules::NormBound;

const NUMBERS: usize = 77;

/// 2^14 units in one, a learning rate of a half, a record in four drawn.
fn noised() -> Noised {
    Noised::new(14, 0.5, 0.25)
}

/// What each of so many sites adds, by site.
fn added(sites: usize) -> Vec<Vec<f64>> {
    let of = |site: usize| made(site as u64 + 11, NUMBERS).into_iter().map(|x| 900.0 * f64::from(x)).collect();
    (0..sites).map(of).collect()
}

/// Masks what a site has computed.
fn masked(round: &Round, merge: &Merge, noised: Option<Noised>, site: usize, words: &[u32]) -> Result<(), MaskedError> {
    let train = Hash::repeat_byte(0xee);
    let path = round.path("trained");
    fs::write(&path, encode_noised(&round.layout, &train, words)?).unwrap();
    let own = OwnUpdate { path: &path, duty: &train, weight: round.weights[site], figures: Round::figures(site) };
    let base = round.path("base");
    let agreed = MaskedRound { noised, ..round.agreed(merge, &base) };
    let bytes = mask_noised(&agreed, &own, &own_masks(site, round.weights.len()), &Round::duty(site))?;
    fs::write(round.path(&format!("masked{site}")), bytes).unwrap();
    Ok(())
}

#[test]
fn the_sum_of_what_is_rounded_to_the_grid_is_exact_whoever_is_lost() {
    let base = made(900, NUMBERS);
    let weights = [200, 110, 75, 70];
    let round = Round::new(mean(), one_tensor(NUMBERS), vec![base.clone(); 4], base.clone(), &weights);
    let words: Vec<Vec<u32>> = added(4).iter().map(|own| own.iter().map(|y| noised().word(*y)).collect()).collect();
    for (site, words) in words.iter().enumerate() {
        masked(&round, &round.merge, Some(noised()), site, words).unwrap();
        // the file says nothing of what is in it
        let file = fs::read(round.path(&format!("masked{site}"))).unwrap();
        let same = words.iter().filter(|word| file.windows(4).any(|there| there == word.to_le_bytes()));
        assert!(same.count() < 2);
    }
    for used in [vec![0, 1, 2, 3], vec![0, 1, 2], vec![0, 2, 3]] {
        let path = round.path("base");
        let agreed = MaskedRound { noised: Some(noised()), ..round.agreed(&round.merge, &path) };
        let inputs: Vec<InputFile> = used.iter().map(|site| round.input(*site)).collect();
        let (file, out) = round.open("merged");
        let merged = merge_masked(&agreed, &inputs, &masks_on_sum(&used, 4), (&file, &out)).unwrap();
        let model = decoded(&fs::read(&out).unwrap(), &round.layout);
        let there: f64 = used.iter().map(|site| f64::from(weights[*site])).sum();
        for (k, (found, w)) in model.iter().zip(&base).enumerate() {
            // whole numbers, in as many bits as they take
            let sum: i64 = used.iter().map(|site| i64::from(words[*site][k] as i32)).sum();
            let step = -2.0 * (sum as f64 / 16_384.0) / there;
            assert_eq!(*found, (f64::from(*w) + step) as f32, "number {k}");
        }
        let parts: Vec<(&[u32], u32)> = used.iter().map(|site| (words[*site].as_slice(), weights[*site])).collect();
        let in_memory = merge_noised(&round.merge, noised(), &parts, &base, &[]).unwrap();
        assert!(in_memory.0 == model && in_memory.1.is_empty());
        assert_eq!(merged.figures.reporters, used.len() as u64);
    }
}

/// Nothing leaves that has less noise than was agreed, or a bound that looks at noise.
#[test]
fn an_update_is_not_masked_where_noise_is_shared_nor_a_noised_sum_where_it_is_not() {
    let base = made(900, NUMBERS);
    let round = Round::new(mean(), one_tensor(NUMBERS), vec![base.clone(); 4], base, &[5, 6, 7, 8]);
    let words = vec![1; NUMBERS];
    let refused = |result: Result<(), MaskedError>| matches!(result, Err(MaskedError::Noise { .. }));
    assert!(refused(masked(&round, &round.merge, None, 0, &words)));
    let bounded = Merge { bound: Some(NormBound::Fixed(1_000_000)), ..mean() };
    assert!(refused(masked(&round, &bounded, Some(noised()), 0, &words)));
    masked(&round, &round.merge, Some(noised()), 0, &words).unwrap();
    assert!(masked(&round, &round.merge, Some(noised()), 0, &words[1..]).is_err());

    let (path, trained, train) = (round.path("base"), round.path("update"), Hash::repeat_byte(0xee));
    let update = ModelFile { layout: round.layout.clone(), duty: Some(train), data: round.updates[0].clone() };
    fs::write(&trained, update.encode().unwrap()).unwrap();
    let own = OwnUpdate { path: &trained, duty: &train, weight: 5, figures: Round::figures(0) };
    let agreed = MaskedRound { noised: Some(noised()), ..round.agreed(&round.merge, &path) };
    let (file, out) = round.open("other");
    let made = mask_update(&agreed, &own, &own_masks(0, 4), &Round::duty(0), (&file, &out));
    assert!(refused(made.map(|_| ())));
}
