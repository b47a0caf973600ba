//! Thresholds and caps.

use super::*;

#[test]
fn thresholds_are_those_of_the_table() {
    let rules = |p, strict| StudyRules { min_participants: p, strict, ..crate::testing::rules() };
    let k: Vec<u32> = (2..=7).map(|n| rules(2, false).freeze_needs(n)).collect();
    assert_eq!(k, [2, 2, 3, 3, 4, 4]);
    let q: Vec<u32> = (2..=7).map(close_at_once).collect();
    assert_eq!(q, [2, 3, 3, 4, 5, 5]);
    let j: Vec<u32> = (2..=7).map(|m| rules(2, false).close_late(m)).collect();
    assert_eq!(j, [2, 2, 3, 3, 4, 4]);
    assert_eq!((2..=7).map(|m| rules(2, true).close_late(m)).collect::<Vec<_>>(), q);
    assert_eq!((2..=7).map(liars_survived).collect::<Vec<_>>(), [0, 0, 1, 1, 1, 2]);
    assert_eq!((2..=7).map(holders_needed).collect::<Vec<_>>(), [1, 1, 2, 2, 2, 3]);
}

#[test]
fn a_cap_holds_where_it_can() {
    assert_eq!(capped(&[200, 110, 75, 70], 500_000), [200, 110, 75, 70]);
    assert_eq!(capped(&[1000, 110, 75, 70], 500_000), [255, 110, 75, 70]);
    assert_eq!(capped(&[5, 1000, 1000, 1], 400_000), [5, 12, 12, 1]);
    assert_eq!(capped(&[7, 3], 500_000), [3, 3]);
    assert_eq!(capped(&[7, 3], 400_000), [1, 1]);
    assert_eq!(capped(&[9], 500_000), [1]);
    assert_eq!(capped(&[], 500_000), Vec::<u32>::new());
}
