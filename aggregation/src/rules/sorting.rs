//! Sorting networks: the values of many coordinates sorted at a time, one coordinate in each lane.

/// Coordinates that are sorted side by side.
pub(super) const LANES: usize = 64;

/// Lanes whose values and weights are in registers at a time.
const HELD: usize = 16;

/// Pairs to compare, in order, after which `n` values are sorted: Batcher's odd-even merge sort (K. E. Batcher, "Sorting
/// networks and their applications", AFIPS 1968), in the form for any `n` of Knuth, volume 3, algorithm 5.2.2M.
pub(super) fn network(n: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    if n < 2 {
        return pairs;
    }
    let top = 1 << (usize::BITS - 1 - (n - 1).leading_zeros());
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            pairs.extend((0..n - d).filter(|i| i & p == r).map(|i| (i, i + d)));
            if q == p {
                break;
            }
            d = q - p;
            q /= 2;
            r = p;
        }
        p /= 2;
    }
    pairs
}

/// A number as an integer of the same order: vectors have a minimum and a maximum of integers that no compiler misses. There is no
/// −0 among the numbers.
pub(super) trait Key: Copy + Ord {
    /// What is sorted.
    type Number: Into<f64>;
    /// The number's key.
    fn of(number: Self::Number) -> Self;
    /// The key's number.
    fn number(self) -> f64;
}

impl Key for i32 {
    type Number = f32;

    #[inline(always)]
    fn of(number: f32) -> Self {
        let bits = number.to_bits() as i32;
        // of a negative number all bits but the sign are turned
        bits ^ (bits >> 31 & i32::MAX)
    }

    #[inline(always)]
    fn number(self) -> f64 {
        f64::from(f32::from_bits((self ^ (self >> 31 & i32::MAX)) as u32))
    }
}

impl Key for i64 {
    type Number = f64;

    #[inline(always)]
    fn of(number: f64) -> Self {
        let bits = number.to_bits() as i64;
        bits ^ (bits >> 63 & i64::MAX)
    }

    #[inline(always)]
    fn number(self) -> f64 {
        f64::from_bits((self ^ (self >> 63 & i64::MAX)) as u64)
    }
}

/// Sorts each lane, smallest first.
#[inline(always)]
pub(super) fn sort<K: Copy + Ord>(rows: &mut [[K; LANES]], pairs: &[(usize, usize)]) {
    for (low, high) in pairs {
        let (front, back) = rows.split_at_mut(*high);
        for (a, b) in front[*low].iter_mut().zip(&mut back[0]) {
            (*a, *b) = ((*a).min(*b), (*a).max(*b));
        }
    }
}

/// Sorts each lane, smallest first, and takes each value's weight along.
#[inline(always)]
pub(super) fn sort_weighted<K: Copy + Ord>(
    rows: &mut [[K; LANES]],
    weights: &mut [[u32; LANES]],
    pairs: &[(usize, usize)],
) {
    for (low, high) in pairs {
        let (front, back) = rows.split_at_mut(*high);
        let (front_weights, back_weights) = weights.split_at_mut(*high);
        let values = front[*low].chunks_exact_mut(HELD).zip(back[0].chunks_exact_mut(HELD));
        let weights = front_weights[*low].chunks_exact_mut(HELD).zip(back_weights[0].chunks_exact_mut(HELD));
        for ((a, b), (of_a, of_b)) in values.zip(weights) {
            let mut turned = [0u32; HELD];
            for ((turned, a), b) in turned.iter_mut().zip(&*a).zip(&*b) {
                *turned = if b < a { u32::MAX } else { 0 };
            }
            for (turned, (of_a, of_b)) in turned.iter_mut().zip(of_a.iter().zip(&*of_b)) {
                *turned &= of_a ^ of_b;
            }
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = ((*a).min(*b), (*a).max(*b));
            }
            of_a.iter_mut().zip(&turned).for_each(|(weight, turned)| *weight ^= turned);
            of_b.iter_mut().zip(&turned).for_each(|(weight, turned)| *weight ^= turned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_sort_every_row_of_zeros_and_ones() {
        // a network that sorts all of these sorts everything (Knuth, theorem 5.3.4Z)
        for n in 0..=12 {
            let pairs = network(n);
            for word in 0u32..1 << n {
                let mut rows: Vec<[u8; LANES]> = (0..n).map(|i| [(word >> i & 1) as u8; LANES]).collect();
                sort(&mut rows, &pairs);
                assert!(rows.windows(2).all(|two| two[0] <= two[1]), "{n}: {word:b}");
            }
        }
        // with the fewest comparisons that are known for 8 and for 16 inputs of this construction
        assert_eq!((network(8).len(), network(16).len()), (19, 63));
    }

    #[test]
    fn wide_networks_sort_what_is_upside_down() {
        for n in [13, 31, 33, 63, 64] {
            let mut rows: Vec<[i32; LANES]> = (0..n).map(|i| [(n * 7 - i) as i32 % 11; LANES]).collect();
            let mut weights: Vec<[u32; LANES]> = rows.iter().map(|row| row.map(|value| value as u32 * 3)).collect();
            let mut expected: Vec<i32> = rows.iter().map(|row| row[0]).collect();
            expected.sort_unstable();
            let mut again = rows.clone();
            sort(&mut rows, &network(n));
            assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), expected);
            sort_weighted(&mut again, &mut weights, &network(n));
            assert_eq!(again, rows);
            assert!(again.iter().zip(&weights).all(|(row, weights)| row.map(|value| value as u32 * 3) == *weights));
        }
    }

    #[test]
    fn keys_have_the_order_of_their_numbers_and_give_them_back() {
        let mut numbers = vec![f32::MIN, -1e30, -1.5, -1e-45, 0.0, 1e-45, f32::MIN_POSITIVE, 0.1, 7.0, f32::MAX];
        numbers.extend((1..100).map(|i| i as f32 * 0.37 - 20.0));
        numbers.sort_by(f32::total_cmp);
        numbers.dedup();
        for two in numbers.windows(2) {
            assert!(<i32 as Key>::of(two[0]) < <i32 as Key>::of(two[1]), "{two:?}");
            assert!(<i64 as Key>::of(two[0].into()) < <i64 as Key>::of(two[1].into()), "{two:?}");
        }
        for number in numbers {
            let wide = f64::from(number) / 3.0;
            assert_eq!(<i32 as Key>::of(number).number().to_bits(), f64::from(number).to_bits());
            assert_eq!(<i64 as Key>::of(wide).number().to_bits(), wide.to_bits());
        }
    }
}
