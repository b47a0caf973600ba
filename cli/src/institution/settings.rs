//! What people may change of a site: `consilium.toml`.

use super::{folder::SETTINGS, states::Way};
use anyhow::{ensure, Context, Result};
use consilium_founding::PeerId;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

/// What people may change of a site, as `consilium.toml` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSettings {
    /// The institution's name.
    pub name: String,
    /// Whether the node makes blocks.
    pub validator: bool,
    /// Where the node listens for other institutions' nodes.
    pub listen: Vec<String>,
    /// Where they reach it; none: it dials them.
    pub addresses: Vec<String>,
    /// Nodes that are asked for the chain while this one knows no block that is less than an hour old, whoever the chain's members were
    /// then: `/ip4/…/tcp/30333/p2p/12D3…`.
    #[serde(default)]
    pub reserved: Vec<String>,
    /// Address at which the node answers JSON-RPC: of this machine alone, 127.0.0.1 or ::1.
    #[serde(default = "loopback")]
    pub rpc_ip: IpAddr,
    /// Its port.
    pub rpc_port: u16,
    /// Where the node's figures can be read, on this machine alone.
    pub prometheus_port: u16,
    /// Where the worker listens, on this machine alone.
    pub worker_port: u16,
    /// How far the worker stands back for the node, 0 to 19.
    pub nice: u8,
    /// Which states of old blocks the node keeps, as its --state-pruning.
    pub pruning: String,
    /// How it gets the chain while it has no database.
    #[serde(default)]
    pub sync: Way,
}

/// Where a node listens that is reached at these addresses.
fn listens(port: u16, addresses: &[String]) -> Vec<String> {
    let here: Vec<&str> = addresses.iter().filter_map(|address| loopback_of(address)).collect();
    if here.is_empty() || here.len() < addresses.len() {
        return vec![format!("/ip4/0.0.0.0/tcp/{port}"), format!("/ip6/::/tcp/{port}")];
    }
    let all: BTreeSet<String> = here.into_iter().map(|host| format!("{host}/tcp/{port}")).collect();
    all.into_iter().collect()
}

