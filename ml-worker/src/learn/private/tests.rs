#![allow(clippy::unwrap_used)]
use super::*;
use consilium_aggregation::masked::Noised;
use consilium_privacy::SharedNoise;

/// Largest deviation from a distribution, in the standard deviations of a normal number, that is still no wonder (p > .001).
const NO_WONDER: f64 = 3.09;
const DRAWS: u64 = 20_000;

fn private(units: Units, rate_ppm: u32) -> Private {
    let mechanism = Mechanism { rate_ppm, steps: 8, clip: 0.5, sigma: 3.0, units: units.len() as u64 };
    Private { mechanism, seed: [7; 32], units }
}

/// χ² of counts against what is expected of them, as a normal number (E. Wilson and M. Hilferty, 1931).
fn surprise(found: &[f64], expected: &[f64], free: f64) -> f64 {
    let square: f64 = found.iter().zip(expected).map(|(f, e)| (f - e) * (f - e) / e).sum();
    ((square / free).cbrt() - (1.0 - 2.0 / (9.0 * free))) / (2.0 / (9.0 * free)).sqrt()
}

/// Probability that so many numbers of a distribution lie so far from it (Kolmogorov; M. Stephens' form for few numbers).
fn kolmogorov(numbers: &mut [f64], distribution: impl Fn(f64) -> f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len() as f64;
    let apart = numbers.iter().enumerate().fold(0.0f64, |most, (k, x)| {
        let expected = distribution(*x);
        most.max(expected - k as f64 / n).max((k + 1) as f64 / n - expected)
    });
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * apart;
    let terms = (1..100)
        .map(|k| f64::from(if k % 2 == 1 { 2 } else { -2 }) * (-2.0 * f64::from(k * k) * lambda * lambda).exp());
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// As `openssl enc -aes-256-ctr` gives them.
#[test]
fn the_key_stream_is_that_of_aes_256_in_counter_mode() {
    let bytes = |place: usize, count: usize| {
        let mut words = Bytes::new(&[0; 32]).at(place);
        hex::encode((0..count / 8).flat_map(|_| words.word().to_le_bytes()).collect::<Vec<u8>>())
    };
    let first = "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738bcea7403d4d606b6e074ec5d3baf39d18";
    assert_eq!(bytes(0, 48), first);
    assert_eq!(bytes(1, 16), "f5956edf02bd36a401bbb6ce77c3d3fb");
    assert_eq!(bytes(3, 16), "8a92328c825fb287ea403c2df5d88f21");
    // many at a time are the same ones
    let many = Bytes::new(&[0; 32]).at(0).many();
    let by_words: Vec<u8> = many.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes(0, by_words.len()), hex::encode(by_words));
}

#[test]
fn batch_sizes_are_binomial() {
    for (units, rate_ppm) in [(400, 250_000), (60, 10_000), (200, 900_000)] {
        let private = private(Units::records(units), rate_ppm);
        let mut found = vec![0.0; units + 1];
        (0..DRAWS).for_each(|step| found[private.draw(step).len()] += 1.0);
        let (n, q) = (units as f64, f64::from(rate_ppm) / 1e6);
        let expected = (0..=units).map(|k| {
            let k = k as f64;
            let ways = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
            DRAWS as f64 * (ways + k * q.ln() + (n - k) * (1.0 - q).ln()).exp()
        });
        // neighbours with few draws are taken together
        let (mut of, mut there) = (vec![0.0], vec![0.0]);
        for (expected, found) in expected.zip(&found) {
            if of[of.len() - 1] >= 20.0 {
                of.push(0.0);
                there.push(0.0);
            }
            *of.last_mut().unwrap() += expected;
            *there.last_mut().unwrap() += found;
        }
        let (rest, rest_found) = (of.pop().unwrap(), there.pop().unwrap());
        *of.last_mut().unwrap() += rest;
        *there.last_mut().unwrap() += rest_found;
        let free = of.len() as f64 - 1.0;
        let surprise = surprise(&there, &of, free);
        assert!(surprise < NO_WONDER, "{units} units at {q}: {surprise}");
        let sizes: Vec<f64> = (0..DRAWS).map(|step| private.draw(step).len() as f64).collect();
        let mean = sizes.iter().sum::<f64>() / DRAWS as f64;
        let error = (n * q * (1.0 - q) / DRAWS as f64).sqrt();
        assert!((mean - n * q).abs() < 4.0 * error, "{mean} of {}", n * q);
    }
}

