//! Random sequences of calls by those who would rule without the others. The seeds are fixed, so that a failure is the same
//! everywhere.

use super::*;
use crate::{
    ready_payload, Addresses, Admission, Call, PeerId, PendingUpgrade, PreviousPeer, Share, SignerOf, MAX_VOICES,
};
use codec::{DecodeAll, Encode};
use consilium_primitives::{Consent, FinalitySet, Recovery};
use frame_support::{
    pallet_prelude::{TransactionSource, TransactionValidityError},
    traits::Authorize,
};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};
use sp_runtime::{testing::UintAuthorityId, traits::Dispatchable, RuntimeAppPublic};

/// Time that all of a sequence may take: less than for which the suspended and removed are counted.
const MOST: u32 = blocks(13 * 24 * 3_600_000);

/// What they do next; what the numbers mean depends on who there is then.
#[derive(Clone, Debug)]
enum Act {
    /// Proposes, and all of them vote for it.
    Decide(u8, u8, u8),
    /// One proposes.
    Propose(u8, u8, u8, u8),
    /// One votes, twice.
    Vote(u8, u8, bool),
    /// One closes.
    Close(u8, u8),
    /// One leaves.
    Leave(u8),
    /// One claims a peer id.
    Peer(u8, u8, u8),
    /// One rotates its keys to some that may be another's.
    Keys(u8, u8, bool),
    /// A node says that it is in step: for whom, since when, with whose key.
    Ready(u8, u8, u8),
    /// Says again what was said.
    Replay(u8),
    /// Bytes as a call, by one of them.
    Garbage(u8, Vec<u8>),
    /// A call of which bytes were flipped or cut off.
    Mangled(u8, u8, u8, u8),
    /// A root that nobody is.
    Root(u8, u8, u8),
    /// They say that others are lost, and sign as themselves, or as others as well.
    Recover(u8, u8, bool),
    /// Blocks pass.
    Blocks(u8),
    /// Hours pass.
    Hours(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let n = any::<u8>;
    prop_oneof![
        8 => (n(), n(), n()).prop_map(|(a, b, c)| Act::Decide(a, b, c)),
        2 => (n(), n(), n(), n()).prop_map(|(a, b, c, d)| Act::Propose(a, b, c, d)),
        3 => (n(), n(), any::<bool>()).prop_map(|(a, b, c)| Act::Vote(a, b, c)),
        1 => (n(), n()).prop_map(|(a, b)| Act::Close(a, b)),
        1 => n().prop_map(Act::Leave),
        1 => (n(), n(), n()).prop_map(|(a, b, c)| Act::Peer(a, b, c)),
        1 => (n(), n(), any::<bool>()).prop_map(|(a, b, c)| Act::Keys(a, b, c)),
        2 => (n(), n(), n()).prop_map(|(a, b, c)| Act::Ready(a, b, c)),
        1 => n().prop_map(Act::Replay),
        1 => (n(), vec(n(), 0..200)).prop_map(|(a, b)| Act::Garbage(a, b)),
        1 => (n(), n(), n(), n()).prop_map(|(a, b, c, d)| Act::Mangled(a, b, c, d)),
        1 => (n(), n(), n()).prop_map(|(a, b, c)| Act::Root(a, b, c)),
        1 => (n(), n(), any::<bool>()).prop_map(|(a, b, c)| Act::Recover(a, b, c)),
        2 => n().prop_map(Act::Blocks),
        1 => n().prop_map(Act::Hours),
    ]
}

/// Those who act: `bad` of `all` founders, with accounts that nobody knows yet.
struct Gang {
    bad: u64,
    all: u64,
    said: Vec<RuntimeCall>,
}

impl Gang {
    /// An account whose secret they have: their own, or one of eight more.
    fn hand(&self, n: u8) -> u64 {
        let hands: Vec<u64> = (1..=self.bad).chain(100..108).collect();
        hands[n as usize % hands.len()]
    }

    /// Anybody: a founder, or one of their accounts.
    fn anyone(&self, n: u8) -> u64 {
        let all: Vec<u64> = (1..=self.all).chain(100..108).collect();
        all[n as usize % all.len()]
    }

    fn motion(&self, kind: u8, a: u8, b: u8) -> TestMotion {
        let who = self.anyone(a);
        match kind % 10 {
            0 => {
                let (who, seed) = (self.hand(a), b % 16);
                let (node_key, claim) = claim(&node_key(seed), who);
                let (keys, proof) = keys_of(who, 1_000 + u64::from(b));
                Motion::Admit(Admission {
                    who,
                    name: name("X"),
                    validator: b.is_multiple_of(2),
                    participant: true,
                    node_key,
                    claim,
                    addresses: Default::default(),
                    keys: keys.try_into().unwrap(),
                    proof: proof.try_into().unwrap(),
                })
            }
            1 => Motion::SetFlags { who, validator: b.is_multiple_of(2), participant: b.is_multiple_of(3) },
            2 | 3 => Motion::Suspend { who },
            4 => Motion::Reinstate { who },
            5 => Motion::Remove { who, at_once: b.is_multiple_of(2) },
            6 => Motion::SetThresholds(crate::Thresholds {
                upgrade: Share { num: b % 4, den: 4, more: b.is_multiple_of(2) },
                remove: Share { num: 1, den: 2, more: true },
                ..Default::default()
            }),
            7 if b.is_multiple_of(4) => Motion::CancelUpgrade,
            7 => Motion::Upgrade { code: H256::repeat_byte(b), delay: blocks(24 * 3_600_000) },
            8 => Motion::RotateAccount { who, to: 100 + u64::from(b % 8) },
            _ => Motion::Rescue { delay: 1, best_final: u32::from(b) },
        }
    }