/// The host in an address, where it is this machine alone: `/ip4/127.0.0.1`.
fn loopback_of(address: &str) -> Option<&str> {
    let host = address.split("/tcp/").next()?;
    let ip: IpAddr = host.strip_prefix("/ip4/").or_else(|| host.strip_prefix("/ip6/"))?.parse().ok()?;
    ip.is_loopback().then_some(host)
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

impl SiteSettings {
    /// The usual ones. A node that is reached at this machine alone listens there alone.
    pub fn usual(name: &str, validator: bool, port: u16, addresses: Vec<String>) -> Self {
        Self {
            name: name.into(),
            validator,
            listen: listens(port, &addresses),
            addresses,
            reserved: Vec::new(),
            rpc_ip: loopback(),
            rpc_port: 9944,
            prometheus_port: 9615,
            worker_port: 8601,
            nice: 5,
            pruning: "archive-canonical".into(),
            sync: Way::default(),
        }
    }

    /// Reads those of an institution's folder.
    ///
    /// # Errors
    /// There are none, or what is wrong with them, by file and line.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(SETTINGS);
        let shown = file.display();
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read {shown}: is {} an institution's folder?", dir.display()))?;
        let settings: Self = toml::from_str(&text).with_context(|| shown.to_string())?;
        ensure!(settings.nice <= 19, "{shown}: nice = {}: a number from 0 to 19", settings.nice);
        ensure!(!settings.listen.is_empty(), "{shown}: listen: names no address; /ip4/0.0.0.0/tcp/30333 is one");
        for address in settings.listen.iter().chain(&settings.addresses) {
            ensure!(address.starts_with('/'), "{shown}: {address}: no address like /ip4/0.0.0.0/tcp/30333");
        }
        for node in &settings.reserved {
            let (at, peer) = node.rsplit_once("/p2p/").unwrap_or((node, ""));
            let is = PeerId::read(peer).and_then(|_| consilium_founding::check_address(at));
            is.with_context(|| {
                format!("{shown}: reserved: {node}: no node like /dns/node.example.org/tcp/30333/p2p/12D3Koo…")
            })?;
        }
        settings.sync.keeps(&settings.pruning).with_context(|| shown.to_string())?;
        Ok(settings)
    }

    /// All ports, in words.
    pub fn ports(&self) -> String {
        format!(
            "ports        node {}; of this machine alone: JSON-RPC {}, figures for Prometheus {}, worker {} (consilium.toml)",
            self.listen.first().and_then(|address| address.rsplit('/').next()).unwrap_or_default(),
            self.rpc_port,
            self.prometheus_port,
            self.worker_port
        )
    }

    /// Where the node answers JSON-RPC.
    pub fn rpc(&self) -> SocketAddr {
        (self.rpc_ip, self.rpc_port).into()
    }

    /// Where programs on this machine reach that.
    pub fn rpc_url(&self) -> String {
        let ip = if self.rpc_ip.is_unspecified() { loopback() } else { self.rpc_ip };
        format!("ws://{}", SocketAddr::from((ip, self.rpc_port)))
    }

    /// Where the worker listens.
    pub fn worker(&self) -> SocketAddr {
        (loopback(), self.worker_port).into()
    }

    /// Their file.
    ///
    /// # Errors
    /// Never with settings that can be read.
    pub fn text(&self) -> Result<String> {
        let head = "# What this site is started with. Changes take effect at the next start.\n";
        Ok(format!("{head}{}", toml::to_string(self)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        let settings = SiteSettings::usual("St. Mary \"north\"", true, 30333, vec!["/dns/a.example/tcp/1".into()]);
        assert_eq!(toml::from_str::<SiteSettings>(&settings.text().unwrap()).unwrap(), settings);
    }

    #[test]
    fn a_node_that_is_reached_at_this_machine_alone_listens_there_alone() {
        let of = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
            SiteSettings::usual("x", true, 7, addresses).listen
        };
        assert_eq!(of(&["/ip4/127.0.0.1/tcp/7"]), ["/ip4/127.0.0.1/tcp/7"]);
        assert_eq!(of(&["/ip6/::1/tcp/9", "/ip4/127.0.0.1/tcp/9"]), ["/ip4/127.0.0.1/tcp/7", "/ip6/::1/tcp/7"]);
        for others in [
            &[][..],
            &["/ip4/192.0.2.7/tcp/7"],
            &["/dns/a.example/tcp/7"],
            &["/ip4/127.0.0.1/tcp/7", "/ip4/10.0.0.1/tcp/7"],
        ] {
            assert_eq!(of(others), ["/ip4/0.0.0.0/tcp/7", "/ip6/::/tcp/7"], "{others:?}");
        }
    }

    #[test]
    fn a_reserved_node_is_an_address_and_a_peer() {
        let dir = tempfile::tempdir().unwrap();
        let peer = PeerId { key: [2; 32] };
        let mut settings = SiteSettings::usual("x", true, 1, Vec::new());
        for (node, good) in [
            (format!("/dns/node.example.org/tcp/30333/p2p/{peer}"), true),
            ("/dns/node.example.org/tcp/30333".into(), false),
            (format!("/dns/node.example.org/udp/30333/p2p/{peer}"), false),
            ("/dns/node.example.org/tcp/30333/p2p/x".into(), false),
        ] {
            settings.reserved = vec![node.clone()];
            fs::write(dir.path().join(SETTINGS), settings.text().unwrap()).unwrap();
            let read = SiteSettings::read(dir.path());
            assert_eq!(read.is_ok(), good, "{node}");
            assert!(good || format!("{:#}", read.unwrap_err()).contains(&format!("reserved: {node}")));
        }
        // a folder of an earlier version names none
        let text = settings.text().unwrap();
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("reserved")).collect();
        fs::write(dir.path().join(SETTINGS), text.join("\n")).unwrap();
        assert!(SiteSettings::read(dir.path()).unwrap().reserved.is_empty());
    }
}
