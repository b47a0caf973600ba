//! What masked merging gives: near the mean, and the same bits everywhere.

use super::*;
use consilium_aggregation::masked::merge_unmasked;
use consilium_primitives::rules::{Adaptive, NormBound, ServerOptimizer};

/// The next larger number minus this one.
fn ulp(number: f32) -> f64 {
    f64::from(f32::from_bits(number.abs().to_bits() + 1)) - f64::from(number.abs())
}

#[test]
fn a_masked_merge_is_as_near_to_the_mean_as_promised() {
    const NUMBERS: usize = 101;
    // sites, and of these the lost
    let counts = [(3, 0), (4, 0), (4, 1), (7, 0), (7, 2), (8, 0), (8, 2), (64, 0), (64, 21)];
    for (sites, lost) in counts {
        for turn in 0..20u64 {
            let seed = |what: u64| turn * 1_000_003 + what * 7919 + sites as u64;
            let base = made(seed(900), NUMBERS);
            let updates: Vec<Vec<f32>> = (0..sites as u64).map(|site| moved(&base, seed(site))).collect();
            let weights: Vec<u32> = (0..sites as u64).map(|site| 20 + (seed(site) % 301) as u32).collect();
            let round = Round::new(mean(), one_tensor(NUMBERS), updates, base, &weights);
            round.mask_all();
            // others are lost in each turn
            let used: Vec<usize> = (0..sites).filter(|site| (site + turn as usize) % sites >= lost).collect();
            let (merged, bytes) = round.merge(&used).unwrap();
            let model = decoded(&bytes, &round.layout);
            let there: f64 = used.iter().map(|site| f64::from(weights[*site])).sum();
            let share = there / round.total() as f64;
            for (k, (found, w)) in model.iter().zip(&round.base).enumerate() {
                let w = f64::from(*w);
                let step = used.iter().map(|i| f64::from(weights[*i]) * (f64::from(round.updates[*i][k]) - w));
                let exact = w + step.sum::<f64>() / there;
                let allowed =
                    used.len() as f64 / f64::from(1 << 29) / share + 0.5 * ulp(found.abs().max((exact as f32).abs()));
                let difference = (f64::from(*found) - exact).abs();
                // the mean itself is rounded, at 2^-53
                assert!(difference <= allowed + 1e-15, "{sites} sites, {lost} lost: {difference:e} > {allowed:e}");
            }
            let inputs: Vec<(&[f32], u32)> = used.iter().map(|i| (round.updates[*i].as_slice(), weights[*i])).collect();
            let scale = Scale::new(RANGE_LOG2);
            let unmasked = merge_unmasked(&mean(), scale, round.total(), &inputs, &round.base, &[]).unwrap();
            assert!(unmasked.0 == model && unmasked.1.is_empty(), "masks change nothing");
            let figures = used.iter().map(|site| Round::figures(*site));
            let figures = figures.fold(Figures::default(), |a, b| Figures {
                loss: a.loss + b.loss,
                rows: a.rows + b.rows,
                reporters: a.reporters + b.reporters,
            });
            assert_eq!(merged.figures, figures);
        }
    }
}

/// Every kind of merge, by name.
fn ways() -> [(&'static str, Merge); 5] {
    let adaptive = Adaptive { rate: 10_000, beta1: 900_000, beta2: 990_000, tau: 1_000 };
    let by = |server| Merge { server: Some(server), ..mean() };
    [
        ("mean", mean()),
        ("a bound that is kept", Merge { bound: Some(NormBound::Fixed(100_000_000)), ..mean() }),
        ("a bound that shortens", Merge { bound: Some(NormBound::Fixed(3_000_000)), ..mean() }),
        ("momentum", by(ServerOptimizer::Momentum { rate: 1_000_000, beta: 900_000 })),
        ("adam", by(ServerOptimizer::Adam(adaptive))),
    ]
}

#[test]
fn masked_merges_have_the_same_bits_at_any_number_of_threads_and_with_headers_of_any_length() {
    const NUMBERS: usize = 40_000;
    let many: Vec<TensorShape> = (0..1000).map(|i| TensorShape::new(format!("layer{i}.weight"), [5, 7])).collect();
    let odd = vec![TensorShape::new("a", [NUMBERS]), TensorShape::new("b", [3])];
    let weights = [200, 110, 75, 70, 40];
    for layout in [one_tensor(NUMBERS), Layout::new(many).unwrap(), Layout::new(odd).unwrap(), one_tensor(1)] {
        let elements = layout.elements();
        let base = made(99, elements);
        let updates: Vec<Vec<f32>> = (1..=5).map(|seed| moved(&base, seed)).collect();
        for (name, way) in ways() {
            let round = Round::new(way, layout.clone(), updates.clone(), base.clone(), &weights);
            let masked = |threads| {
                in_threads(threads, || round.mask_all());
                (0..5).map(|site| round.input(site).blob.root).collect::<Vec<_>>()
            };
            let one = masked(1);
            assert!(masked(4) == one, "{name}: {elements} numbers");
            let used = [0, 1, 3, 4];
            let merged = |threads| in_threads(threads, || round.merge(&used).unwrap());
            let first = merged(1);
            for threads in [2, 4] {
                let again = merged(threads);
                assert!(again == first, "{name}: {elements} numbers on {threads} threads");
            }
            let inputs = used.map(|site| (updates[site].as_slice(), weights[site]));
            let scale = Scale::new(RANGE_LOG2);
            let (model, state) = merge_unmasked(&round.merge, scale, round.total(), &inputs, &base, &[]).unwrap();
            let whole = layout.with_state(round.merge.moments()).unwrap();
            let data = [model, state].concat();
            let expected = ModelFile { layout: whole, duty: None, data }.encode().unwrap();
            assert!(first.1 == expected, "{name}: {elements} numbers from memory");
        }
    }
}

/// Files are cut where the masked files' hashes have whole parts, which is elsewhere in the merged file.
#[test]
fn masked_files_of_every_length_around_a_cut_are_merged() {
    // parts are of 64 KiB: 16,384 words, of which the header takes 42, and the figures six at the end
    for numbers in (16_384 - 56..16_384 - 30).chain([1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        let base = made(7, numbers);
        let updates: Vec<Vec<f32>> = (1..=3).map(|seed| moved(&base, seed)).collect();
        let round = Round::new(mean(), one_tensor(numbers), updates, base, &[3, 4, 5]);
        round.mask_all();
        let (merged, bytes) = in_threads(2, || round.merge(&[0, 1, 2]).unwrap());
        assert_eq!(merged.figures.reporters, 3, "{numbers}");
        let inputs = [0, 1, 2].map(|site| (round.updates[site].as_slice(), round.weights[site]));
        let scale = Scale::new(RANGE_LOG2);
        let expected = merge_unmasked(&mean(), scale, round.total(), &inputs, &round.base, &[]).unwrap().0;
        assert!(decoded(&bytes, &round.layout) == expected, "{numbers}");
    }
}
