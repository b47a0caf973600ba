//! Sorting networks: the values of many coordinates sorted at a time, one coordinate in each lane.

/// Coordinates that are sorted side by side.
pub(super) const LANES: usize = 64;

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

/// Sorts each lane, smallest first. The values must be finite and none may be −0.
pub(super) fn sort<T: Copy + PartialOrd>(rows: &mut [[T; LANES]], pairs: &[(usize, usize)]) {
    for (low, high) in pairs {
        let (front, back) = rows.split_at_mut(*high);
        for (a, b) in front[*low].iter_mut().zip(&mut back[0]) {
            let (x, y) = (*a, *b);
            *a = if y < x { y } else { x };
            *b = if y < x { x } else { y };
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
            let mut rows: Vec<[f32; LANES]> = (0..n).map(|i| [(n * 7 - i) as f32 % 11.0; LANES]).collect();
            let mut expected: Vec<f32> = rows.iter().map(|row| row[0]).collect();
            expected.sort_by(f32::total_cmp);
            sort(&mut rows, &network(n));
            assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), expected);
        }
    }
}
