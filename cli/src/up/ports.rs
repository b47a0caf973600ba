//! The ports of an institution's two programs: whether they are free, and whether the node listens where it says that it is
//! reached.

use crate::institution::folder::SiteSettings;
use anyhow::{bail, Context, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

/// Sockets that the two programs are to listen on, and where they are set.
pub fn sockets(settings: &SiteSettings) -> Result<Vec<(SocketAddr, &'static str)>> {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut all = vec![
        (settings.rpc(), "rpc_port"),
        (loopback(settings.prometheus_port), "prometheus_port"),
        (settings.worker(), "worker_port"),
    ];
    for address in &settings.listen {
        all.push((socket(address)?, "listen"));
    }
    let mut taken: BTreeMap<u16, &'static str> = BTreeMap::new();
    for (socket, what) in &all {
        let port = socket.port();
        let other = taken.insert(port, what);
        // both families of one port are one
        if let Some(other) = other.filter(|other| other != what) {
            bail!("port {port} is named for two purposes, {other} and {what} (consilium.toml): another one for each");
        }
    }
    Ok(all)
}

/// What must be said where another institution's folder beside this one names one of its ports: on one machine only one of the two can
/// be up.
pub fn shared(settings: &SiteSettings, dir: &Path) -> Option<String> {
    let own: BTreeSet<u16> = sockets(settings).ok()?.into_iter().map(|(socket, _)| socket.port()).collect();
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut folders: Vec<PathBuf> = fs::read_dir(parent).ok()?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().filter(|other| other.file_name() != dir.file_name()).find_map(|other| {
        let theirs = sockets(&SiteSettings::read(other).ok()?).ok()?;
        let both: BTreeSet<u16> = theirs.iter().map(|(socket, _)| socket.port()).filter(|port| own.contains(port)).collect();
        let list = both.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        (!both.is_empty()).then(|| {
            format!(
                "{} names {list} for its ports, too: on one machine only one of the two can be up; --ports-from and another port in --address give \
                 this one its own",
                other.strip_prefix(".").unwrap_or(other).display()
            )
        })
    })
}

/// Ports at which the node listens for others.
///
/// # Errors
/// An address to listen on that is none.
pub fn listens(settings: &SiteSettings) -> Result<BTreeSet<u16>> {
    settings.listen.iter().map(|address| Ok(socket(address)?.port())).collect()
}

/// The socket of an address to listen on, as `/ip4/0.0.0.0/tcp/30333`.
fn socket(address: &str) -> Result<SocketAddr> {
    let parts: Vec<&str> = address.split('/').collect();
    let found = match parts[..] {
        ["", "ip4" | "ip6", ip, "tcp", port] => ip.parse::<IpAddr>().ok().zip(port.parse().ok()),
        _ => None,
    };
    found.map(SocketAddr::from).with_context(|| format!("listen: {address}: no address like /ip4/0.0.0.0/tcp/30333"))
}

/// What must be said where others are told another port than the node listens at.
pub fn drift(settings: &SiteSettings) -> Option<String> {
    let told: BTreeSet<u16> = settings.addresses.iter().filter_map(|address| port_of(address)).collect();
    let listens = listens(settings).ok()?;
    if told.is_empty() || !told.is_disjoint(&listens) {
        return None;
    }
    let list = |ports: &BTreeSet<u16>| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    Some(format!(
        "others are told port {} (addresses), and this node listens at {} (listen): unless a router leads from the one to the \
         other, nobody reaches it; make them the same in consilium.toml",
        list(&told),
        list(&listens)
    ))
}

/// The TCP port of an address at which others reach a node.
pub fn port_of(address: &str) -> Option<u16> {
    address.split('/').skip_while(|part| *part != "tcp").nth(1)?.parse().ok()
}

