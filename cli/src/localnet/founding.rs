//! Founds a local network as any consortium is founded: four folders with fresh keys, four cards, one chain.

use super::{house::House, ports::free_ports};
use crate::{
    institution::{
        folder::{self, Account, Said, SiteSettings, CARD},
        found,
    },
    programs::Programs,
    up::arguments::CHAIN,
};
use anyhow::{ensure, Context, Result};
use consilium_founding::Terms;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Names of the institutions of a local network.
pub const NAMES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "hospital-d"];
/// What the consortium is called.
const CONSORTIUM: &str = "local";

/// The parts of a run's folder that founding writes, below it.
pub const PARTS: [&str; 7] = ["cards", CHAIN, "wasm", NAMES[0], NAMES[1], NAMES[2], NAMES[3]];

/// A network that is to be founded.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Programs that make keys and chain.
    pub programs: &'a Programs,
    /// Where everything goes.
    pub dir: &'a Path,
    /// The chain's runtime, where it is not the node's own.
    pub runtime: Option<&'a PathBuf>,
}

/// Makes the institutions' folders, and of their cards a chain.
///
/// # Errors
/// A folder or file cannot be written, there are no free ports, or the runtime is none.
pub async fn found(asked: Asked<'_>, rpc_port: Option<u16>) -> Result<(Vec<House>, PathBuf)> {
    let mut ports = free_ports(NAMES.len() * 4, rpc_port)?.into_iter();
    let cards = asked.dir.join("cards");
    fs::create_dir(&cards).with_context(|| format!("cannot make {}", cards.display()))?;
    let mut accounts = Vec::new();
    for _ in NAMES {
        let account = Account::fresh()?;
        let signer = account.signer()?.context("a new account has a key")?;
        accounts.push((signer, account));
    }
    // merges take the sites by account: in this order, a study gives the same bits in every network
    accounts.sort_by_key(|(signer, _)| signer.public_key().0);
    let mut houses = Vec::new();
    for (name, (signer, account)) in NAMES.into_iter().zip(accounts) {
        let mut port = || ports.next().context("no free port on 127.0.0.1");
        let p2p = format!("/ip4/127.0.0.1/tcp/{}", port()?);
        let settings = SiteSettings {
            listen: vec![p2p.clone()],
            rpc_port: rpc_port.filter(|_| name == NAMES[0]).map_or_else(&mut port, Ok)?,
            worker_port: port()?,
            prometheus_port: port()?,
            // the report reads the state of old blocks, and people may want to
            pruning: "archive".into(),
            ..SiteSettings::usual(name, true, 0, vec![p2p])
        };
        let said = Said {
            consortium: CONSORTIUM.into(),
            chain: None,
            contact: String::new(),
            participant: true,
            account,
            unsigned: false,
            settings: settings.clone(),
        };
        let dir = asked.dir.join(name);
        let card = folder::make(asked.programs, &dir, &said).await?;
        let copy = cards.join(name).with_extension("json");
        fs::copy(dir.join(CARD), &copy).with_context(|| format!("cannot write {}", copy.display()))?;
        houses.push(House { name, signer, dir, peer: card.peer, settings });
    }
    let chain = asked.dir.join(CHAIN);
    let (made, _) = found::found(asked.programs, &terms(asked, cards, chain.clone())?).await?;
    ensure!(made, "the chain was not founded");
    // each folder holds what an institution's does: `doctor` and the dashboard look for it
    for house in &houses {
        let copy = house.dir.join(CHAIN);
        fs::copy(&chain, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok((houses, chain))
}

fn terms(asked: Asked<'_>, cards: PathBuf, out: PathBuf) -> Result<Terms> {
    Ok(Terms {
        consortium: CONSORTIUM.into(),
        cards,
        out: Some(out),
        check: None,
        runtime: asked.runtime.cloned(),
        expect_code: None,
        upgrade_delay: "1m".parse()?,
        silence: "1m".parse()?,
        motion_life: "1d".parse()?,
        private_addresses: true,
        test: true,
        wasm_cache: Some(wasm_cache(asked.dir)),
    })
}

/// Where a run keeps the compiled runtime.
pub fn wasm_cache(dir: &Path) -> PathBuf {
    dir.join("wasm")
}