#[test]
fn a_coin_depends_on_no_other() {
    let few = private(Units::records(10), 250_000);
    let many = private(Units::records(1000), 250_000);
    let mut pairs = [[0.0f64; 2]; 2];
    let mut times = [[0.0f64; 2]; 2];
    for step in 0..2000 {
        let drawn = many.draw(step);
        let early: Vec<usize> = drawn.iter().copied().filter(|unit| *unit < 10).collect();
        assert_eq!(few.draw(step), early, "more units change no coin of those before");
        let is = |unit: usize| usize::from(drawn.binary_search(&unit).is_ok());
        (0..500).for_each(|pair| pairs[is(2 * pair)][is(2 * pair + 1)] += 1.0);
        let next = many.draw(step + 10_000);
        (0..1000).for_each(|unit| times[is(unit)][usize::from(next.binary_search(&unit).is_ok())] += 1.0);
    }
    for (counts, total) in [(pairs, 1e6), (times, 2e6)] {
        let q = [0.75, 0.25];
        let expected: Vec<f64> = (0..4).map(|n| total * q[n / 2] * q[n % 2]).collect();
        let surprise = surprise(counts.as_flattened(), &expected, 3.0);
        assert!(surprise < NO_WONDER, "{counts:?}: {surprise}");
    }
}

#[test]
fn all_are_drawn_where_all_are_agreed_and_none_at_nothing() {
    assert_eq!(private(Units::records(50), 1_000_000).draw(3), (0..50).collect::<Vec<_>>());
    assert!(private(Units::records(50), 0).draw(3).is_empty());
    let mechanism = private(Units::records(1), 250_000).mechanism;
    let last = (1u64 << 62) - 1;
    assert!(mechanism.draws(0) && mechanism.draws(last) && !mechanism.draws(last + 1) && !mechanism.draws(u64::MAX));
    let all = Mechanism { rate_ppm: 1_000_000, ..mechanism };
    assert!(all.draws(u64::MAX));
}

/// The same patients are drawn however the table is sorted.
#[test]
fn patients_are_units_in_an_order_of_their_own() {
    let patient = |n: u8| [n; 32];
    let (sorted, mixed) = ([1, 1, 2, 3, 3, 3].map(patient), [3, 2, 1, 3, 1, 3].map(patient));
    let (a, b) = (Units::patients(&sorted, 8, &[5; 32]), Units::patients(&mixed, 8, &[5; 32]));
    assert_eq!((a.len(), a.rows(), a.largest()), (3, 6, 3));
    assert_eq!((0..3).map(|unit| a.of(unit).to_vec()).collect::<Vec<_>>(), [vec![0, 1], vec![2], vec![3, 4, 5]]);
    assert_eq!((0..3).map(|unit| b.of(unit).to_vec()).collect::<Vec<_>>(), [vec![2, 4], vec![1], vec![0, 3, 5]]);
    let (a, b) = (private(a, 500_000), private(b, 500_000));
    assert!((0..50).all(|step| a.draw(step) == b.draw(step)));
}

#[test]
fn of_a_patient_with_more_rows_so_many_are_drawn_always_the_same() {
    let groups = [[1; 32]; 20];
    let units = Units::patients(&groups, 8, &[5; 32]);
    let own = units.of(0).to_vec();
    assert_eq!((units.len(), own.len()), (1, 8));
    assert!(own.windows(2).all(|two| two[0] < two[1]), "each row once: {own:?}");
    assert_eq!(Units::patients(&groups, 8, &[5; 32]), units);
    assert_ne!(Units::patients(&groups, 8, &[6; 32]), units, "the site's secret draws them");
}

