//! How a consortium begins: session keys, and a chain's specification from its founders' cards.
//!
//! The specification follows from the cards, the runtime's bytes and the terms alone. It is written raw: the whole state of
//! block 0, so that no code runs where it is read, and its genesis hash says everything.

mod chain;
mod keys;
mod runtime;

pub use chain::InspectChain;
pub use keys::MakeKeys;
pub use runtime::{InspectRuntime, Runtime};

use crate::chain_spec::{ChainSpec, SS58_FORMAT};
use codec::Decode;
use consilium_founding::{is_private, Card, Identity, Terms};
use consilium_runtime::{AccountId, Runtime as Native, SessionKeys};
use frame_support::traits::Get;
use sc_service::{config::MultiaddrWithPeerId, ChainSpec as _, ChainType};
use serde_json::{json, Value};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
    process::ExitCode,
};

/// Exit code of a comparison that found a difference.
const DIFFERENT: u8 = 2;

/// A founder.
struct Founder {
    card: Card,
    identity: Identity,
    file: String,
}

/// What `found` takes.
#[derive(Debug, clap::Args)]
pub struct Found {
    /// Cards, terms and where the result goes.
    #[clap(flatten)]
    pub terms: Terms,
}

impl Found {
    /// Makes a chain's specification from its founders' cards, or compares one with what follows from them, and prints what
    /// it holds as JSON on one line.
    ///
    /// # Errors
    /// What stood in the way, for people. The same specification is success, another one exit code 2.
    pub fn run(&self) -> Result<ExitCode, String> {
        let terms = &self.terms;
        terms.check().map_err(|error| format!("{error:#}"))?;
        let founders = read_cards(&terms.cards)?;
        let warnings = check(&founders, terms)?;
        let runtime = Runtime::load(terms.runtime.as_deref(), terms.wasm_cache.as_deref())?;
        expect_code(&runtime, terms.expect_code.as_deref())?;
        let (bytes, genesis) = specification(&founders, terms, &runtime)?;
        let differences = match (&terms.check, &terms.out) {
            (Some(file), _) => {
                let theirs = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
                if theirs == bytes {
                    Vec::new()
                } else {
                    chain::differences(&bytes, &theirs)
                }
            }
            (None, Some(out)) => {
                write_new(out, &bytes)?;
                Vec::new()
            }
            (None, None) => return Err("--out or --check is needed".into()),
        };
        let same = differences.is_empty();
        let institution = |founder: &Founder| {
            let Card { name, contact, validator, participant, account, peer, addresses, .. } = &founder.card;
            json!({
                "name": name, "contact": contact, "validator": validator, "participant": participant,
                "account": account, "peer": peer, "addresses": addresses,
                "fingerprint": founder.card.fingerprint(), "card": founder.file,
            })
        };
        let document = json!({
            "consortium": terms.consortium,
            "genesis": format!("{genesis:?}"),
            "runtime": runtime.describe()?,
            "terms": {
                "upgrade_delay": terms.upgrade_delay.to_string(),
                "silence": terms.silence.to_string(),
                "motion_life": terms.motion_life.to_string(),
                "private_addresses": terms.private_addresses,
            },
            "institutions": founders.iter().map(institution).collect::<Vec<_>>(),
            "warnings": warnings,
            "differences": differences,
        });
        println!("{document}");
        Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
    }
}

/// All cards of a folder, by account.
fn read_cards(folder: &Path) -> Result<Vec<Founder>, String> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).map_err(|error| format!("--cards {shown}: {error}"))?;
    let (mut founders, mut passed) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = entry.map_err(|error| format!("--cards {shown}: {error}"))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            passed.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            continue;
        }
        let read = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (card, identity) = Card::read(&read).map_err(|error| format!("{}: {error:#}", path.display()))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        founders.push(Founder { card, identity, file });
    }
    if founders.len() < 2 {
        passed.sort();
        let others = match passed.is_empty() {
            true => String::new(),
            false => format!(" (passed over, for their names do not end in .json: {})", passed.join(", ")),
        };
        let count = founders.len();
        return Err(format!(
            "--cards {shown}: holds {count} card{} in files that end in .json{others}; a consortium is founded by two institutions or more",
            if count == 1 { "" } else { "s" }
        ));
    }
    founders.sort_by_key(|founder| founder.identity.account);
    Ok(founders)
}

/// Whether these institutions can found together; gives what they should know.
fn check(founders: &[Founder], terms: &Terms) -> Result<Vec<String>, String> {
    let most = <<Native as pallet_consortium::Config>::MaxInstitutions as Get<u32>>::get() as usize;
    if founders.len() > most {
        return Err(format!("{} cards, and a consortium has at most {most} institutions", founders.len()));
    }
    let mut taken: BTreeMap<(&str, Vec<u8>), &str> = BTreeMap::new();
    let mut narrow: Vec<String> = Vec::new();
    for (at, founder) in founders.iter().enumerate() {
        let Founder { card, identity, file } = founder;
        if let Some(other) = founders.iter().take(at).find(|other| other.card == *card) {
            return Err(format!(
                "{} and {file}: both are the card of {}; take one of them away",
                other.file, card.name
            ));
        }
        if card.consortium != terms.consortium {
            return Err(format!("{file}: is for the consortium {:?}, not {:?}", card.consortium, terms.consortium));
        }
        if identity.chain.is_some() {
            return Err(format!("{file}: is for joining a chain that exists, not for founding one"));
        }
        let keys = SessionKeys::decode(&mut &identity.keys.concat()[..])
            .map_err(|error| format!("{file}: keys: not those of this runtime: {error}"))?;
        if !sp_runtime::traits::OpaqueKeys::ownership_proof_is_valid(&keys, &identity.account, &identity.proof) {
            return Err(format!("{file}: keys_proof: the runtime does not take it"));
        }
        let mut once = vec![
            ("account", identity.account.to_vec()),
            ("peer id", identity.peer.key.to_vec()),
            ("name", card.name.to_lowercase().into_bytes()),
        ];
        once.extend(identity.keys.iter().map(|key| ("session key", key.to_vec())));
        for (what, value) in once {
            if let Some(other) = taken.insert((what, value), file) {
                return Err(if other == file {
                    format!("{file}: names one {what} twice")
                } else {
                    format!("{other} and {file}: have the same {what}; one of them must go, or be made anew")
                });
            }
        }
        let private = card.addresses.iter().filter(|address| is_private(address));
        narrow.extend(private.map(|address| format!("{file}: {address}")));
    }
    if !terms.private_addresses && !narrow.is_empty() {
        return Err(format!(
            "{}: can be reached from the same network alone; give addresses that the others reach, or, if all are in one network \
             (a VPN, or one machine), found with --private-addresses, and give that with --check again",
            narrow.join(", ")
        ));
    }
    reachable(founders)
}

