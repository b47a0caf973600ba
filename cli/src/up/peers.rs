//! Each other member's connection, as `doctor` shows it: by the kernel's table, since a node names its peers to nobody.

use super::{
    ports,
    rpc::Node,
    sockets::{directions, Connection, Table},
};
use crate::{
    firewall::{host, resolve},
    institution::folder::SiteSettings,
    localnet::get,
};
use anyhow::{anyhow, Context, Result};
use consilium_primitives::Member;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long a node's figures may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How it is said that there is no connection at all.
pub const DOWN: &str = "no connection: its node is down";

/// Where a member's node is reached.
struct Places {
    name: String,
    /// As the chain has them.
    shown: String,
    at: BTreeSet<(IpAddr, u16)>,
}

impl Places {
    async fn of(member: &Member<[u8; 32]>) -> Self {
        let (mut at, mut shown) = (BTreeSet::new(), Vec::new());
        for address in &member.addresses {
            let text = String::from_utf8_lossy(address).into_owned();
            let port = ports::port_of(&text).unwrap_or_default();
            if let Some(host) = host(&text) {
                at.extend(resolve(host).await.into_iter().flatten().map(|ip| (ip, port)));
            }
            shown.push(text);
        }
        Self { name: String::from_utf8_lossy(&member.name).into_owned(), shown: shown.join(", "), at }
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.at.iter().any(|(its, _)| *its == ip)
    }

    /// Whether a connection to or from these places is this one, and who opened it. `listens` are this node's own ports, `behind`
    /// those at which the process at the other end listens, where that is on this machine, and `others` all others' places.
    fn opened(
        &self,
        one: &Connection,
        listens: &BTreeSet<u16>,
        behind: Option<&BTreeSet<u16>>,
        others: &[&Self],
    ) -> Option<(SocketAddr, &'static str)> {
        let (here, ip) = (listens.contains(&one.local.port()), one.remote.ip());
        let there = self.at.contains(&(ip, one.remote.port()));
        let its = match behind {
            Some(ports) => self.at.iter().any(|(at, port)| *at == ip && ports.contains(port)),
            // an address of several members tells nothing: theirs by its port alone
            None => there || here && self.has(ip) && !others.iter().any(|other| other.has(ip)),
        };
        its.then_some((one.remote, who_opened(here, there)))
    }
}

/// One line for each other member: whether a connection to an address of its stands, and who opened it.
///
/// # Errors
/// The node does not answer.
pub async fn peers(settings: &SiteSettings, node: &Node, own: Option<[u8; 32]>) -> Result<Vec<Result<String>>> {
    let at = node.finalised().await?;
    let members: Vec<Member<[u8; 32]>> = node.call("ConsortiumApi_members", &at).await?;
    let listens = ports::listens(settings)?;
    let mut all = Vec::new();
    for member in members.iter().filter(|member| Some(member.account) != own) {
        all.push(Places::of(member).await);
    }
    let table = Table::read();
    let connections: Vec<(Connection, Option<BTreeSet<u16>>)> =
        table.of(&listens).into_iter().map(|one| (one, table.behind(&one))).collect();
    let mut lines: Vec<Result<String>> = all.iter().map(|it| line(it, &all, &listens, &connections)).collect();
    let figures = tokio::time::timeout(PATIENCE, get(settings.prometheus_port, "/metrics", "-")).await;
    let figures = figures.context("no answer within 3 s").and_then(|figures| figures).unwrap_or_default();
    if let Some((others, this)) = directions(&String::from_utf8_lossy(&figures)) {
        lines.push(Ok(in_all(others, this)));
    }
    Ok(lines)
}

/// The node's own sums of connections that stand now. What comes before the colon is a name, as in the lines before it.
fn in_all(others: u64, this: u64) -> String {
    format!(
        "connections in all: {} stand now, by the node's own count: {others} that other nodes opened to this one, {this} that this one opened \
         to others. Nothing is to be done about it: two nodes may have more than one between them, and 0 of one kind is well while each \
         member above is connected",
        others.saturating_add(this)
    )
}