#[test]
fn pieces_hold_all_rows_and_tear_no_patient_apart() {
    let groups: Vec<[u8; 32]> = (0..100u8).map(|row| [row % 23; 32]).collect();
    let units = Units::patients(&groups, 8, &[5; 32]);
    let drawn: Vec<usize> = (0..23).filter(|unit| unit % 3 != 1).collect();
    for most in [1, 4, 7, 16, 1000] {
        let pieces = units.pieces(&drawn, most);
        let rows: Vec<usize> = pieces.iter().flat_map(|piece| piece.rows.clone()).collect();
        assert_eq!(rows, drawn.iter().flat_map(|unit| units.of(*unit).to_vec()).collect::<Vec<_>>());
        let counts: Vec<usize> = pieces.iter().flat_map(|piece| piece.units.clone()).collect();
        assert_eq!(counts, drawn.iter().map(|unit| units.of(*unit).len()).collect::<Vec<_>>());
        for piece in &pieces {
            assert_eq!(piece.units.iter().sum::<usize>(), piece.rows.len());
            assert!(piece.rows.len() <= most || piece.units.len() == 1, "{most}: {piece:?}");
        }
    }
    assert!(units.pieces(&[], 4).is_empty());
}

/// Whether the projections of many steps' private gradients of nothing are what they are to be: normal, of this deviation.
fn noise_is(private: &Private, made: impl Fn(u64) -> Noise, deviation: f64) -> Result<(), String> {
    let of = |step| {
        let mut sums = [0.0f64; 40];
        made(step).add(0, &mut sums);
        sums.map(|g| g * private.mechanism.expected())
    };
    normal(of, deviation)
}

/// Whether many draws of forty numbers are normal along some direction, with this deviation.
fn normal(drawn: impl Fn(u64) -> [f64; 40], deviation: f64) -> Result<(), String> {
    let mut stream = crate::random::Stream::new([3; 32]);
    let direction: Vec<f64> = (0..40).map(|_| stream.normal()).collect();
    let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let mut found: Vec<f64> = (0..DRAWS)
        .map(|step| drawn(step).iter().zip(&direction).map(|(g, d)| g * d / length).sum::<f64>() / deviation)
        .collect();
    let spread = (found.iter().map(|x| x * x).sum::<f64>() / DRAWS as f64).sqrt();
    if (spread - 1.0).abs() > 0.02 {
        return Err(format!("a deviation of {spread} times what it is to be"));
    }
    let p = kolmogorov(&mut found, |x| (1.0 + libm::erf(x / std::f64::consts::SQRT_2)) / 2.0);
    if p > 0.001 {
        Ok(())
    } else {
        Err(format!("not normal: p = {p}"))
    }
}

#[test]
fn noise_is_normal_and_of_the_agreed_deviation_and_what_is_not_is_found() {
    let private = private(Units::records(400), 250_000);
    let Mechanism { clip, sigma, .. } = private.mechanism;
    noise_is(&private, |step| private.noise(step), sigma * clip).unwrap();
    let key = |step: u64| private.key("consilium/noise/1", step, 0);
    // divided by how many were drawn: its size would tell of the records
    let few = self::private(Units::records(20), 250_000);
    noise_is(&few, |step| few.noise(step), sigma * clip).unwrap();
    let by_batch = |step| {
        let drawn = few.draw(step).len().max(1) as f64;
        Noise::new(&few.key("consilium/noise/1", step, 0), sigma * clip, 1.0 / drawn)
    };
    assert!(noise_is(&few, by_batch, sigma * clip).unwrap_err().contains("deviation"));
    let by_all = |step| Noise::new(&key(step), sigma * clip, 1.0 / 400.0);
    assert!(noise_is(&private, by_all, sigma * clip).unwrap_err().contains("deviation"));
    let without_clip = |step| Noise::new(&key(step), sigma, 1.0 / private.mechanism.expected());
    assert!(noise_is(&private, without_clip, sigma * clip).unwrap_err().contains("deviation"));
    let wider = |step| Noise::new(&key(step), sigma * clip * 1.03, 1.0 / private.mechanism.expected());
    assert!(noise_is(&private, wider, sigma * clip).unwrap_err().contains("deviation"));
    // the same in every step
    assert!(noise_is(&private, |_| private.noise(0), sigma * clip).is_err());
}

