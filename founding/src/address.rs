//! Addresses under which other institutions reach a node.

use anyhow::{bail, Context, Result};
use multiaddr::{Multiaddr, Protocol};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest address, in bytes; what the chain keeps.
const MOST_BYTES: usize = 128;

/// Checks an address as it stands in a card: `/dns/HOST/tcp/PORT`, `/ip4/A.B.C.D/tcp/PORT` or `/ip6/…/tcp/PORT`, and nothing
/// after the port. (The card itself says which node answers there.)
///
/// # Errors
/// What is wrong with it, and how one looks.
pub fn check_address(text: &str) -> Result<()> {
    let parsed = parse(text)?;
    let mut parts = parsed.iter();
    match parts.next() {
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(plain) {
                bail!("{text}: {name:?} is no host name");
            }
        }
        Some(Protocol::Ip4(ip)) if !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast() => {}
        Some(Protocol::Ip6(ip)) if !ip.is_unspecified() && !ip.is_multicast() => {}
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => bail!("{text}: nobody can be reached at this IP address"),
        _ => bail!("{text}: an address begins with /dns/HOST, /ip4/ADDRESS or /ip6/ADDRESS"),
    }
    match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None) if port > 0 => Ok(()),
        (Some(Protocol::Tcp(_)), Some(more)) => {
            bail!("{text}: ends with the port; leave {:?} out", more.to_string())
        }
        _ => bail!("{text}: after the host comes /tcp/PORT, as in /dns/node.example.org/tcp/30333"),
    }
}

fn parse(text: &str) -> Result<Multiaddr> {
    if text.len() > MOST_BYTES {
        bail!("{text}: an address has at most {MOST_BYTES} bytes");
    }
    let how = || format!("{text:?}: no address of a node; one looks like /dns/node.example.org/tcp/30333");
    let parsed: Multiaddr = text.parse().with_context(how)?;
    // one way of writing each
    if parsed.to_string() != text {
        bail!("{text}: write it as {parsed}");
    }
    Ok(parsed)
}

/// Whether an address of [`check_address`]'s form is one that only machines of the same network reach: fit for a consortium in
/// a VPN, or on one machine.
pub fn is_private(text: &str) -> bool {
    match text.parse::<Multiaddr>().ok().and_then(|parsed| parsed.iter().next().map(Protocol::acquire)) {
        Some(Protocol::Ip4(ip)) => private4(ip),
        Some(Protocol::Ip6(ip)) => private6(ip),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost") || !name.contains('.')
        }
        _ => false,
    }
}

fn private4(ip: Ipv4Addr) -> bool {
    // carriers' own range (RFC 6598) is no more reachable from outside than the others
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
}

fn private6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some_and(private4)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_that_others_can_dial_are_taken() {
        for good in [
            "/dns/node.st-mary.example/tcp/30333",
            "/dns4/node.example/tcp/1",
            "/ip4/198.51.100.7/tcp/30333",
            "/ip6/2001:db8::1/tcp/65535",
        ] {
            check_address(good).unwrap();
            assert!(!is_private(good), "{good}");
        }
    }

    #[test]
    fn what_cannot_be_dialled_or_says_too_much_is_refused_with_how_one_looks() {
        for (wrong, says) in [
            ("", "/dns/HOST"),
            ("node.example:30333", "looks like"),
            ("/dns/node.example", "/tcp/PORT"),
            ("/dns/node.example/tcp/0", "/tcp/PORT"),
            ("/dns/node.example/udp/30333", "/tcp/PORT"),
            ("/dns/node.example/tcp/30333/ws", "leave"),
            ("/dns/node.example/tcp/30333/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "leave"),
            ("/dns/no de/tcp/1", "no host name"),
            ("/dns/-x/tcp/1", "no host name"),
            ("/ip4/0.0.0.0/tcp/30333", "nobody can be reached"),
            ("/ip6/::/tcp/30333", "nobody can be reached"),
            ("/ip4/224.0.0.1/tcp/30333", "nobody can be reached"),
            ("/ip6/2001:0db8::1/tcp/30333", "write it as"),
            (&format!("/dns/{}/tcp/1", "a".repeat(128)), "at most 128"),
        ] {
            let error = format!("{:#}", check_address(wrong).unwrap_err());
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn addresses_of_one_network_alone_are_known() {
        for private in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/172.16.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/dns/localhost/tcp/1",
            "/dns/node-a/tcp/1",
        ] {
            check_address(private).unwrap();
            assert!(is_private(private), "{private}");
        }
    }
}
