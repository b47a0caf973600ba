//! The real program, and what is said to it over HTTP.

use super::{answer, command, Door, TOKEN};
use consilium_primitives::{DutyReply, DutyRequest};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The real program.
pub struct Process {
    child: Child,
    pub port: u16,
}

impl Drop for Process {
    /// As `kill -9`.
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Door for Process {
    fn answer(&self, request: &DutyRequest) -> DutyReply {
        answer(self.port, request)
    }
}

impl Process {
    /// `ml-worker serve` on folders made by [`prepare`]; its log goes to `log`.
    pub fn serve(dir: &Path) -> Self {
        Self::serve_with(dir, |_| ())
    }

    /// The same, with something about its command changed.
    pub fn serve_with(dir: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
        let mut command = command(dir, &format!("127.0.0.1:{port}"));
        change(&mut command);
        let child = command.stderr(log.try_clone().unwrap()).stdout(log).stdin(Stdio::null()).spawn().unwrap();
        let process = Self { child, port };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "{}", fs::read_to_string(dir.join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    /// Status and body.
    pub fn http(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, Vec<u8>) {
        self.raw(method, path, &token.map_or_else(String::new, authorization), body)
    }

    /// Status and body, with header lines as given.
    pub fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        raw(self.port, method, path, headers, body)
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn status(&self) -> serde_json::Value {
        let (status, body) = self.http("GET", "/v1/status", Some(TOKEN), b"");
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }
}

pub fn authorization(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// What listens at a port answers this: status and body, with header lines as given.
pub fn raw(port: u16, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("{method} {path} HTTP/1.0\r\n{headers}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // the answer to a body that is too long may come before all of it was sent
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[..split]).split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_off(split + 4))
}
