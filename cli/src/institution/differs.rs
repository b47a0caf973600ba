//! In what a chain's specification that somebody else has made differs from the cards and terms at hand, as people can mend it: whose
//! card, and which term.

use crate::{plain::seen, up::genesis_values};
use anyhow::Result;
use codec::Decode;
use consilium_founding::{Card, Span, Terms};
use consilium_primitives::InstitutionId;
use pallet_consortium::Institution;
use serde_json::Value;
use sp_core::crypto::{AccountId32, Ss58Codec};
use sp_crypto_hashing::{blake2_128, twox_128, twox_64};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

/// Values of a chain's first state by key.
type Values = HashMap<Vec<u8>, Vec<u8>>;

fn item(pallet: &str, name: &str) -> Vec<u8> {
    [twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat()
}

/// An institution, as far as others check it on a card.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Founder {
    account: [u8; 32],
    peer: String,
    addresses: Vec<String>,
    /// Makes blocks; takes part in studies.
    roles: (bool, bool),
    /// Session keys.
    keys: Vec<u8>,
    /// Of its card, where that is at hand.
    fingerprint: Option<String>,
}

/// Those of a chain's first state, by name.
fn of_file(values: &Values) -> BTreeMap<String, Founder> {
    let prefix = item("Consortium", "Institutions");
    let each = values.iter().filter(|(key, _)| key.starts_with(&prefix));
    let founder = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        let account: [u8; 32] = key.get(key.len().checked_sub(32)?..)?.try_into().ok()?;
        let it = Institution::decode(&mut &value[..]).ok()?;
        let of = |hash: Vec<u8>, pallet: &str, name: &str| {
            values.get(&[item(pallet, name), hash, account.to_vec()].concat()).cloned().unwrap_or_default()
        };
        let addresses = of(blake2_128(&account).to_vec(), "Consortium", "Addresses");
        let addresses: Vec<Vec<u8>> = Decode::decode(&mut &addresses[..]).unwrap_or_default();
        let founder = Founder {
            account,
            peer: it.peer_id.map(|peer| bs58::encode(peer).into_string()).unwrap_or_default(),
            addresses: addresses.iter().map(|address| String::from_utf8_lossy(address).into_owned()).collect(),
            roles: (it.validator, it.participant),
            keys: of(twox_64(&account).to_vec(), "Session", "NextKeys"),
            fingerprint: None,
        };
        Some((seen(&String::from_utf8_lossy(&it.name)), founder))
    };
    each.filter_map(founder).collect()
}

/// Those whose cards are at hand, by name; `document` is what the node says of them.
fn of_cards(document: &Value, terms: &Terms) -> BTreeMap<String, Founder> {
    let files = document["institutions"].as_array().into_iter().flatten().filter_map(|it| it["card"].as_str());
    let founder = |name: &str| {
        let (card, identity) = Card::read(&fs::read(terms.cards.join(name)).ok()?).ok()?;
        let founder = Founder {
            account: identity.account,
            peer: card.peer.clone(),
            addresses: card.addresses.clone(),
            roles: (card.validator, card.participant),
            keys: identity.keys.concat(),
            fingerprint: Some(card.fingerprint()),
        };
        Some((seen(&card.name), founder))
    };
    files.filter_map(founder).collect()
}

/// In what two founders of one name differ.
fn differ(name: &str, here: &Founder, there: &Founder) -> Option<String> {
    let account = |it: &Founder| AccountId32::from(it.account).to_ss58check();
    let list = |addresses: &[String]| if addresses.is_empty() { "none".into() } else { addresses.join(", ") };
    let (what, mine, theirs) = if here.account != there.account {
        ("account", account(here), account(there))
    } else if here.peer != there.peer {
        ("node", here.peer.clone(), there.peer.clone())
    } else if here.keys != there.keys {
        ("session keys", hex::encode(&here.keys), hex::encode(&there.keys))
    } else if here.roles != there.roles {
        let words =
            |(validator, participant): (bool, bool)| format!("validator {validator}, participant {participant}");
        ("roles", words(here.roles), words(there.roles))
    } else if here.addresses != there.addresses {
        ("addresses", list(&here.addresses), list(&there.addresses))
    } else {
        return None;
    };
    let fingerprint = here.fingerprint.as_deref().unwrap_or_default();
    Some(format!(
        "{name}: another card was used: {what} here {mine}, in the file {theirs}; the fingerprint of the card here is {fingerprint}"
    ))
}

/// What differs, a line for each institution and each term; empty where it is neither.
///
/// # Errors
/// The file is no raw specification.
pub fn lines(document: &Value, terms: &Terms) -> Result<Vec<String>> {
    let Some(file) = &terms.check else { return Ok(Vec::new()) };
    let values = genesis_values(file)?;
    Ok(compare(&of_cards(document, terms), &values, terms))
}