/// Whether enough of them can be dialled; gives what they should know.
fn reachable(founders: &[Founder]) -> Result<Vec<String>, String> {
    let count = founders.len();
    let validators = founders.iter().filter(|founder| founder.card.validator).count();
    if validators == 0 {
        return Err("none of these institutions is a validator: nobody would make blocks".into());
    }
    let open: Vec<&Card> = founders.iter().map(|f| &f.card).filter(|card| !card.addresses.is_empty()).collect();
    let needed = count.div_ceil(2).max(2);
    if open.len() < needed {
        return Err(format!(
            "{} of {count} cards name an address; at least {needed} must, since nodes without one only dial others",
            open.len()
        ));
    }
    if !open.iter().any(|card| card.validator) {
        return Err("no validator's card names an address: nodes would not find whoever makes blocks".into());
    }
    let mut warnings = Vec::new();
    if validators < 4 {
        warnings.push(format!(
            "a chain of {validators} validators stops when any of them is away; from four on it bears one"
        ));
    }
    if count - open.len() > 1 {
        warnings.push(format!(
            "{} institutions name no address: two of them never exchange an update directly, but through a third that holds it",
            count - open.len()
        ));
    }
    Ok(warnings)
}

fn expect_code(runtime: &Runtime, expected: Option<&str>) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let found = hex::encode(runtime.hash());
    if !expected.trim_start_matches("0x").eq_ignore_ascii_case(&found) {
        return Err(format!(
            "--expect-code {expected}: the runtime is another one, 0x{found} ({}); take the file of the version that the others \
             use, with --runtime",
            runtime.from
        ));
    }
    Ok(())
}

/// What differs from the runtime's default at genesis.
fn patch(founders: &[Founder], terms: &Terms) -> Value {
    let account = |founder: &Founder| AccountId::from(founder.identity.account);
    let each = |value: &dyn Fn(&Founder) -> Value| founders.iter().map(value).collect::<Vec<_>>();
    let keys = |founder: &Founder| SessionKeys::decode(&mut &founder.identity.keys.concat()[..]).ok();
    let dialled = founders.iter().filter(|founder| !founder.card.addresses.is_empty());
    let addresses: Vec<Value> = dialled
        .map(|founder| {
            let addresses: Vec<&[u8]> = founder.card.addresses.iter().map(|address| address.as_bytes()).collect();
            json!([account(founder), addresses])
        })
        .collect();
    json!({
        "consortium": {
            "institutions": each(&|founder| {
                let card = &founder.card;
                json!([account(founder), card.name.as_bytes(), card.validator, card.participant])
            }),
            "peerIds": each(&|founder| json!([account(founder), founder.identity.peer.bytes()])),
            "addresses": addresses,
            "founding": {
                "upgradeDelay": terms.upgrade_delay.millis,
                "silence": terms.silence.millis,
                "motionLife": terms.motion_life.millis,
                "privateAddresses": terms.private_addresses,
            },
        },
        "session": { "keys": each(&|founder| json!([account(founder), account(founder), keys(founder)])) },
    })
}

/// The bytes of the chain's specification, and its genesis hash.
fn specification(founders: &[Founder], terms: &Terms, runtime: &Runtime) -> Result<(Vec<u8>, sp_core::H256), String> {
    let storage = runtime.genesis(patch(founders, terms))?;
    let mut boot = Vec::new();
    for founder in founders {
        let mut addresses: Vec<&String> = founder.card.addresses.iter().collect();
        addresses.sort();
        for address in addresses {
            let node: MultiaddrWithPeerId = format!("{address}/p2p/{}", founder.card.peer)
                .parse()
                .map_err(|error| format!("{}: {address}: {error}", founder.file))?;
            boot.push(node);
        }
    }
    let mut properties = sc_service::Properties::new();
    properties.insert("ss58Format".into(), SS58_FORMAT.into());
    let mut spec = ChainSpec::builder(&runtime.code, None)
        .with_name(&terms.consortium)
        .with_id(&terms.consortium)
        .with_protocol_id("consilium")
        .with_chain_type(ChainType::Live)
        .with_properties(properties)
        .with_boot_nodes(boot)
        .build();
    spec.set_storage(storage.clone());
    let text = spec.as_json(true)? + "\n";
    Ok((text.into_bytes(), chain::genesis_hash(storage)?))
}

/// Writes a file that is not there yet; whole, or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
    };
    write().map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{}: is there already, and is not overwritten; compare it with --check", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    })
}
