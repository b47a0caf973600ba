#![allow(clippy::unwrap_used)]

mod account;
mod departure;
mod genesis;
mod idle;
mod institution;
mod migration;
mod motions;
mod property;
mod quota;
mod ready;
mod recovery;
mod registry;
mod session;

use crate::{mock::*, pallet::Institutions as Stored, Changed, Institution, Motion, Name};
use consilium_primitives::blocks;
use frame_support::dispatch::DispatchResult;
use sp_core::H256;

type TestMotion = Motion<u64, H256>;

fn propose(who: u64, motion: TestMotion) -> DispatchResult {
    Consortium::propose(RuntimeOrigin::signed(who), motion)
}

fn vote(who: u64, id: u32, aye: bool) -> DispatchResult {
    Consortium::vote(RuntimeOrigin::signed(who), id, aye)
}

fn name(text: &str) -> Name {
    text.as_bytes().to_vec().try_into().unwrap()
}

fn stored(who: u64) -> Institution {
    Stored::<Test>::get(who).unwrap()
}

fn last_event() -> RuntimeEvent {
    System::events().pop().unwrap().event
}

fn upgrade() -> TestMotion {
    Motion::Upgrade { code: H256::repeat_byte(7), delay: blocks(24 * 3_600_000) }
}

/// A chain of eight validators at most, on which nobody holds any office but these.
fn run_of(n: u64, test: impl FnOnce()) {
    let all: Vec<u64> = (1..=n).collect();
    run_with(all.iter().map(|who| (*who, b"X".to_vec(), true, true)).collect(), vec![], &all, test);
}

/// A motion of the first, with the ayes of these.
fn all_vote(motion: TestMotion, voters: impl IntoIterator<Item = u64>) {
    let id = crate::NextMotion::<Test>::get();
    frame_support::assert_ok!(propose(1, motion));
    for voter in voters {
        // decided before the last of them, perhaps
        let _ = vote(voter, id, true);
    }
}

/// Goes to a later block. What is pending there was done before.
fn jump(to: u32) {
    while Changed::<Test>::exists() {
        next_block();
    }
    System::set_block_number(to.into());
}