    fn act(&mut self, act: Act) {
        let signed = |who| RuntimeOrigin::signed(who);
        match act {
            Act::Decide(kind, a, b) => {
                let id = crate::NextMotion::<Test>::get();
                for n in 0..=u8::MAX {
                    let hand = self.hand(n);
                    if crate::NextMotion::<Test>::get() == id {
                        let _ = propose(hand, self.motion(kind, a, b));
                    } else if vote(hand, id, true) == Err(crate::Error::<Test>::NoSuchMotion.into()) {
                        break;
                    }
                    if u64::from(n) > 2 * (self.bad + 8) {
                        break;
                    }
                }
            }
            Act::Propose(who, kind, a, b) => {
                let _ = propose(self.hand(who), self.motion(kind, a, b));
            }
            Act::Vote(who, back, aye) => {
                let id = crate::NextMotion::<Test>::get().saturating_sub(u32::from(back % 8));
                let _ = vote(self.hand(who), id, aye);
                let _ = vote(self.hand(who), id, aye);
            }
            Act::Close(who, back) => {
                let id = crate::NextMotion::<Test>::get().saturating_sub(u32::from(back));
                let _ = Consortium::close(signed(self.hand(who)), id);
            }
            Act::Leave(who) => {
                let _ = Consortium::leave(signed(self.hand(who)));
            }
            Act::Peer(who, whose, seed) => {
                let (key, signature) = claim(&node_key(seed % 16), self.anyone(whose));
                let _ = Consortium::set_peer_id(signed(self.hand(who)), key, signature);
            }
            Act::Keys(who, key, own) => {
                let who = self.hand(who);
                let owner = if own { Consortium::signs_for(&who).unwrap_or(who) } else { self.anyone(key) };
                let (keys, proof) = keys_of(owner, u64::from(key));
                let _ = Consortium::rotate_keys(signed(who), keys.try_into().unwrap(), proof.try_into().unwrap());
            }
            Act::Ready(institution, back, key) => {
                // the keys of the others are not theirs
                let institution = self.anyone(institution);
                let key = if key.is_multiple_of(2) { 1_000 + u64::from(key) } else { self.hand(key) };
                let since = Stored::<Test>::get(institution).and_then(|it| it.waits_since);
                let since = since.unwrap_or(System::block_number() as u32).saturating_sub(u32::from(back % 3));
                let payload = ready_payload(System::block_hash(0).as_bytes(), &institution, since);
                let signature = UintAuthorityId(key).sign(&payload).unwrap();
                self.authorised(Call::ready { institution, since, signature }.into());
            }
            Act::Replay(n) => {
                if let Some(call) = self.said.get(n as usize % self.said.len().max(1)).cloned() {
                    self.authorised(call);
                }
            }
            Act::Garbage(who, bytes) => {
                if let Ok(call) = RuntimeCall::decode_all(&mut &bytes[..]) {
                    self.dispatch(who, call);
                }
            }
            Act::Mangled(who, kind, at, by) => {
                let mut bytes = RuntimeCall::from(Call::propose { motion: self.motion(kind, at, by) }).encode();
                let index = at as usize % bytes.len();
                bytes[index] ^= by;
                bytes.truncate(bytes.len() - (by as usize % 3).min(1));
                if let Ok(call) = RuntimeCall::decode_all(&mut &bytes[..]) {
                    self.dispatch(who, call);
                }
            }
            Act::Root(kind, a, b) => {
                for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                    let call = RuntimeCall::from(Call::propose { motion: self.motion(kind, a, b) });
                    assert!(call.dispatch(origin).is_err());
                }
            }
            Act::Recover(who, lost, forge) => {
                let active = Session::validators();
                let lost: Vec<u64> = active.iter().filter(|it| lost >> (**it % 8) & 1 == 1).copied().collect();
                let set = FinalitySet { id: 0, signalled: None, authorities: vec![[1; 32]] };
                let (genesis, last_final) = (System::block_hash(0), (u32::from(who), H256::zero()));
                let it = Recovery { genesis, last_final, lost, sets: vec![set] };
                let mut signers: Vec<u64> = (1..=if forge { self.all } else { self.bad }).chain(100..108).collect();
                signers.retain(|who| Stored::<Test>::contains_key(who) && !it.lost.contains(who));
                let consent = |of: u64| {
                    let hand = if of <= self.bad || of >= 100 { of } else { self.hand(who) };
                    Consent { institution: of, signature: sign(hand, &it.digest()) }
                };
                let consents = signers.into_iter().map(consent).collect();
                let _ = Consortium::recover(signed(self.hand(who)), Box::new(it), consents);
            }
            Act::Blocks(n) => (0..=n % 16).for_each(|_| self.block()),
            Act::Hours(n) => {
                let to = System::block_number() as u32 + blocks(u64::from(n) * 3_600_000 / 4);
                jump(to.min(MOST).max(System::block_number() as u32 + 10));
            }
        }
    }