fn line(
    it: &Places,
    all: &[Places],
    listens: &BTreeSet<u16>,
    connections: &[(Connection, Option<BTreeSet<u16>>)],
) -> Result<String> {
    let (name, shown) = (&it.name, &it.shown);
    if shown.is_empty() {
        return Ok(format!("{name}: has no address; its node dials this one"));
    }
    let others: Vec<&Places> = all.iter().filter(|other| !std::ptr::eq(*other, it)).collect();
    let stands = connections.iter().find_map(|(one, behind)| it.opened(one, listens, behind.as_ref(), &others));
    if let Some((remote, who)) = stands {
        return Ok(format!("{name}: connected, {remote}, {who}"));
    }
    if it.at.is_empty() {
        return Err(anyhow!("{name}: {shown}: cannot be resolved: ask its people, or your resolver"));
    }
    let untold = connections
        .iter()
        .filter(|(one, behind)| behind.is_none() && listens.contains(&one.local.port()) && it.has(one.remote.ip()));
    // told by nobody's address and port: of a node that listens elsewhere than it says
    let strays = connections.iter().filter(|(one, behind)| {
        let whose = |who: &Places| {
            let others: Vec<&Places> = all.iter().filter(|other| !std::ptr::eq(*other, who)).collect();
            who.opened(one, listens, behind.as_ref(), &others).is_some()
        };
        behind.is_some() && listens.contains(&one.local.port()) && it.has(one.remote.ip()) && !all.iter().any(whose)
    });
    match (untold.count(), strays.count()) {
        (0, strays @ 1..) => Err(anyhow!(
            "{name}: {shown}: no connection to or from that port, and {strays} from its address by a node that listens at \
             another one: `listen` and `addresses` in its consilium.toml may differ, and then nobody can dial it"
        )),
        (0, 0) => Err(anyhow!(
            "{name}: {shown}: {DOWN}, or a firewall is between; `nc -vz HOST PORT` tells which"
        )),
        (some, _) => Ok(format!(
            "{name}: {shown}: {some} connections from its address, which other members have, too: whether one is its cannot be told"
        )),
    }
}

/// Who opened a connection, as far as ports tell: a node dials from the port at which it listens, where it can.
fn who_opened(from_listening: bool, to_listening: bool) -> &'static str {
    match (from_listening, to_listening) {
        (false, _) => "opened by this node",
        (true, false) => "opened by it",
        (true, true) => "opened by either, both from their own port",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn places(name: &str, at: &[&str]) -> Places {
        let at = at.iter().map(|text| text.parse::<SocketAddr>().unwrap()).map(|at| (at.ip(), at.port())).collect();
        Places { name: name.into(), shown: "/ip4/x/tcp/1".into(), at }
    }

    fn one(local: &str, remote: &str) -> Connection {
        Connection::of(local.parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn sums_of_connections_say_what_they_are_and_that_nothing_is_to_be_done() {
        let said = in_all(2, 1);
        assert!(
            said.starts_with("connections in all: 3 stand now") && said.contains("2 that other nodes opened"),
            "{said}"
        );
        assert!(said.contains("1 that this one opened") && said.contains("Nothing is to be done"), "{said}");
    }

    #[test]
    fn of_members_with_one_address_each_has_its_own_connection() {
        let all = [places("b", &["127.0.0.1:2"]), places("c", &["127.0.0.1:3"]), places("d", &["127.0.0.1:4"])];
        let listens = [1].into();
        // b dialled from another port, and its process is known; c was dialled; d is not there
        let known = [
            (one("127.0.0.1:1", "127.0.0.1:50002"), Some([2, 9].into())),
            (one("127.0.0.1:50003", "127.0.0.1:3"), None),
        ];
        let said = |connections: &[_], n: usize| line(&all[n], &all, &listens, connections);
        assert_eq!(said(&known, 0).unwrap(), "b: connected, 127.0.0.1:50002, opened by it");
        assert_eq!(said(&known, 1).unwrap(), "c: connected, 127.0.0.1:3, opened by this node");
        assert!(said(&known, 2).unwrap_err().to_string().contains("d: /ip4/x/tcp/1: no connection"));
        // where the processes cannot be seen, it is not said to be anybody's
        let unknown = [(one("127.0.0.1:1", "127.0.0.1:50002"), None)];
        assert!(said(&unknown, 0).unwrap().contains("1 connections from its address, which other members have"));
    }

    #[test]
    fn a_node_that_listens_elsewhere_than_it_says_is_not_said_to_be_down() {
        let all = [places("b", &["127.0.0.1:2"]), places("c", &["127.0.0.1:3"])];
        let listens = [1].into();
        // b says 2 and listens at 30333; c is there
        let known = [
            (one("127.0.0.1:1", "127.0.0.1:50002"), Some([30333].into())),
            (one("127.0.0.1:1", "127.0.0.1:50003"), Some([3].into())),
        ];
        let said = line(&all[0], &all, &listens, &known).unwrap_err().to_string();
        assert!(said.contains("1 from its address") && said.contains("listen") && !said.contains("down"), "{said}");
        assert!(line(&all[1], &all, &listens, &known).is_ok());
        assert!(line(&all[0], &all, &listens, &known[1..]).unwrap_err().to_string().contains("its node is down"));
    }

    #[test]
    fn a_member_alone_at_its_address_is_known_by_it() {
        let all = [places("b", &["192.0.2.7:2"]), places("c", &["192.0.2.8:2"])];
        let listens = [1].into();
        let from = [(one("192.0.2.1:1", "192.0.2.7:50002"), None)];
        assert_eq!(line(&all[0], &all, &listens, &from).unwrap(), "b: connected, 192.0.2.7:50002, opened by it");
        assert!(line(&all[1], &all, &listens, &from).is_err());
        let mut nowhere = places("d", &[]);
        assert!(line(&nowhere, &[], &listens, &from).unwrap_err().to_string().contains("cannot be resolved"));
        nowhere.shown = String::new();
        assert!(line(&nowhere, &[], &listens, &from).unwrap().contains("has no address"));
    }
}
