//! Free TCP ports of this machine.

use crate::programs::random;
use anyhow::{bail, Result};
use std::net::TcpListener;

/// Where ports are looked for: below those that Linux gives to outgoing connections, one of which could take a port between the
/// moment it is found free and the moment it is used.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Free TCP ports of the loopback interface, other than one that is spoken for. Those that come first after a random one: runs
/// that start at the same time do not meet.
///
/// # Errors
/// There are none left.
pub fn free_ports(count: usize, taken: Option<u16>) -> Result<Vec<u16>> {
    let first = u16::from_le_bytes(random()?) % PORTS.len() as u16;
    let ports = PORTS.skip(first.into()).chain(PORTS.take(first.into()));
    let free = ports.filter(|port| Some(*port) != taken && TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let free: Vec<u16> = free.take(count).collect();
    anyhow::ensure!(
        free.len() == count,
        "no {count} free ports on 127.0.0.1 between {} and {}",
        PORTS.start,
        PORTS.end
    );
    Ok(free)
}

/// Whether a port of the loopback interface is free.
///
/// # Errors
/// It is not.
pub fn check_free(port: u16) -> Result<()> {
    if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
        bail!("port {port} of 127.0.0.1 cannot be used ({error}): choose another with --rpc-port, or leave the option out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_busy_port_is_refused_by_number() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(check_free(port).unwrap_err().to_string().contains(&format!("port {port} ")));
    }

    #[test]
    fn free_ports_differ_and_are_not_the_one_that_is_spoken_for() {
        let given = free_ports(8, None).unwrap();
        let ports: std::collections::BTreeSet<u16> = given.iter().copied().collect();
        assert!(ports.len() == 8 && ports.iter().all(|port| PORTS.contains(port)), "{given:?}");
        // so many that the one would be among them
        let taken = PORTS.start + 17;
        let most = free_ports(PORTS.len() * 9 / 10, Some(taken)).unwrap();
        assert!(!most.contains(&taken));
        let error = free_ports(PORTS.len() + 1, None).unwrap_err().to_string();
        assert!(error.contains("20000"), "{error}");
    }
}
