//! How the offchain worker finds this institution's ml-worker: the node leaves address and token in the offchain
//! database when it starts.

use crate::cli::WorkerParams;
use codec::Encode;
use consilium_runtime::opaque::Block;
use futures::StreamExt;
use sc_client_api::BlockchainEvents;
use sp_blockchain::HeaderBackend;
use sp_core::{
    crypto::KeyTypeId,
    offchain::{OffchainStorage, STORAGE_PREFIX},
    H256,
};
use sp_keystore::Keystore;
use sp_runtime::traits::Header;
use std::{
    ffi::OsString,
    fs,
    net::{TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const URL_KEY: &[u8] = b"consilium/worker/url";
const TOKEN_KEY: &[u8] = b"consilium/worker/token";
/// Where the conductor reads which block is final: its number, a SCALE-encoded `u32`, and its hash. A runtime that knows of the
/// number alone reads that.
const FINALISED_KEY: &[u8] = b"consilium/conductor/finalised";

/// The session keys that sign this institution's votes.
const SWARM: KeyTypeId = KeyTypeId(*b"swrm");

/// How long the worker's port is tried at start.
const CONNECT: Duration = Duration::from_millis(500);

/// Certificate bundles of the usual Linux systems, as openssl-probe knows them: the first that is there counts.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];
/// Their folders of certificates.
const FOLDERS: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// How a certificate begins in a bundle.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Notes address and token of the worker, or forgets those of an earlier start.
///
/// # Errors
/// What is wrong with the settings, for people.
pub fn settle<S: OffchainStorage>(params: &WorkerParams, storage: &mut S) -> Result<(), String> {
    settle_with(params, storage, &Certificates::of_this_machine())
}

fn settle_with<S: OffchainStorage>(
    params: &WorkerParams,
    storage: &mut S,
    certificates: &Certificates,
) -> Result<(), String> {
    let (Some(url), Some(file)) = (&params.worker_url, &params.worker_token_file) else {
        storage.remove(STORAGE_PREFIX, URL_KEY);
        storage.remove(STORAGE_PREFIX, TOKEN_KEY);
        return Ok(());
    };
    check_url(url)?;
    if !certificates.any() {
        return Err(format!(
            "no certificate in {certificates}: the node's HTTP client needs one even to reach a worker on this machine. \
             Install the Debian package ca-certificates, or point SSL_CERT_FILE at a bundle."
        ));
    }
    let token = read_token(file)?;
    storage.set(STORAGE_PREFIX, URL_KEY, &url.trim_end_matches('/').as_bytes().to_vec().encode());
    storage.set(STORAGE_PREFIX, TOKEN_KEY, &token.into_bytes().encode());
    Ok(())
}

/// Address and token of the worker, where this node has one.
pub fn door(params: &WorkerParams) -> Option<(String, String)> {
    let (url, file) = (params.worker_url.as_ref()?, params.worker_token_file.as_ref()?);
    Some((url.trim_end_matches('/').to_owned(), read_token(file).ok()?))
}

/// Notes for the conductor which block is final: at once, and whenever another one is. A merge whose freeze is not final
/// cannot have got its inputs, and the site says so; and what takes masks off an update is asked for only where the set that it
/// is summed over is final. The hash tells whether the final block is one of the chain that a runtime call is made on.
pub async fn follow_finality<C, S>(client: Arc<C>, mut storage: S)
where
    C: BlockchainEvents<Block> + HeaderBackend<Block>,
    S: OffchainStorage,
{
    // asked for before the first one is noted, so that none is missed
    let mut notices = client.finality_notification_stream();
    let info = client.info();
    note_finalised(&mut storage, info.finalized_number, info.finalized_hash);
    while let Some(notice) = notices.next().await {
        note_finalised(&mut storage, *notice.header.number(), notice.hash);
    }
}

fn note_finalised<S: OffchainStorage>(storage: &mut S, number: u32, hash: H256) {
    storage.set(STORAGE_PREFIX, FINALISED_KEY, &(number, hash).encode());
}

/// What keeps a node that was given a worker from doing this institution's duties now, for people. Neither keeps the
/// node from starting: worker and key may come later.
pub fn doubts(params: &WorkerParams, keystore: &dyn Keystore) -> Vec<String> {
    let Some(url) = &params.worker_url else { return Vec::new() };
    let mut doubts = Vec::new();
    if !listens(url) {
        doubts.push(format!(
            "nothing listens at --worker-url {url}: start ml-worker there; until then no duty of this institution is done"
        ));
    }
    if keystore.keys(SWARM).is_ok_and(|keys| keys.is_empty()) {
        doubts.push(
            "the keystore has no `swrm` key: no duty of any institution is done; make session keys on this node and \
             register them with the institution's account"
                .into(),
        );
    }
    doubts
}

/// Whether somebody takes connections at an address that [`check_url`] found right.
fn listens(url: &str) -> bool {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let addresses = authority.to_socket_addrs();
    addresses.is_ok_and(|mut all| all.any(|address| TcpStream::connect_timeout(&address, CONNECT).is_ok()))
}

fn check_url(url: &str) -> Result<(), String> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let loopback = authority.is_some_and(|host| {
        ["127.0.0.1:", "localhost:", "[::1]:"]
            .iter()
            .any(|prefix| host.strip_prefix(prefix).is_some_and(|port| port.parse::<u16>().is_ok()))
    });
    if loopback {
        Ok(())
    } else {
        Err(format!("--worker-url {url}: must be http:// on this machine with a port, as in http://127.0.0.1:8601"))
    }
}

fn read_token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("--worker-token-file {}: cannot be read: {error}", file.display()))?;
    let token = text.trim();
    let plain = token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        Ok(token.to_owned())
    } else {
        Err(format!(
            "--worker-token-file {}: the token must be one line of at least 16 visible ASCII characters",
            file.display()
        ))
    }
}