    /// A block of the next in turn: all of the founders are there.
    fn block(&self) {
        let slot = System::block_number();
        Author::set(Some((1 + slot % self.all, slot)));
        next_block();
    }

    /// What only a runtime's filter keeps back is not tried here: the calls of other pallets.
    fn dispatch(&self, who: u8, call: RuntimeCall) {
        if matches!(call, RuntimeCall::Consortium(_)) {
            let _ = call.dispatch(RuntimeOrigin::signed(self.hand(who)));
        }
    }

    fn authorised(&mut self, call: RuntimeCall) {
        let verdict: Result<_, TransactionValidityError> = call.authorize(TransactionSource::External).unwrap();
        if verdict.is_ok() {
            call.clone().dispatch(frame_system::RawOrigin::Authorized.into()).expect("what is let in is done");
            self.said.push(call);
        }
    }
}

/// All that the chain keeps of an institution but what concerns others.
type Kept = (Institution, Option<(PeerId, u32)>, Option<u64>, crate::AddressList);

fn kept(who: u64) -> Option<Kept> {
    let it = Stored::<Test>::get(who)?;
    Some((it, PreviousPeer::<Test>::get(who), SignerOf::<Test>::get(who), Addresses::<Test>::get(who)))
}

fn code_and_thresholds_stand() -> Result<(), TestCaseError> {
    prop_assert!(PendingUpgrade::<Test>::get().is_none() && System::authorized_upgrade().is_none());
    prop_assert_eq!(crate::pallet::Thresholds::<Test>::get(), Default::default());
    Ok(())
}

fn config(seed: u64, cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

/// Founders with keys, nodes and a profile.
fn founded(all: u64, test: impl FnOnce() -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    let who: Vec<u64> = (1..=all).collect();
    let mut ext = ext_with(who.iter().map(|who| (*who, b"X".to_vec(), true, true)).collect(), vec![], &who);
    ext.execute_with(|| {
        for who in who {
            let (key, signature) = claim(&node_key(200 + who as u8), who);
            Consortium::set_peer_id(RuntimeOrigin::signed(who), key, signature).unwrap();
        }
        test()
    })
}

proptest! {
    #![proptest_config(config(1, 700))]

    /// Half of the voices or fewer change nobody's entry but their own, admit nobody, and touch neither shares nor code.
    #[test]
    fn a_minority_changes_nothing_of_the_others(all in 3u64..=8, part in any::<u64>(), acts in vec(act(), 1..40)) {
        let mut gang = Gang { bad: 1 + part % (all / 2), all, said: Vec::new() };
        founded(all, || {
            let others: Vec<u64> = (gang.bad + 1..=all).collect();
            let before: Vec<_> = others.iter().map(|who| kept(*who)).collect();
            for act in acts {
                gang.act(act);
                Consortium::do_try_state().map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
                code_and_thresholds_stand()?;
                let now: Vec<_> = others.iter().map(|who| kept(*who)).collect();
                prop_assert_eq!(&now, &before);
                prop_assert!(Stored::<Test>::iter_keys().all(|who| who <= all), "somebody was admitted");
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(config(2, 700))]

    /// More than half of the voices, but fewer than three quarters, change neither shares nor code, whomever they suspend,
    /// remove, admit or take over first.
    #[test]
    fn a_majority_below_three_quarters_has_neither_shares_nor_code(
        all in 3u64..=8, part in any::<u64>(), acts in vec(act(), 1..60),
    ) {
        let needed = u64::from(crate::Thresholds::default().upgrade.needed(all as u32));
        let least = all / 2 + 1;
        prop_assume!(least < needed);
        let mut gang = Gang { bad: least + part % (needed - least), all, said: Vec::new() };
        founded(all, || {
            for act in acts {
                gang.act(act);
                Consortium::do_try_state().map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
                code_and_thresholds_stand()?;
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(config(3, 200))]

    /// Who has three quarters does what it likes, and what must hold of the registry still does.
    #[test]
    fn all_of_them_keep_the_registry_sound(all in 2u64..=8, acts in vec(act(), 1..80)) {
        let mut gang = Gang { bad: all, all, said: Vec::new() };
        founded(all, || {
            for act in acts {
                gang.act(act);
                Consortium::do_try_state().map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
                prop_assert!(crate::Motions::<Test>::count() <= 3 * MAX_VOICES);
            }
            Ok(())
        })?;
    }
}
