//! The node's connections to other machines, as the kernel has them.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// States of a connection that stands and of a socket that waits for some, in the kernel's tables.
const ESTABLISHED: &str = "01";
const LISTENS: &str = "0A";

/// A connection that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The end on this machine.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The kernel's number of the socket at this end.
    inode: u64,
}

#[cfg(test)]
impl Connection {
    /// One between two ends.
    pub fn of(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, inode: 0 }
    }
}

/// All connections of this machine, and whose they are where this user may know it.
#[derive(Default)]
pub struct Table {
    connections: Vec<Connection>,
    /// Ports at which processes of this machine wait for connections, by the number of the process.
    listens: BTreeSet<(u32, u16)>,
    /// Processes by the number of a socket.
    owners: HashMap<u64, u32>,
}

impl Table {
    /// As it is now.
    pub fn read() -> Self {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let lines = tables.iter().flat_map(|table| table.lines().filter_map(parse));
        let mut this = Self { owners: owners(), ..Self::default() };
        for (socket, state) in lines {
            match (state, this.owners.get(&socket.inode)) {
                (ESTABLISHED, _) => this.connections.push(socket),
                (LISTENS, Some(process)) => {
                    this.listens.insert((*process, socket.local.port()));
                }
                _ => {}
            }
        }
        this
    }

    /// Connections of the process that listens at one of these ports; all of this machine where that is not known.
    pub fn of(&self, ports: &BTreeSet<u16>) -> Vec<Connection> {
        let process = self.listens.iter().find(|(_, port)| ports.contains(port)).map(|(process, _)| *process);
        let is_its = |one: &&Connection| process.is_none_or(|process| self.owners.get(&one.inode) == Some(&process));
        self.connections.iter().filter(is_its).copied().collect()
    }

    /// Ports at which the process at the other end listens, where that end is on this machine, too, and that is known.
    pub fn behind(&self, one: &Connection) -> Option<BTreeSet<u16>> {
        let other = self.connections.iter().find(|it| it.local == one.remote && it.remote == one.local)?;
        let process = self.owners.get(&other.inode)?;
        Some(self.listens.iter().filter(|(it, _)| it == process).map(|(_, port)| *port).collect())
    }
}

/// Whose each socket is, of all processes that this user may look into.
fn owners() -> HashMap<u64, u32> {
    let mut owners = HashMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        for file in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            owners.extend(inode.map(|inode: u64| (inode, number)));
        }
    }
    owners
}

/// A line of such a table: a socket and its state.
fn parse(line: &str) -> Option<(Connection, &str)> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    let inode = words.nth(5)?.parse().ok()?;
    Some((Connection { local: end(local)?, remote: end(remote)?, inode }, state))
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
    use std::{
        net::{TcpListener, TcpStream},
        process::Command,
    };

    #[test]
    fn a_connection_is_found_with_both_ends_and_whose_they_are() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // a machine may have no IPv6
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let there = listener.local_addr().unwrap();
            let here = TcpStream::connect(there).unwrap();
            // before that it has no number
            let _accepted = listener.accept().unwrap();
            let table = Table::read();
            let is = |one: &&Connection| (one.local, one.remote) == (here.local_addr().unwrap(), there);
            let found = *table.connections.iter().find(is).unwrap();
            // one that only listens is none
            assert!(!table.connections.iter().any(|one| one.local == there && one.remote.port() == 0));
            assert_eq!(table.owners.get(&found.inode), Some(&std::process::id()));
            // this process is at both ends
            assert!(table.of(&[there.port()].into()).contains(&found));
            assert!(table.behind(&found).unwrap().contains(&there.port()));
        }
        assert!(parse("  sl  local_address rem_address   st").is_none());
    }

    #[test]
    fn of_another_process_nothing_is_taken_for_this_one_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let here = TcpStream::connect(there).unwrap();
        let table = Table::read();
        let mut other = Command::new("sleep").arg("30").spawn().unwrap();
        let mut changed = Table {
            listens: [(other.id(), 7)].into(),
            owners: table.owners.clone(),
            connections: table.connections.clone(),
        };
        assert!(changed.of(&[7].into()).is_empty(), "that process has no connection");
        let end = changed.connections.iter().find(|one| one.local == here.local_addr().unwrap()).unwrap().inode;
        changed.owners.insert(end, other.id());
        assert_eq!(changed.of(&[7].into()).len(), 1);
        let accepted = changed.connections.iter().find(|one| one.local == there).copied().unwrap();
        assert_eq!(changed.behind(&accepted), Some([7].into()));
        // where nobody is known to listen, all could be its
        assert!(changed.of(&[8].into()).len() >= 2);
        other.kill().unwrap();
        other.wait().unwrap();
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
