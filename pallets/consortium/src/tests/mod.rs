#![allow(clippy::unwrap_used)]

mod admin;
mod genesis;
mod institution;
mod motions;
mod session;

use crate::{mock::*, pallet::Institutions as Stored, Institution, Name};

fn name(text: &str) -> Name {
    text.as_bytes().to_vec().try_into().unwrap()
}

fn stored(who: u64) -> Institution {
    Stored::<Test>::get(who).unwrap()
}

fn last_event() -> RuntimeEvent {
    System::events().pop().unwrap().event
}