fn compare(here: &BTreeMap<String, Founder>, values: &Values, terms: &Terms) -> Vec<String> {
    let there = of_file(values);
    let mut lines = Vec::new();
    for (name, founder) in here {
        match there.get(name) {
            None => lines.push(format!("{name}: has a card here, and is not in the file")),
            Some(other) => lines.extend(differ(name, founder, other)),
        }
    }
    let unknown = there.iter().filter(|(name, _)| !here.contains_key(*name));
    lines.extend(
        unknown
            .map(|(name, it)| format!("{name} ({}): is in the file, and has no card here", InstitutionId(it.account))),
    );
    let of_file: Option<(u64, u64, u64, bool)> =
        values.get(&item("Consortium", "Founding")).and_then(|value| Decode::decode(&mut &value[..]).ok());
    if let Some((delay, silence, life, private)) = of_file {
        let spans = [
            ("upgrade delay", terms.upgrade_delay, delay),
            ("silence", terms.silence, silence),
            ("motions live", terms.motion_life, life),
        ];
        for (what, mine, theirs) in spans.into_iter().filter(|(_, mine, theirs)| mine.millis != *theirs) {
            lines.push(format!("terms: {what} here {mine}, in the file {}", Span { millis: theirs }));
        }
        if private != terms.private_addresses {
            let yes = |flag: bool| if flag { "yes" } else { "no" };
            lines.push(format!(
                "terms: private addresses here {}, in the file {} (--private-addresses)",
                yes(terms.private_addresses),
                yes(private)
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;
    use codec::Encode;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        terms: Terms,
    }

    fn terms(more: &[&str]) -> Terms {
        let line = ["found", "--consortium", "x", "--cards", "cards", "--check", "chain.json"];
        Line::try_parse_from([&line[..], more].concat()).unwrap().terms
    }

    fn founder(n: u8) -> Founder {
        Founder {
            account: [n; 32],
            peer: bs58::encode([n; 38]).into_string(),
            addresses: vec![format!("/ip4/192.0.2.{n}/tcp/1")],
            roles: (true, true),
            keys: vec![n; 96],
            fingerprint: Some(format!("{n:04x} 0000")),
        }
    }

    /// A first state with these, founded with the usual terms.
    fn state(all: &[(&str, &Founder)]) -> Values {
        let mut values = Values::new();
        for (name, it) in all {
            let map = |pallet: &str, name: &str, hash: &[u8]| [&item(pallet, name)[..], hash, &it.account].concat();
            let blake = blake2_128(&it.account);
            let peer = bs58::decode(&it.peer).into_vec().unwrap();
            let none: Option<u32> = None;
            let entry = (
                (name.as_bytes().to_vec(), it.roles.0, it.roles.1, false, Vec::<u8>::new(), Some(peer), 0u32),
                (none, none, none, none),
            );
            values.insert(map("Consortium", "Institutions", &blake), entry.encode());
            let addresses: Vec<Vec<u8>> = it.addresses.iter().map(|a| a.as_bytes().to_vec()).collect();
            values.insert(map("Consortium", "Addresses", &blake), addresses.encode());
            values.insert(map("Session", "NextKeys", &twox_64(&it.account)), it.keys.clone());
        }
        let usual = terms(&[]);
        let founding = (usual.upgrade_delay.millis, usual.silence.millis, usual.motion_life.millis, false);
        values.insert(item("Consortium", "Founding"), founding.encode());
        values
    }

    #[test]
    fn a_card_or_a_term_that_differs_is_named_as_people_know_it() {
        let (alder, birch) = (founder(1), founder(2));
        let here: BTreeMap<String, Founder> = [("Alder Clinic", &alder), ("Birch Hospital", &birch)]
            .map(|(name, it)| (name.to_owned(), it.clone()))
            .into();
        let same = state(&[("Alder Clinic", &alder), ("Birch Hospital", &birch)]);
        assert!(compare(&here, &same, &terms(&[])).is_empty());
        assert_eq!(compare(&here, &same, &terms(&["--silence", "2h"])), ["terms: silence here 2h, in the file 4h"]);
        assert!(compare(&here, &same, &terms(&["--private-addresses"]))[0].contains("private addresses here yes"));
        let other = state(&[("Alder Clinic", &alder), ("Birch Hospital", &founder(3))]);
        let said = compare(&here, &other, &terms(&[]));
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("Birch Hospital: another card was used: account here ")
                && said[0].contains("0002 0000"),
            "{said:?}"
        );
        type Change = fn(&mut Founder);
        let changes: [(&str, Change); 4] = [
            ("node here", |it| it.peer = bs58::encode([9; 38]).into_string()),
            ("session keys here", |it| it.keys = vec![9; 96]),
            ("roles here", |it| it.roles.0 = false),
            ("addresses here", |it| it.addresses.clear()),
        ];
        for (what, change) in changes {
            let mut changed = birch.clone();
            change(&mut changed);
            let said = compare(&here, &state(&[("Alder Clinic", &alder), ("Birch Hospital", &changed)]), &terms(&[]));
            assert!(said.len() == 1 && said[0].contains(what), "{what}: {said:?}");
        }
        let said = compare(&here, &state(&[("Alder Clinic", &alder), ("Cedar", &birch)]), &terms(&[]));
        assert!(said[0].contains("Birch Hospital: has a card here") && said[1].starts_with("Cedar"), "{said:?}");
    }
}
