//! The door of the real process: who is let in, what is taken, where it stands.
#![allow(clippy::unwrap_used)]

mod support;

use codec::{Decode, Encode};
use consilium_primitives::{
    duty::{MAX_ORDERS, PROTOCOL_VERSION},
    DutyKind, DutyReply, DutyRequest, DutyState,
};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};
use support::{answer, command, order, prepare, unscaled, Door, Process, TOKEN};

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
    let empty = DutyRequest { version: PROTOCOL_VERSION, specs: vec![], orders: vec![], ahead: vec![], masked: vec![] }
        .encode();
    for (method, path) in [("PUT", "/v1/duties"), ("GET", "/v1/status"), ("GET", "/metrics"), ("GET", "/elsewhere")] {
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
fn figures_tell_what_was_done() {
    let dir = folder();
    let process = Process::serve(dir.path());
    let spec = unscaled(1);
    let order = order(&spec, DutyKind::Init, 0, None);
    let request = DutyRequest {
        version: PROTOCOL_VERSION,
        specs: vec![spec.canonical().unwrap()],
        orders: vec![order],
        ahead: vec![],
        masked: vec![],
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !matches!(answer(process.port, &request).answers[0].state, DutyState::Done(_)) {
        assert!(Instant::now() < until, "it is not done");
        std::thread::sleep(Duration::from_millis(20));
    }
    let figures = || {
        let (status, text) = process.http("GET", "/metrics", Some(TOKEN), b"");
        assert_eq!(status, 200);
        String::from_utf8(text).unwrap()
    };
    // counted a moment after it is answered
    let mut text = figures();
    while !text.contains("{end=\"done\",kind=\"init\"} 1") {
        assert!(Instant::now() < until, "{text}");
        text = figures();
    }
    for line in [
        "consilium_worker_duties_worked_total{end=\"done\",kind=\"init\"} 1",
        "consilium_worker_duty_seconds_count{kind=\"init\"} 1",
        "consilium_worker_duties{kind=\"train\",state=\"running\"} 0",
        "consilium_worker_held 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
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
        DutyRequest { version, specs: vec![], orders: vec![order; orders], ahead: vec![], masked: vec![] }.encode()
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
    assert_eq!(put(&vec![0; 9 << 20]).0, 413, "a body beyond the limit");
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

/// Files that a process has open.
fn open_files(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}

#[test]
fn callers_without_a_token_take_no_more_than_a_few_descriptors_and_hold_up_nobody() {
    let dir = folder();
    let process = Process::serve(dir.path());
    let before = open_files(&process);
    // the connection of a node, which stays
    let mut node = Alive::new(&process);
    assert_eq!(node.status(), 200);
    let mut silent: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(("127.0.0.1", process.port)).unwrap()).collect();
    assert_eq!(process.status()["held"], false);
    assert_eq!(node.status(), 200, "who has shown the token is not sent away");
    assert!(open_files(&process) <= before + 70, "{before}, then {}", open_files(&process));
    // half a head, and no more: the last one has been open longest when the time is over
    let mut last = silent.pop().unwrap();
    last.write_all(b"PUT /v1/duties HTTP/1.1\r\n").unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    // closed, whatever is said before
    let _ = last.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(process.status()["held"], false);
}

/// A connection that stays.
struct Alive(TcpStream);

impl Alive {
    fn new(process: &Process) -> Self {
        Self(TcpStream::connect(("127.0.0.1", process.port)).unwrap())
    }

    /// Status and body.
    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\n\r\n"
        );
        self.0.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let (mut head, mut one) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut one).unwrap();
            head.push(one[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    fn status(&mut self) -> u16 {
        self.ask("GET", "/v1/status", b"").0
    }
}

#[test]
fn a_worker_that_can_open_no_file_fails_no_duty() {
    let dir = folder();
    prepare(dir.path(), &support::demo_csv(1));
    let process = Process::serve(dir.path());
    let spec = unscaled(1);
    let base = support::root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    let train = order(&spec, DutyKind::Train, 1, Some(base));
    let request = DutyRequest {
        version: PROTOCOL_VERSION,
        specs: vec![spec.canonical().unwrap()],
        orders: vec![train.clone()],
        ahead: vec![],
        masked: vec![],
    };
    let limit = |files: &str| {
        let pid = process.id().to_string();
        let done = std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}")]).status();
        assert!(done.unwrap().success());
    };
    let mut node = Alive::new(&process);
    assert_eq!(node.status(), 200);
    // nothing more can be opened, and longer than a data file may be missing
    limit("3:1024");
    let end = Instant::now() + Duration::from_secs(13);
    while Instant::now() < end {
        let (status, body) = node.ask("PUT", "/v1/duties", &request.encode());
        assert_eq!(status, 200);
        let reply = DutyReply::decode(&mut &body[..]).unwrap();
        assert!(!matches!(reply.answers[0].state, DutyState::Failed(_) | DutyState::Done(_)), "{reply:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("Too many open files"), "{log}");
    limit("1024:1024");
    process.done(&spec, &train);
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
    for open in [0o644, 0o641, 0o660, 0o602] {
        fs::set_permissions(&token, fs::Permissions::from_mode(open)).unwrap();
        let said = refusal(&dir, "127.0.0.1:0");
        assert!(said.contains(&format!("mode {open:o}")) && said.contains("make another one"), "{said}");
    }
    for private in [0o600, 0o440] {
        fs::set_permissions(&token, fs::Permissions::from_mode(private)).unwrap();
        drop(Process::serve(dir.path()));
    }
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
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