/// Whether all ports are free.
///
/// # Errors
/// Those that are taken, or cannot be used, all of them.
pub fn check_ports(settings: &SiteSettings) -> Result<()> {
    let mut taken: Vec<String> = Vec::new();
    for (socket, what) in sockets(settings)? {
        match TcpListener::bind(socket) {
            Ok(_) => {}
            // a machine without IPv6 listens on the other address alone
            Err(_) if socket.is_ipv6() && TcpListener::bind("[::1]:0").is_err() => {}
            Err(error) => {
                let one = format!("port {} ({what}; {error})", socket.port());
                // both families of one port are one
                if !taken.iter().any(|other| other.starts_with(&format!("port {} ", socket.port()))) {
                    taken.push(one);
                }
            }
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "cannot be used: {}. Another program has {}, or an institution's node or worker that runs already (`ss -ltnp` tells \
         which): choose free ones in consilium.toml; `consilium init --ports-from N` gives a second institution on one machine \
         ports of its own",
        taken.join(", "),
        if taken.len() == 1 { "it" } else { "them" }
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::up::arguments::tests::settings;

    #[test]
    fn ports_are_free_and_each_for_one_purpose() {
        let mut settings = settings();
        assert_eq!(sockets(&settings).unwrap().len(), 5);
        settings.worker_port = 9944;
        let said = sockets(&settings).unwrap_err().to_string();
        assert!(said.contains("port 9944") && said.contains("rpc_port and worker_port"), "{said}");
        settings.worker_port = 30333;
        let said = sockets(&settings).unwrap_err().to_string();
        assert!(said.contains("port 30333") && said.contains("worker_port and listen"), "{said}");
        for wrong in ["/ip4/0.0.0.0/udp/1", "/dns/here/tcp/1", "/ip4/0.0.0.0/tcp/70000", "0.0.0.0:1"] {
            assert!(socket(wrong).unwrap_err().to_string().contains(wrong));
        }
        assert_eq!(socket("/ip6/::/tcp/7").unwrap(), "[::]:7".parse().unwrap());
    }

    #[test]
    fn a_folder_beside_this_one_with_the_same_ports_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let (alder, birch) = (scratch.path().join("alder"), scratch.path().join("birch"));
        fs::create_dir(&alder).unwrap();
        let mut own = settings();
        fs::write(alder.join("consilium.toml"), own.text().unwrap()).unwrap();
        let said = shared(&own, &birch).unwrap();
        assert!(
            said.contains("alder") && said.contains("8601, 9615, 9944, 30333") && said.contains("--ports-from"),
            "{said}"
        );
        assert_eq!(shared(&own, &alder), None, "itself");
        (own.rpc_port, own.prometheus_port, own.worker_port) = (1, 2, 3);
        own.listen = vec!["/ip4/0.0.0.0/tcp/4".into()];
        assert_eq!(shared(&own, &birch), None);
    }

    #[test]
    fn all_ports_that_are_taken_are_named_at_once() {
        let held: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let mut settings = settings();
        settings.listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
        (settings.rpc_port, settings.prometheus_port, settings.worker_port) = (ports[0], ports[1], ports[2]);
        let error = check_ports(&settings).unwrap_err().to_string();
        for (port, what) in ports.iter().zip(["rpc_port", "prometheus_port", "worker_port"]) {
            assert!(error.contains(&format!("port {port} ({what}")), "{error}");
        }
        assert!(error.contains("--ports-from"), "{error}");
        drop(held);
        check_ports(&settings).unwrap();
    }

    #[test]
    fn a_node_that_listens_elsewhere_than_it_says_is_told_of_it() {
        let mut settings = settings();
        assert_eq!(drift(&settings), None);
        settings.addresses = vec!["/ip4/192.0.2.7/tcp/34201".into()];
        let said = drift(&settings).unwrap();
        assert!(said.contains("34201") && said.contains("30333") && said.contains("consilium.toml"), "{said}");
        settings.addresses.clear();
        assert_eq!(drift(&settings), None, "it dials others");
        assert_eq!((port_of("/dns/a.example/tcp/7"), port_of("/dns/tcp.example/udp/7")), (Some(7), None));
    }
}
