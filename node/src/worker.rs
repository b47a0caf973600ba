//! How the offchain worker finds this institution's ml-worker: the node leaves address and token in the offchain
//! database when it starts.

use crate::cli::WorkerParams;
use codec::Encode;
use sp_core::offchain::{OffchainStorage, STORAGE_PREFIX};
use std::path::Path;

const URL_KEY: &[u8] = b"consilium/worker/url";
const TOKEN_KEY: &[u8] = b"consilium/worker/token";

/// Certificate bundles of the usual Linux systems. The offchain HTTP client loads one before it talks to anyone, even
/// to this machine.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Notes address and token of the worker, or forgets those of an earlier start.
///
/// # Errors
/// What is wrong with the settings, for people.
pub fn settle<S: OffchainStorage>(params: &WorkerParams, storage: &mut S) -> Result<(), String> {
    let (Some(url), Some(file)) = (&params.worker_url, &params.worker_token_file) else {
        storage.remove(STORAGE_PREFIX, URL_KEY);
        storage.remove(STORAGE_PREFIX, TOKEN_KEY);
        return Ok(());
    };
    check_url(url)?;
    if !certificates() {
        return Err("no certificate store: the node's HTTP client needs one even to reach a worker on this machine. \
                    Install the Debian package ca-certificates, or point SSL_CERT_FILE at a bundle."
            .into());
    }
    let token = read_token(file)?;
    storage.set(STORAGE_PREFIX, URL_KEY, &url.trim_end_matches('/').as_bytes().to_vec().encode());
    storage.set(STORAGE_PREFIX, TOKEN_KEY, &token.into_bytes().encode());
    Ok(())
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

fn certificates() -> bool {
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    named.iter().map(|path| path.as_path()).chain(CERTIFICATES.iter().map(Path::new)).any(Path::is_file)
}

#[cfg(test)]
mod tests {
    use super::*;

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
