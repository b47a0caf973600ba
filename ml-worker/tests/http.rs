//! The door of the real process: who is let in, what is taken, where it stands.
#![allow(clippy::unwrap_used)]

mod support;

use codec::Encode;
use consilium_primitives::{
    duty::{MAX_ORDERS, PROTOCOL_VERSION},
    DutyKind, DutyRequest,
};
use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
};
use support::{command, order, prepare, unscaled, Process, TOKEN};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), "a\n1\n");
    dir
}

/// What it says when it does not start.
fn refusal(dir: &tempfile::TempDir, listen: &str) -> String {
    let output = command(dir.path(), listen).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_door_opens_for_the_token_alone() {
    let dir = folder();
    let process = Process::serve(dir.path());
    let empty = DutyRequest { version: PROTOCOL_VERSION, specs: vec![], orders: vec![] }.encode();
    for (method, path) in [("PUT", "/v1/duties"), ("GET", "/v1/status"), ("GET", "/elsewhere")] {
        for headers in [
            String::new(),
            "authorization: Bearer \r\n".into(),
            format!("authorization: {TOKEN}\r\n"),
            format!("authorization: Basic {TOKEN}\r\n"),
            format!("authorization: Bearer {}\r\n", &TOKEN[1..]),
            format!("authorization: Bearer {TOKEN}0\r\n"),
            format!("authorization: Bearer {}\r\n", TOKEN.to_uppercase()),
        ] {
            let (status, body) = process.raw(method, path, &headers, &empty);
            assert_eq!(status, 401, "{method} {path} with {headers:?}");
            assert!(!String::from_utf8_lossy(&body).contains(TOKEN));
        }
    }
    assert_eq!(process.http("PUT", "/v1/duties", Some(TOKEN), &empty).0, 200);
    assert_eq!(process.http("POST", "/v1/duties", Some(TOKEN), &empty).0, 405);
    assert_eq!(process.http("GET", "/elsewhere", Some(TOKEN), b"").0, 404);
    assert_eq!(process.status()["held"], false);
    assert!(!fs::read_to_string(dir.path().join("log")).unwrap().contains(TOKEN), "the token stands in no log");
}

#[test]
fn garbage_is_refused_with_a_reason_and_the_worker_goes_on() {
    let dir = folder();
    let process = Process::serve(dir.path());
    let put = |body: &[u8]| {
        let (status, answer) = process.http("PUT", "/v1/duties", Some(TOKEN), body);
        (status, String::from_utf8_lossy(&answer).into_owned())
    };
    let request = |version, orders: usize| {
        let order = order(&unscaled(1), DutyKind::Init, 0, None);
        DutyRequest { version, specs: vec![], orders: vec![order; orders] }.encode()
    };
    let good = request(PROTOCOL_VERSION, 1);
    for body in [&b""[..], b"\xff\xff\xff", b"{}", &good[..good.len() - 1], &[&good[..], b"\0"].concat()] {
        let (status, why) = put(body);
        assert_eq!(status, 400, "{body:?}");
        assert!(why.contains("not a request for duties"), "{why}");
    }
    let (status, why) = put(&request(PROTOCOL_VERSION + 1, 1));
    assert!(status == 400 && why.contains(&format!("speaks {PROTOCOL_VERSION}")), "{why}");
    let (status, why) = put(&request(PROTOCOL_VERSION, MAX_ORDERS + 1));
    assert!(status == 400 && why.contains("at most 64"), "{why}");
    assert_eq!(put(&vec![0; 3 << 20]).0, 413, "a body beyond the limit");
    assert_eq!(put(&good).0, 200);
}

#[test]
fn a_caller_that_sends_nothing_holds_up_nobody() {
    let dir = folder();
    let process = Process::serve(dir.path());
    let silent: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream = TcpStream::connect(("127.0.0.1", process.port)).unwrap();
            if n % 2 == 0 {
                let head =
                    format!("PUT /v1/duties HTTP/1.0\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 99\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(process.status()["held"], false);
    drop(silent);
}

#[test]
fn an_address_that_cannot_be_used_is_named() {
    let dir = folder();
    for open in ["0.0.0.0:8601", "[::]:8601", "192.0.2.1:8601"] {
        let said = refusal(&dir, open);
        assert!(said.contains("this machine alone") && said.contains(open), "{said}");
    }
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    assert!(refusal(&dir, &address).contains(&format!("cannot listen on {address}")));
}

#[test]
fn a_token_is_made_for_owner_and_group_and_a_weak_one_is_refused() {
    let dir = folder();
    let token = dir.path().join("token");
    fs::remove_file(&token).unwrap();
    {
        let process = Process::serve(dir.path());
        assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o640);
        let made = fs::read_to_string(&token).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(process.http("GET", "/v1/status", Some(&made), b"").0, 200);
        assert_eq!(process.http("GET", "/v1/status", Some(TOKEN), b"").0, 401);
    }
    for weak in ["", "short\n", "two words of a token"] {
        fs::write(&token, weak).unwrap();
        let said = refusal(&dir, "127.0.0.1:0");
        assert!(said.contains("at least 16 visible") && said.contains("token"), "{said}");
    }
}

#[test]
fn settings_that_cannot_be_read_are_named_at_the_start() {
    let dir = folder();
    let sites = dir.path().join("sites.toml");
    for (text, part) in [
        ("[[study]]\nagreement = 3\n", "line 2"),
        ("[[study]]\nagreement = \"00\"\ndata = \"d\"\n", "64 hexadecimal digits"),
        ("[[study]]\nagrement = \"00\"\n", "agrement"),
    ] {
        fs::write(&sites, text).unwrap();
        let said = refusal(&dir, "127.0.0.1:0");
        assert!(said.contains("sites.toml") && said.contains(part), "{said}");
    }
    fs::remove_file(&sites).unwrap();
    assert!(refusal(&dir, "127.0.0.1:0").contains("sites.toml: cannot be read"));
}