#[test]
fn noise_repeats_with_its_seed_and_no_place_has_that_of_another() {
    let one = private(Units::records(10), 250_000);
    let other = Private { seed: [8; 32], ..private(Units::records(10), 250_000) };
    let made = |private: &Private, step: u64, start: usize| {
        let mut sums = [0f32; 64];
        private.noise(step).add(start, &mut sums);
        sums.map(f32::to_bits)
    };
    assert_eq!(made(&one, 2, 0), made(&one, 2, 0));
    let all = [made(&one, 2, 0), made(&one, 3, 0), made(&one, 2, 1), made(&one, 2, 512), made(&other, 2, 0)];
    for (n, a) in all.iter().enumerate() {
        for b in &all[..n] {
            assert!(a.iter().zip(b).filter(|(a, b)| a == b).count() < 4, "numbers come twice");
        }
    }
    assert_ne!(one.chance(2, 0), one.chance(2, 1));
    assert_ne!(one.chance(2, 0), other.chance(2, 0));
}

/// What is agreed of the noise of a sum of at least three sites, of which one may be curious; a coarse grid.
const SHARED: SharedNoise =
    SharedNoise { clip_micro: 500_000, sigma_1024: 22_690, range_log2: 16, parameters: 40, least: 3, colluders: 1 };

/// The sum of what so many sites add where none has any gradient, read with its sign, each by this deviation.
fn summed(sites: u8, deviation: f64) -> impl Fn(u64) -> [f64; 40] {
    let of_site = move |site: u8| {
        let mut own = private(Units::records(100), 1_000_000);
        own.seed = [site + 1; 32];
        own.mechanism.clip = SHARED.clip();
        own.mechanism.sigma = deviation / SHARED.clip();
        own
    };
    let all: Vec<Private> = (0..sites).map(of_site).collect();
    let (grid, unit) = (Noised::new(SHARED.exponent(), 1.0, 1.0), libm::ldexp(1.0, -SHARED.exponent()));
    move |step| {
        let mut sum = [0u32; 40];
        for own in &all {
            let words = own.noise(step).counted(&[0f32; 40], grid);
            sum.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
        }
        sum.map(|word| f64::from(word as i32) * unit)
    }
}

/// `σ·C_eff·√(u ÷ (u_min − c))`: where one site that is curious takes its own part out of the smallest sum, all of the agreed noise is left.
#[test]
fn the_noise_of_a_sum_is_that_of_all_sites_in_it_and_another_divisor_is_found() {
    let whole = f64::from(SHARED.sigma_1024) / 1024.0 * SHARED.sensitivity();
    let own = SHARED.deviation();
    for sites in [3u8, 4] {
        normal(summed(sites, own), whole * (f64::from(sites) / 2.0).sqrt()).unwrap();
    }
    // without the curious one's
    normal(summed(2, own), whole).unwrap();
    for wrong in [whole, whole / 3f64.sqrt(), whole / 2.0, SHARED.deviation() / SHARED.sensitivity()] {
        let said = normal(summed(3, wrong), whole * 1.5f64.sqrt()).unwrap_err();
        assert!(said.contains("deviation"), "{wrong}: {said}");
    }
}

#[test]
fn what_is_added_to_a_sum_is_rounded_once_after_the_noise_and_repeats_with_its_seed() {
    let own = private(Units::records(10), 1_000_000);
    let grid = Noised::new(4, 1.0, 1.0);
    let sums: Vec<f32> = (0..200).map(|k| k as f32 * 0.37 - 30.0).collect();
    let words = own.noise(0).counted(&sums, grid);
    assert_eq!(own.noise(0).counted(&sums, grid), words);
    let mut unrounded: Vec<f64> = sums.iter().map(|sum| f64::from(*sum)).collect();
    own.noise(0).add(0, &mut unrounded);
    for (word, x) in words.iter().zip(&unrounded) {
        // what a step of this site's own would be divided by
        let x = x * own.mechanism.expected();
        assert!((f64::from(*word as i32) / 16.0 - x).abs() <= 1.0 / 32.0 + 1e-9, "{x}");
    }
    let other = Private { seed: [8; 32], ..private(Units::records(10), 1_000_000) };
    assert_ne!(other.noise(0).counted(&sums, grid), words);
}
