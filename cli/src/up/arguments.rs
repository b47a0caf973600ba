//! What node and worker are started with: one list for each, the same for `up` and for systemd's units.

use crate::institution::folder::{SiteSettings, KEYSTORE, NODE_KEY, SITES, TOKEN};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The specification of the institution's chain, in its folder.
pub const CHAIN: &str = "chain.json";
/// The name that the node gives to whoever connects to it, strangers among them: it says nothing of the institution.
const NEUTRAL_NAME: &str = "consilium";

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_string_lossy().into_owned()
}

/// The recoveries in a folder, those of older blocks first.
pub fn recoveries(dir: &Path) -> Vec<PathBuf> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("recovery-")?.strip_suffix(".json")?.parse::<u32>().ok()
    };
    let all = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut all: Vec<(u32, PathBuf)> = all.filter_map(|path| Some((number(&path)?, path))).collect();
    all.sort();
    all.into_iter().map(|(_, path)| path).collect()
}

/// Arguments of `consilium-node` for the institution whose folder this is; paths begin with `dir`.
pub fn node(dir: &Path, settings: &SiteSettings) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut pair = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    pair("--chain", path(dir, CHAIN));
    pair("--base-path", path(dir, "node"));
    pair("--keystore-path", path(dir, KEYSTORE));
    pair("--node-key-file", path(dir, NODE_KEY));
    pair("--name", NEUTRAL_NAME.into());
    for address in &settings.listen {
        pair("--listen-addr", address.clone());
    }
    for address in &settings.addresses {
        pair("--public-addr", address.clone());
    }
    for node in &settings.reserved {
        pair("--reserved-nodes", node.clone());
    }
    // one socket, this port or none: `--rpc-port` would take another one in silence where this is busy
    let rpc = settings.rpc();
    pair("--experimental-rpc-endpoint", format!("listen-addr={rpc},retry-random-port=false,methods=safe"));
    pair("--prometheus-port", settings.prometheus_port.to_string());
    pair("--state-pruning", settings.pruning.clone());
    pair("--sync", settings.sync.word().into());
    pair("--wasm-cache", path(dir, "node/wasm"));
    pair("--worker-url", format!("http://{}", settings.worker()));
    pair("--worker-token-file", path(dir, TOKEN));
    pair("--blobs", path(dir, "blobs"));
    for file in recoveries(dir) {
        pair("--recovery", file.to_string_lossy().into_owned());
    }
    arguments.extend(["--no-mdns".to_owned(), "--no-telemetry".to_owned()]);
    if settings.validator {
        arguments.push("--validator".into());
    }
    arguments
}

/// Arguments of `ml-worker` for the institution whose folder this is; paths begin with `dir`.
pub fn worker(dir: &Path, settings: &SiteSettings) -> Vec<String> {
    let listen = settings.worker().to_string();
    let pairs = [
        ("--dir", path(dir, "worker")),
        ("--blobs", path(dir, "blobs")),
        ("--listen", listen),
        ("--token-file", path(dir, TOKEN)),
        ("--sites", path(dir, SITES)),
    ];
    let pairs = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    ["serve".to_owned()].into_iter().chain(pairs).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The settings of the golden lists.
    pub fn settings() -> SiteSettings {
        let addresses = vec!["/dns/node.st-mary.example/tcp/30333".into(), "/ip4/192.0.2.7/tcp/30333".into()];
        SiteSettings::usual("St. Mary", true, 30333, addresses)
    }

    #[test]
    fn a_node_is_started_with_this() {
        let golden = "--chain /srv/st-mary/chain.json --base-path /srv/st-mary/node --keystore-path /srv/st-mary/keystore \
             --node-key-file /srv/st-mary/node.key --name consilium --listen-addr /ip4/0.0.0.0/tcp/30333 \
             --listen-addr /ip6/::/tcp/30333 --public-addr /dns/node.st-mary.example/tcp/30333 \
             --public-addr /ip4/192.0.2.7/tcp/30333 \
             --experimental-rpc-endpoint listen-addr=127.0.0.1:9944,retry-random-port=false,methods=safe \
             --prometheus-port 9615 --state-pruning archive-canonical --sync full --wasm-cache /srv/st-mary/node/wasm \
             --worker-url http://127.0.0.1:8601 --worker-token-file /srv/st-mary/token --blobs /srv/st-mary/blobs --no-mdns \
             --no-telemetry --validator";
        let mut settings = settings();
        assert_eq!(node(Path::new("/srv/st-mary"), &settings).join(" "), golden);
        // neither the institution's name nor anything else of it is in what strangers see
        assert!(!golden.contains("St. Mary"));
        settings.reserved = vec!["/dns/a.example/tcp/1/p2p/12D3".into()];
        assert!(node(Path::new("/srv/st-mary"), &settings)
            .join(" ")
            .contains(" --reserved-nodes /dns/a.example/tcp/1/p2p/12D3 --"));
        settings.validator = false;
        assert!(!node(Path::new("/srv/st-mary"), &settings).contains(&"--validator".to_owned()));
    }

    #[test]
    fn a_node_is_given_the_recoveries_of_its_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["recovery-7.json", "recovery-12.json", "recovery.json", "recovery-x.json", "recovery-7.json.old"] {
            fs::write(dir.path().join(name), "").expect("written");
        }
        let given = node(dir.path(), &settings());
        let files = given.windows(2).filter(|pair| pair[0] == "--recovery").map(|pair| pair[1].clone());
        let want = ["recovery-7.json", "recovery-12.json"].map(|name| path(dir.path(), name));
        assert_eq!(files.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_worker_is_started_with_this() {
        let golden = "serve --dir /srv/st-mary/worker --blobs /srv/st-mary/blobs --listen 127.0.0.1:8601 \
             --token-file /srv/st-mary/token --sites /srv/st-mary/sites.toml";
        assert_eq!(worker(Path::new("/srv/st-mary"), &settings()).join(" "), golden);
    }
}
