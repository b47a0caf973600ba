//! Studies with masked sums, for benchmarks.

use super::*;
use codec::Encode;
use consilium_primitives::{masks, InstitutionId, MaskKeys, Masked};

/// What stands for a share.
pub(crate) fn share(dealer: &InstitutionId, holder: &InstitutionId, which: u8) -> [u8; 32] {
    sp_io::hashing::blake2_256(&(dealer, holder, which).encode())
}

/// A member's deal for a key list.
pub(crate) fn dealt(keys_root: &Hash, dealer: &InstitutionId, list: &[(InstitutionId, MaskKeys)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (holder, _) in list {
        for which in [0, 1] {
            let share = share(dealer, holder, which);
            bytes.extend_from_slice(masks::commitment(keys_root, dealer, holder, which, &share).as_bytes());
        }
        bytes.extend_from_slice(&[0; 80]);
    }
    bytes
}

pub(crate) fn posted<T: Config>(study: StudyId, who: &AccountId32, bytes: &[u8]) -> Vote {
    let hash = Hash::from(sp_io::hashing::blake2_256(bytes));
    ballot::<T>(study, who, VoteBody::Posted { hash, len: bytes.len() as u32 })
}

pub(crate) fn post<T: Config>(study: StudyId, who: &AccountId32, bytes: Vec<u8>) {
    let vote = posted::<T>(study, who, &bytes);
    assert_ok!(Pallet::<T>::apply(study, Event::Post { vote, bytes }));
}

/// A member's shares of all partners' seeds.
pub(crate) fn shares<T: Config>(study: StudyId, who: &AccountId32) -> Vec<u8> {
    let state = Studies::<T>::get(study).expect("the benchmark has registered it").state;
    let partners = state.masking.pair.as_ref().map(|pair| state.partners(pair)).unwrap_or_default();
    let all = 1u64.checked_shl(partners.len() as u32).map_or(u64::MAX, |bit| bit.wrapping_sub(1));
    let mut bytes = all.to_le_bytes().to_vec();
    for partner in partners {
        bytes.extend_from_slice(&share(&partner.institution, &institution(who), 0));
    }
    bytes
}

/// A study with masks in which everybody's masked file is in the set, and shares are asked for.
pub(crate) fn revealing<T: Config>(all: &[(AccountId32, AuthorityId)]) -> StudyId {
    let masked = Some(Masked { range_log2: 2, statistics_len: 0, figures_len: LEN });
    let study = full::<T>(all, StudyRules { min_participants: 3, max_rounds: 9, masked, ..rules() });
    assert_ok!(Pallet::<T>::start(RawOrigin::Signed(all[0].0.clone()).into(), study));
    for (who, _) in all {
        if matches!(phase::<T>(study), Phase::Init { .. }) {
            answer::<T>(study, who, VoteBody::Root(hash(0)));
        }
    }
    for (who, _) in all {
        let keys = MaskKeys { seal: hash(1), pair: hash(2), seed: hash(3) };
        answer::<T>(study, who, VoteBody::Keys(keys));
    }
    let state = Studies::<T>::get(study).expect("the benchmark has registered it").state;
    let pair = state.masking.pair.as_ref().expect("keys were given");
    for (who, _) in all {
        post::<T>(study, who, dealt(&pair.keys_root, &institution(who), &state.key_list(pair)));
    }
    for ((who, _), n) in all.iter().zip(1..) {
        answer::<T>(study, who, VoteBody::Update { root: hash(n), len: LEN, metric: None });
    }
    for (who, _) in all {
        if let Phase::Gathering(m) = phase::<T>(study) {
            answer::<T>(study, who, VoteBody::Held(m.inputs_root));
        }
    }
    assert!(matches!(phase::<T>(study), Phase::Revealing(_)));
    study
}

/// The same, one reveal before the sum.
pub(crate) fn nearly_revealed<T: Config>(all: &[(AccountId32, AuthorityId)]) -> StudyId {
    let study = revealing::<T>(all);
    for (who, _) in all.iter().take(close_at_once(MAX_PARTICIPANTS).saturating_sub(1) as usize) {
        post::<T>(study, who, shares::<T>(study, who));
    }
    study
}