/// Where the offchain HTTP client looks for certificates. It loads them before it talks to anyone, even to this machine,
/// and does not start without any. The rule is that of rustls-native-certs: what the environment names, and only if it
/// names nothing, the usual places of the system.
struct Certificates {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Certificates {
    fn of_this_machine() -> Self {
        Self::named(std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR")).unwrap_or_else(|| Self {
            files: BUNDLES.iter().map(PathBuf::from).find(|path| path.exists()).into_iter().collect(),
            folders: FOLDERS.iter().map(PathBuf::from).filter(|path| path.exists()).collect(),
        })
    }

    /// What `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    fn named(file: Option<OsString>, folders: Option<OsString>) -> Option<Self> {
        let folders: Vec<_> = folders
            .iter()
            .flat_map(|list| std::env::split_paths(list).collect::<Vec<_>>())
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        let files: Vec<_> = file.map(PathBuf::from).into_iter().collect();
        (!files.is_empty() || !folders.is_empty()).then_some(Self { files, folders })
    }

    fn any(&self) -> bool {
        let has = |path: &Path| {
            let bytes = fs::read(path).unwrap_or_default();
            bytes.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE)
        };
        let entries = |folder: &PathBuf| {
            let found = fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
            found.unwrap_or_else(|_| Vec::new())
        };
        let in_folders = self.folders.iter().flat_map(entries);
        self.files.iter().cloned().chain(in_folders).any(|path| path.is_file() && has(&path))
    }
}

