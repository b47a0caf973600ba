#![allow(clippy::unwrap_used)]
use super::{cosine_and_sine, ln, normal, PAIRS};
use crate::learn::private::noise::{Bytes, Noise, MADE};
use std::f64::consts::FRAC_PI_4;

/// Words whose numbers are looked at together.
fn many(blocks: usize) -> Vec<[[f64; PAIRS]; 2]> {
    let mut words = Bytes::new(&[5; 32]).at(0);
    (0..blocks).map(|_| normal(&words.many())).collect()
}

/// The key stream of zeros as `openssl enc -aes-256-ctr` gives it, and what mpmath makes of it with forty digits.
#[test]
fn numbers_are_those_of_their_words() {
    let words = Bytes::new(&[0; 32]).at(0).many();
    let numbers = normal(&words);
    let golden = [
        (0, 0.948_784_413_305_208_4, -0.585_140_625_708_367_3),
        (1, -0.337_999_059_472_607_2, 1.078_740_484_259_045_4),
        (2, 0.589_760_765_515_399_6, 0.547_297_792_776_609_4),
        (3, 0.838_808_483_786_479_3, 0.715_059_158_376_457_1),
        (63, -1.128_713_486_515_917_9, -0.007_496_448_606_523_503),
    ];
    for (n, first, second) in golden {
        for (found, golden) in [(numbers[0][n], first), (numbers[1][n], second)] {
            assert!((found / golden - 1.0).abs() < 4e-15, "{n}: {found} for {golden}");
        }
    }
}

/// With the widest vectors of this machine and with none.
#[test]
fn numbers_have_the_same_bits_however_many_are_made_at_once() {
    let key = [9; 32];
    let mut added = [0.0f64; 3 * MADE + 7];
    Noise::new(&key, 1.0, 1.0).add(0, &mut added);
    let mut words = Bytes::new(&key).at(0);
    let plain: Vec<f64> = (0..4).flat_map(|_| normal(&words.many()).as_flattened().to_vec()).collect();
    for (n, (added, plain)) in added.iter().zip(&plain).enumerate() {
        assert_eq!(added.to_bits(), plain.to_bits(), "number {n}");
    }
}

/// The series beside libm's functions.
#[test]
fn logarithm_and_circle_are_exact_to_the_last_digits() {
    let mut words = Bytes::new(&[6; 32]).at(0);
    let near = [
        libm::ldexp(1.0, -65),
        f64::EPSILON / 2.0,
        1.0 - f64::EPSILON / 2.0,
        0.5,
        std::f64::consts::FRAC_1_SQRT_2,
        1.0 - 1e-9,
    ];
    let any: Vec<f64> = (0..100_000).map(|_| (words.word() >> 11) as f64 * f64::EPSILON / 2.0).collect();
    for u in near.into_iter().chain(any.iter().copied().filter(|u| *u > 0.0)) {
        assert!((ln(u) / libm::log(u) - 1.0).abs() < 2e-15, "ln {u}: {}", ln(u));
    }
    for x in any.into_iter().map(|u| (2.0 * u - 1.0) * FRAC_PI_4).chain([-FRAC_PI_4, 0.0, FRAC_PI_4]) {
        let [cosine, sine] = cosine_and_sine(x);
        assert!((cosine - libm::cos(x)).abs() < 4e-15 && (sine - libm::sin(x)).abs() < 4e-15, "{x}: {cosine} {sine}");
    }
}

#[test]
fn no_words_give_what_is_no_number_and_none_is_beyond_its_bound() {
    let bound = (2.0 * 65.0 * std::f64::consts::LN_2).sqrt();
    for a in [0, u64::MAX, 1, 1 << 12, u64::MAX << 11, 1 << 63] {
        for b in [0, 1, 2, 3, u64::MAX, 1 << 63] {
            let mut words = [a; MADE];
            words[PAIRS..].fill(b);
            for number in normal(&words).as_flattened() {
                assert!(number.abs() <= bound + 1e-9, "{a} {b}: {number}");
            }
        }
    }
    let mut words = [0; MADE];
    words[PAIRS..].fill(1 << 63);
    assert!((normal(&words)[0][0] - bound).abs() < 1e-12, "the farthest");
}

/// Both halves by themselves: moments, Kolmogorov and Smirnov's distance, and how many are far out.
#[test]
fn numbers_are_normal_in_their_middle_and_far_out() {
    let blocks = many(1 << 15);
    for half in 0..2 {
        let mut numbers: Vec<f64> = blocks.iter().flat_map(|block| block[half]).collect();
        let n = numbers.len() as f64;
        let moment = |power: i32| numbers.iter().map(|z| z.powi(power)).sum::<f64>() / n;
        // each by the standard deviation of a normal number's moment: √(E z²ᵏ − (E zᵏ)²)
        for (power, expected, deviation) in [
            (1, 0.0, 1.0),
            (2, 1.0, 2f64.sqrt()),
            (3, 0.0, 15f64.sqrt()),
            (4, 3.0, 96f64.sqrt()),
            (6, 15.0, 10_170f64.sqrt()),
        ] {
            let apart = (moment(power) - expected) / (deviation / n.sqrt());
            assert!(apart.abs() < 4.0, "moment {power} is {apart} deviations off");
        }
        // as far as a dozen are expected
        for far in [2.0, 3.0, 4.0, 4.5] {
            let expected = n * libm::erfc(far / std::f64::consts::SQRT_2);
            let found = numbers.iter().filter(|z| z.abs() > far).count() as f64;
            assert!((found - expected).abs() < 4.0 * expected.sqrt(), "beyond {far}: {found}, not {expected}");
        }
        numbers.sort_by(f64::total_cmp);
        let apart = numbers.iter().enumerate().fold(0.0f64, |most, (k, z)| {
            most.max((libm::erfc(-z / std::f64::consts::SQRT_2) / 2.0 - (k as f64 + 0.5) / n).abs())
        });
        // exceeded once in a thousand times
        assert!(apart * n.sqrt() < 1.95, "{apart}");
    }
}

/// Of neither pairs nor neighbours does one tell the other, nor its size the other's; all quarters of the circle come alike often.
#[test]
fn numbers_do_not_depend_on_each_other() {
    let blocks = many(1 << 13);
    let pairs: Vec<(f64, f64)> = blocks.iter().flat_map(|block| block[0].into_iter().zip(block[1])).collect();
    let neighbours: Vec<(f64, f64)> =
        blocks.iter().flat_map(|block| block.as_flattened().windows(2).map(|two| (two[0], two[1]))).collect();
    for (name, all) in [("pairs", &pairs), ("neighbours", &neighbours)] {
        let n = all.len() as f64;
        let product = |of: fn(f64) -> f64| all.iter().map(|(x, y)| of(*x) * of(*y)).sum::<f64>() / n.sqrt();
        for (what, of) in [("values", (|x| x) as fn(f64) -> f64), ("squares", |x| (x * x - 1.0) / 2f64.sqrt())] {
            assert!(product(of).abs() < 4.0, "{what} of {name}: {}", product(of));
        }
        for sides in [(true, true), (true, false), (false, true), (false, false)] {
            let found = all.iter().filter(|(x, y)| (*x > 0.0, *y > 0.0) == sides).count() as f64;
            assert!((found - n / 4.0).abs() < 4.0 * (n * 3.0 / 16.0).sqrt(), "{name} {sides:?}: {found}");
        }
        let steeper = all.iter().filter(|(x, y)| x.abs() > y.abs()).count() as f64;
        assert!((steeper - n / 2.0).abs() < 2.0 * n.sqrt(), "{name}: {steeper}");
    }
}
