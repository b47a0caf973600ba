//! `consilium firewall`: rules that let in nodes from the members' addresses alone. The node itself cannot: whoever reaches its
//! port gets a connection, and each costs memory.

use crate::{
    chain::Chain,
    institution::folder::{SiteSettings, SETTINGS},
    options::{node_of, DEFAULT_URL},
    out::put,
};
use anyhow::{bail, Context, Result};
use clap::Args;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Connections that one address may have at once: a node needs one, and two while it starts again.
const CONNECTIONS: u32 = 8;
/// How long the resolver may take for a name.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where a node listens for others, unless its settings say otherwise.
const USUAL_PORT: u16 = 30333;

/// Which chain's members, and for what.
#[derive(Args)]
pub struct Options {
    /// The institution's folder: its node is asked unless --url names another, and its settings say where that node listens
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// JSON-RPC address of a node
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    /// Print a table for nftables, to be loaded with `nft -f`; without it, the addresses alone
    #[arg(long)]
    nft: bool,
    /// Port on which this institution's node listens for others. Left out: as the folder's settings say; without --dir, 30333
    #[arg(long)]
    port: Option<u16>,
    /// Further addresses or ranges to let in, such as a VPN's 10.8.0.0/24: for members whose addresses change
    #[arg(long, value_name = "RANGE", value_parser = range)]
    also: Vec<String>,
}

/// An address, or a range of them, as nftables takes it; given back as it is.
fn range(text: &str) -> Result<String, String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let parsed: IpAddr =
        address.parse().map_err(|_| format!("{text}: no IP address, and no range like 10.8.0.0/24"))?;
    let most = if parsed.is_ipv4() { 32 } else { 128 };
    match bits.map(str::parse::<u8>) {
        None => Ok(text.into()),
        Some(Ok(bits)) if (1..=most).contains(&bits) => Ok(text.into()),
        Some(_) => Err(format!("{text}: the number after the slash is one from 1 to {most}")),
    }
}

/// The host in a multiaddress: a name or an IP address.
pub fn host(address: &str) -> Option<&str> {
    let mut parts = address.strip_prefix('/')?.split('/');
    let (kind, host) = (parts.next()?, parts.next()?);
    (["dns", "dns4", "dns6", "ip4", "ip6"].contains(&kind) && !host.is_empty()).then_some(host)
}

/// Asks the system's resolver for a name, and gives an address as it is.
///
/// # Errors
/// It knows none, or does not answer.
pub async fn resolve(host: &str) -> Result<BTreeSet<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok([address].into());
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await;
    let found = found.context("no answer from the resolver within ten seconds")??;
    Ok(found.map(|socket| socket.ip()).collect())
}

