//! The node's connections to other machines, as the kernel has them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// State of a connection that stands, in the kernel's tables.
const ESTABLISHED: &str = "01";

/// A connection that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The end on this machine.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// All connections of this machine.
pub fn connections() -> Vec<Connection> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().filter_map(parse)).collect()
}

/// A line of such a table.
fn parse(line: &str) -> Option<Connection> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    (state == ESTABLISHED).then_some(())?;
    Some(Connection { local: end(local)?, remote: end(remote)? })
}

/// An end: the address in words of four bytes, each in the machine's own order, and the port.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let bytes = hex::decode(address).ok()?;
    let turned: Vec<u8> = bytes
        .chunks_exact(4)
        .flat_map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]).to_ne_bytes())
        .collect();
    let ip = match turned.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(turned).ok()?)),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(turned).ok()?).to_canonical(),
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

/// How many connections stand that others have opened and that this node has, from the node's own figures.
pub fn directions(figures: &str) -> Option<(u64, u64)> {
    let sum = |name: &str, direction: &str| -> u64 {
        let lines = figures.lines().filter(|line| line.starts_with(name) && line.contains(direction));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    };
    let opened = "substrate_sub_libp2p_connections_opened_total{";
    let closed = "substrate_sub_libp2p_connections_closed_total{";
    figures.contains(opened).then(|| {
        let stand = |direction: &str| sum(opened, direction).saturating_sub(sum(closed, direction));
        (stand("direction=\"in\""), stand("direction=\"out\""))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_of_this_process_is_found_with_both_ends() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // a machine may have no IPv6
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let there = listener.local_addr().unwrap();
            let here = TcpStream::connect(there).unwrap();
            let found = connections();
            assert!(found.contains(&Connection { local: here.local_addr().unwrap(), remote: there }), "{found:?}");
            // one that only listens is none
            assert!(!found.iter().any(|one| one.local == there && one.remote.port() == 0));
        }
        assert_eq!(parse("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn figures_tell_how_many_stand_by_direction() {
        let text = "# HELP substrate_sub_libp2p_connections_opened_total x\n\
                    substrate_sub_libp2p_connections_opened_total{direction=\"in\",chain=\"a\"} 5\n\
                    substrate_sub_libp2p_connections_opened_total{direction=\"out\",chain=\"a\"} 2\n\
                    substrate_sub_libp2p_connections_closed_total{direction=\"in\",reason=\"x\",chain=\"a\"} 3\n\
                    substrate_sub_libp2p_connections_closed_total{direction=\"in\",reason=\"y\",chain=\"a\"} 1\n";
        assert_eq!(directions(text), Some((1, 2)));
        assert_eq!(directions("nothing"), None);
    }
}
