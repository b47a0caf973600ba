//! The chain's sums and those of a site's ledger are the same numbers.

use consilium_primitives::budget;

#[test]
fn what_turns_sums_into_epsilon_is_the_same_on_the_chain_and_at_a_site() {
    for delta_exp in 3..=12 {
        assert_eq!(budget::constants(delta_exp), Some(&consilium_privacy::constants(delta_exp)), "1e-{delta_exp}");
    }
    assert_eq!(budget::constants(2), None);
    let mut state = 1u64;
    for _ in 0..1_000 {
        let spent = std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> (state % 40)
        });
        for delta_exp in [3, 5, 12] {
            let chain = budget::epsilon_micro(&spent, delta_exp);
            assert_eq!(chain, Some(consilium_privacy::epsilon_micro(&spent, delta_exp)));
        }
    }
    assert_eq!(budget::epsilon_micro(&[0; 16], 5), Some(consilium_privacy::epsilon_micro(&[0; 16], 5)));
    // what no longer fits is beyond every limit, which are of 32 bits, on both sides; only there the chain's sum ends sooner
    let most = [budget::epsilon_micro(&[u64::MAX; 16], 5), Some(consilium_privacy::epsilon_micro(&[u64::MAX; 16], 5))];
    assert!(most.iter().all(|sum| sum.is_some_and(|sum| sum > u64::from(u32::MAX))), "{most:?}");
}
