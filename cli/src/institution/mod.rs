//! An institution's own folder: its keys, its card, and the chain that it founds or joins.
//!
//! * [`init`]: makes the folder, with all keys and the card;
//! * [`card`]: shows a card, and signs one where the institution's key is;
//! * [`remake`]: makes a card again of the keys that are there;
//! * [`settings`]: what people may change;
//! * [`list`]: all institutions of a chain;
//! * [`made`]: where its people have put models and reports;
//! * [`modes`]: who on this machine may read and change what is in the folder;
//! * [`states`]: which states of old blocks its node keeps, and how it gets the chain;
//! * [`found`]: makes a chain's specification of all founders' cards, or checks one; [`differs`] says whose card differs.

pub mod card;
mod differs;
pub mod folder;
pub mod found;
pub mod init;
pub mod list;
pub mod made;
pub mod modes;
pub mod remake;
pub mod settings;
pub mod states;