/// Prints the rules.
///
/// # Errors
/// The node does not answer, or no member has an address that can be resolved: such rules would shut everyone out.
pub async fn run(options: &Options) -> Result<()> {
    let port = port(options.port, options.dir.as_deref())?;
    let chain =
        Chain::connect(&node_of(options.dir.as_deref(), &options.url)?).await?.of_folder(options.dir.as_deref());
    let members = chain.members(chain.finalised().await?).await?;
    let mut known: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    for member in members.iter().filter(|member| !member.at_once) {
        let name = crate::plain::seen(&String::from_utf8_lossy(&member.name));
        if member.addresses.is_empty() {
            eprintln!(
                "{name} has no address on chain: its node dials others; where it dials you from, say with --also"
            );
        }
        for address in &member.addresses {
            let text = String::from_utf8_lossy(address);
            let Some(host) = host(&text) else { continue };
            match resolve(host).await {
                Ok(found) => found.into_iter().for_each(|address| {
                    known.entry(address).or_default().insert(name.clone());
                }),
                Err(error) => eprintln!("{name}: {}: {error:#}", crate::plain::seen(host)),
            }
        }
    }
    if known.is_empty() && options.also.is_empty() {
        bail!(
            "no member has an address on chain that can be resolved: these rules would shut everyone out; see --also"
        );
    }
    if options.nft {
        put(rules(port, &known.into_keys().collect(), &options.also));
    } else {
        for (address, names) in &known {
            out!("{address}  {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        }
        options.also.iter().for_each(|range| out!("{range}"));
    }
    Ok(())
}

/// The port that is guarded: the one that was given, or the first on which the folder's node listens.
fn port(given: Option<u16>, dir: Option<&Path>) -> Result<u16> {
    let folder = dir.filter(|dir| given.is_none() && dir.join(SETTINGS).exists());
    let listens = folder.map(SiteSettings::read).transpose()?.map(|settings| settings.listen).unwrap_or_default();
    let first =
        listens.iter().find_map(|address| address.split("/tcp/").nth(1)?.split('/').next()?.parse::<u16>().ok());
    Ok(given.or(first).unwrap_or(USUAL_PORT))
}

/// A table of its own, which replaces one of before and touches no other.
fn rules(port: u16, known: &BTreeSet<IpAddr>, also: &[String]) -> String {
    let mut out = format!(
        "# {} addresses of members, as the chain and the resolver had them. Names move: print this anew now and then.\n\
         table inet consilium\ndelete table inet consilium\ntable inet consilium {{\n",
        known.len()
    );
    for (name, kind, v4) in [("four", "ipv4_addr", true), ("six", "ipv6_addr", false)] {
        let own = known.iter().filter(|address| address.is_ipv4() == v4).map(IpAddr::to_string);
        let more = also.iter().filter(|range| range.contains(':') != v4).cloned();
        let all: Vec<String> = own.chain(more).collect();
        let elements = if all.is_empty() { String::new() } else { format!(" elements = {{ {} }};", all.join(", ")) };
        // writing to a string cannot fail
        let _ = writeln!(out, "    set {name} {{ type {kind}; flags interval; auto-merge;{elements} }}");
    }
    for (name, kind) in [("count4", "ipv4_addr"), ("count6", "ipv6_addr")] {
        let _ = writeln!(out, "    set {name} {{ type {kind}; size 65536; flags dynamic; }}");
    }
    out.push_str("    chain input {\n        type filter hook input priority filter; policy accept;\n");
    let _ = writeln!(out, "        meta l4proto != tcp accept\n        tcp dport != {port} accept");
    out.push_str("        iif lo accept\n        ct state established,related accept\n");
    for (family, count, set) in [("ip", "count4", "four"), ("ip6", "count6", "six")] {
        let _ = writeln!(
            out,
            "        {family} saddr @{set} add @{count} {{ {family} saddr ct count over {CONNECTIONS} }} drop"
        );
        let _ = writeln!(out, "        {family} saddr @{set} accept");
    }
    out.push_str("        drop\n    }\n}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_out_of_addresses() {
        assert_eq!(host("/dns/node.st-mary.example/tcp/30333"), Some("node.st-mary.example"));
        assert_eq!(host("/ip4/192.0.2.7/tcp/30333"), Some("192.0.2.7"));
        assert_eq!(host("/ip6/2001:db8::1/tcp/30333"), Some("2001:db8::1"));
        for other in ["", "/", "/ip4/", "/unix/x", "192.0.2.7"] {
            assert_eq!(host(other), None, "{other}");
        }
    }

    #[test]
    fn ranges_are_checked_before_they_are_printed() {
        for good in ["10.8.0.0/24", "192.0.2.7", "2001:db8::/32", "::1/128"] {
            assert_eq!(range(good), Ok(good.to_owned()));
        }
        for bad in ["10.8.0.0/33", "10.8.0.0/0", "10.8.0/24", "a; drop", "::/129", "10.0.0.1/x"] {
            assert!(range(bad).is_err_and(|text| text.contains(bad)), "{bad}");
        }
    }

    #[test]
    fn the_rules_let_in_members_and_drop_everyone_else_at_that_port_alone() {
        let known = ["192.0.2.7", "2001:db8::1"].map(|at| at.parse().expect("one"));
        let text = rules(30333, &known.into(), &["10.8.0.0/24".into()]);
        assert!(text.contains("elements = { 192.0.2.7, 10.8.0.0/24 }") && text.contains("elements = { 2001:db8::1 }"));
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in\n{text}"));
        let order = [
            "l4proto != tcp accept",
            "tcp dport != 30333 accept",
            "established",
            "ct count over 8 } drop",
            "ip saddr @four accept",
            "        drop\n",
        ];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
        assert!(!rules(1, &[].into(), &[]).contains("elements"));
    }

    #[test]
    fn the_port_is_that_of_the_folder_s_node_unless_another_is_given() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = Some(dir.path());
        assert_eq!(port(None, at).ok(), Some(USUAL_PORT), "there are no settings yet");
        let settings = SiteSettings::usual("x", true, 30_444, Vec::new());
        let text = toml::to_string(&settings).expect("settings");
        std::fs::write(dir.path().join(SETTINGS), text).expect("written");
        assert_eq!(port(None, at).ok(), Some(30_444));
        assert_eq!(port(Some(7), at).ok(), Some(7));
        assert_eq!(port(None, None).ok(), Some(USUAL_PORT));
    }
}
