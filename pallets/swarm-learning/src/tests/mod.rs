//! Behaviour of the pallet, by theme; `host` is the fake host of the offchain worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod ahead;
mod blobs;
mod budgets;
mod changes;
mod conductor;
mod early;
mod host;
mod ledgers;
mod masks;
mod migration;
mod notes;
mod orders;
mod pauses;
mod register;
mod silence;
mod studies;
mod told;
mod votes;

use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

fn custom(code: u8) -> Result<(), TransactionValidityError> {
    Err(InvalidTransaction::Custom(code).into())
}