impl std::fmt::Display for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places: Vec<_> = self.files.iter().chain(&self.folders).map(|path| path.display().to_string()).collect();
        if places.is_empty() {
            f.write_str("the usual places of this system")
        } else {
            f.write_str(&places.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Decode;
    use consilium_runtime::SessionKeys;
    use sp_core::offchain::storage::InMemOffchainStorage;
    use sp_keystore::testing::MemoryKeystore;
    use sp_runtime::traits::OpaqueKeys;

    /// A folder with a token and a certificate bundle.
    fn house() -> (tempfile::TempDir, WorkerParams, Certificates) {
        let dir = tempfile::tempdir().expect("a folder");
        let (token, bundle) = (dir.path().join("token"), dir.path().join("bundle.pem"));
        fs::write(&token, "0123456789abcdef\n").expect("written");
        fs::write(&bundle, [CERTIFICATE, b"\nAAAA\n"].concat()).expect("written");
        let params = WorkerParams { worker_url: Some("http://127.0.0.1:8601/".into()), worker_token_file: Some(token) };
        (dir, params, Certificates { files: vec![bundle], folders: Vec::new() })
    }

    #[test]
    fn the_conductor_finds_address_and_token_and_an_earlier_starts_are_forgotten() {
        let (_dir, params, certificates) = house();
        let mut storage = InMemOffchainStorage::default();
        assert_eq!(settle_with(&params, &mut storage, &certificates), Ok(()));
        // as the conductor reads them: SCALE-encoded bytes, the address without a slash at its end
        let read = |storage: &InMemOffchainStorage, key| storage.get(STORAGE_PREFIX, key);
        assert_eq!(read(&storage, URL_KEY), Some(b"http://127.0.0.1:8601".to_vec().encode()));
        assert_eq!(read(&storage, TOKEN_KEY), Some(b"0123456789abcdef".to_vec().encode()));
        let none = WorkerParams { worker_url: None, worker_token_file: None };
        assert_eq!(settle_with(&none, &mut storage, &certificates), Ok(()));
        assert_eq!((read(&storage, URL_KEY), read(&storage, TOKEN_KEY)), (None, None));
    }

    #[test]
    fn a_worker_without_any_certificate_on_the_machine_is_refused_and_no_worker_is_not() {
        let (dir, params, _) = house();
        let empty = dir.path().join("empty.pem");
        fs::write(&empty, "").expect("written");
        let certificates = Certificates { files: vec![empty], folders: Vec::new() };
        let mut storage = InMemOffchainStorage::default();
        let refused = settle_with(&params, &mut storage, &certificates);
        assert!(refused.is_err_and(|text| text.contains("empty.pem") && text.contains("SSL_CERT_FILE")));
        assert_eq!(storage.get(STORAGE_PREFIX, URL_KEY), None);
        let none = WorkerParams { worker_url: None, worker_token_file: None };
        assert_eq!(settle_with(&none, &mut storage, &certificates), Ok(()));
    }

    #[test]
    fn certificates_are_looked_for_where_the_environment_says_and_nowhere_else() {
        let (dir, _, bundle) = house();
        let text = |path: &Path| Some(path.as_os_str().to_owned());
        let file = bundle.files.first().expect("a bundle").as_path();
        let folder = tempfile::tempdir().expect("a folder");
        let any = |file, folders| Certificates::named(file, folders).map(|places| places.any());
        assert_eq!(any(None, None), None);
        assert_eq!(any(None, Some("".into())), None);
        assert_eq!(any(text(file), None), Some(true));
        assert_eq!(any(text(Path::new("/no/such/file")), None), Some(false));
        // a file with something else in it, and a folder without any
        assert_eq!(any(text(&dir.path().join("token")), None), Some(false));
        assert_eq!(any(None, text(folder.path())), Some(false));
        assert_eq!(any(None, text(dir.path())), Some(true));
        let both = std::env::join_paths([folder.path(), dir.path()]).expect("no colon in them");
        assert_eq!(any(None, Some(both)), Some(true));
        // either of them is enough
        assert_eq!(any(text(Path::new("/no/such/file")), text(dir.path())), Some(true));
    }

    #[test]
    fn a_worker_that_does_not_listen_and_a_keystore_without_key_are_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let params = WorkerParams { worker_url: Some(url.clone()), worker_token_file: None };
        let keystore = MemoryKeystore::new();
        let found = doubts(&params, &keystore);
        assert!(matches!(&found[..], [key] if key.contains("`swrm` key")), "{found:?}");
        keystore.sr25519_generate_new(SWARM, None).expect("a key");
        assert_eq!(doubts(&params, &keystore), Vec::<String>::new());
        drop(listener);
        let found = doubts(&params, &keystore);
        assert!(matches!(&found[..], [away] if away.contains(&url) && away.contains("start ml-worker")), "{found:?}");
        let none = WorkerParams { worker_url: None, worker_token_file: None };
        assert_eq!(doubts(&none, &MemoryKeystore::new()), Vec::<String>::new());
    }

    #[test]
    fn the_key_that_is_looked_for_is_one_of_the_runtimes_session_keys() {
        assert!(SessionKeys::key_ids().contains(&SWARM));
    }

    #[test]
    fn the_conductor_is_told_which_block_is_final() {
        let mut storage = InMemOffchainStorage::default();
        for number in [0u32, 7, 300] {
            let hash = H256::repeat_byte(number as u8);
            note_finalised(&mut storage, number, hash);
            let noted = storage.get(STORAGE_PREFIX, b"consilium/conductor/finalised").expect("noted");
            assert_eq!(<(u32, H256)>::decode(&mut &noted[..]), Ok((number, hash)));
            // as a runtime reads it that asks for no hash
            assert_eq!(u32::decode(&mut &noted[..]), Ok(number));
        }
    }

    #[test]
    fn only_this_machine_may_be_the_worker() {
        for good in ["http://127.0.0.1:8601", "http://localhost:1/", "http://[::1]:65535"] {
            assert_eq!(check_url(good), Ok(()));
        }
        for bad in [
            "https://127.0.0.1:8601",
            "http://127.0.0.1",
            "http://127.0.0.1:70000",
            "http://127.0.0.1.example.org:80",
            "http://10.0.0.1:80",
            "127.0.0.1:80",
        ] {
            assert!(check_url(bad).is_err_and(|text| text.contains(bad)), "{bad}");
        }
    }

    #[test]
    fn a_bad_token_file_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("token");
        assert!(read_token(&file).is_err_and(|text| text.contains("token") && text.contains("cannot be read")));
        std::fs::write(&file, "short\n").expect("written");
        assert!(read_token(&file).is_err_and(|text| text.contains("at least 16")));
        std::fs::write(&file, "0123456789abcdef\n").expect("written");
        assert_eq!(read_token(&file), Ok("0123456789abcdef".into()));
    }
}
