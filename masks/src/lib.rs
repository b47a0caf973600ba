//! Masked sums: every site adds random words to its numbers, and the words of all sites cancel when everybody's numbers are summed.
//!
//! What others receive from a site are random words; only the sum over a fixed set of sites can be read. This crate holds keys,
//! shares, masks and how they are taken off again, to the byte, and touches no file and no network. An auditor can rebuild all of it.
//! Encoding numbers, files, ranges and norm bounds belong to `aggregation`.
//!
//! The way of one **pairing** (a counter that rises whenever masks are agreed on anew):
//!
//! 1. [`Pairing::context`] names it. Each site draws [`Secrets`] and publishes its [`PublicKeys`] (96 bytes).
//! 2. The sites whose keys arrived are the [`KeyList`]. Each deals shares of its two secrets to all of them: [`Sharing::deal`],
//!    144 bytes for each site. A site later reads its part of another's deal by [`open_deal`].
//! 3. The sites that dealt are the [`Partners`]. Each masks its numbers by [`mask_streams`] and publishes them.
//! 4. Whose file everybody holds is in the *used set*, a `u64` with a bit for each place among the partners ([`Partners::set_of`]).
//!    Each site in it posts a [`Reveal`]: shares of the seeds of who is in the set, and of the pair secrets of who is not.
//!    Of one partner never both.
//! 5. [`Opened::new`] puts the secrets together from shares and checks them against what was published; [`unmask_streams`] takes
//!    the masks off the sum.
//!
//! A [`Streams`] adds or subtracts any number of masks to a slice at any offset, so that threads can share one file.
//!
//! What a worker must check before it answers, whatever its node says, is in [`check_key_list`], [`check_partners`] and
//! [`check_used`]. That it answers one key list, one set of partners and one used set per pairing, it must keep on its disk.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod checks;
mod context;
mod deal;
mod entropy;
mod error;
mod hash;
mod keys;
mod opening;
mod partners;
mod reveal;
mod shamir;
mod stream;

pub use checks::{check_key_list, check_partners, check_used, least_used, MIN_SITES};
pub use context::{Kind, Pairing};
pub use deal::{check_deal, deal_hash, open_deal, Shares, Sharing, PART_LEN, SEALED_LEN};
pub use entropy::Entropy;
pub use error::{Error, Which};
pub use keys::{threshold, Id, KeyList, PublicKeys, Secrets, KEYS_LEN, MAX_SITES, SECRETS_LEN};
pub use opening::{mask_streams, unmask_streams, Opened};
pub use partners::{Partner, Partners};
pub use reveal::{check_deals, check_reveal, reveal, Reveal};
pub use stream::{pair_key, self_key, Sign, StreamKey, Streams, FIGURES};
