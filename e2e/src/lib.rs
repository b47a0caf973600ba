//! Starts the real binaries and watches what they leave.
//!
//! The binaries are those beside the test's own executable: `cargo build --release --workspace --bins` makes them. What
//! a run leaves is told by a mark in the environment, which every process it starts inherits: whatever carries the
//! mark after the run has ended is an orphan.

pub mod clock;
pub mod far;
pub mod hosts;
pub mod lies;
pub mod page;
pub mod runtime;
pub mod schema;

use anyhow::{bail, Context, Result};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Name of the mark in the environment.
const MARK: &str = "CONSILIUM_E2E_MARK";

/// The folder of this workspace's binaries.
///
/// # Errors
/// The test's own path is unknown.
pub fn bin_dir() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let deps = me.parent().context("no parent folder")?;
    Ok(deps.parent().context("no parent folder")?.to_path_buf())
}

/// A free port of the loopback interface, below those that outgoing connections and local networks are given.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    const PORTS: u32 = 8_000;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
    let mut ports = (0..PORTS).filter_map(|at| u16::try_from(12_000 + first.wrapping_add(at) % PORTS).ok());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).context("no free port on 127.0.0.1")
}

/// The folder of this workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new(".")).to_path_buf()
}

/// One call of `consilium`. Dropping it kills it.
pub struct Run {
    child: Child,
    mark: String,
    out: PathBuf,
    err: PathBuf,
    began: Instant,
}

/// What a call has left.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Wall time.
    pub took: Duration,
    /// Process ids that were still there one second later.
    pub orphans: Vec<i32>,
}

impl Run {
    /// Starts `consilium` with these arguments. Its output goes to files in `scratch`.
    ///
    /// # Errors
    /// The binary is not there.
    pub fn start(scratch: &Path, arguments: &[&str]) -> Result<Self> {
        Self::with_liars(scratch, arguments, "")
    }

    /// [`Run::start`], with liars among the sites (see [`lies`]).
    ///
    /// # Errors
    /// A binary is not there, or a folder cannot be made.
    pub fn with_liars(scratch: &Path, arguments: &[&str], liars: &str) -> Result<Self> {
        let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
        let program = bin_dir()?.join("consilium");
        let mark = format!("{}-{}", std::process::id(), scratch.display());
        let mut command = Command::new(&program);
        command.args(arguments);
        if !liars.is_empty() {
            let folder = scratch.join("programs");
            lies::programs(&folder)?;
            command.arg("--bin-dir").arg(folder);
        }
        let child = command
            .env(lies::LIARS, liars)
            .current_dir(workspace())
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, mark, out, err, began: Instant::now() })
    }

    /// Sends a signal to `consilium` alone, as `kill` would.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Process ids of this call and of everything it has started.
    pub fn processes(&self) -> Vec<i32> {
        marked(&self.mark)
    }

    /// The process among them that runs this program for this site.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, program: &str, site: &str) -> Result<Pid> {
        let is = |id: &i32| {
            let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            command.split('\0').next().is_some_and(|name| name.ends_with(program)) && command.contains(site)
        };
        let found = self.processes().into_iter().find(is);
        found.map(Pid::from_raw).with_context(|| format!("no {program} of {site} runs"))
    }

    /// Addresses on which this call and everything it has started listen for TCP connections.
    pub fn listening(&self) -> BTreeSet<SocketAddr> {
        let sockets: BTreeSet<String> = self.processes().into_iter().flat_map(sockets_of).collect();
        listeners().into_iter().filter(|(_, inode)| sockets.contains(inode)).map(|(address, _)| address).collect()
    }

    /// Waits for the end, and gives all addresses on which this call and everything it has started ever listened.
    ///
    /// # Errors
    /// It does not end within `limit`.
    pub fn listened(&mut self, limit: Duration) -> Result<BTreeSet<SocketAddr>> {
        let end = Instant::now() + limit;
        let mut seen = BTreeSet::new();
        while self.child.try_wait()?.is_none() {
            seen.extend(self.listening());
            if Instant::now() > end {
                bail!("it runs longer than {limit:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(seen)
    }

    /// What it has said so far on standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Waits until a condition holds.
    ///
    /// # Errors
    /// It does not within `limit`, or the call ends before.
    pub fn until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        while !condition(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended before ({status}):\n{}", self.said());
            }
            if Instant::now() > end {
                bail!("not within {limit:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It does not end within `limit`; it is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<Outcome> {
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                bail!("it runs longer than {limit:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let took = self.began.elapsed();
        // a process that was told to end may still be on its way out of the process table
        let grace = Instant::now() + Duration::from_secs(1);
        while !self.processes().is_empty() && Instant::now() < grace {
            std::thread::sleep(Duration::from_millis(50));
        }
        let orphans = self.processes();
        Ok(Outcome {
            status,
            stdout: fs::read_to_string(&self.out)?,
            stderr: fs::read_to_string(&self.err)?,
            took,
            orphans,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // its children ask the kernel to die with it
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Those of these addresses on which somebody listens.
pub fn still_listening(addresses: &BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
    listeners().into_iter().map(|(address, _)| address).filter(|address| addresses.contains(address)).collect()
}

/// Lock files below a folder, each with whether somebody still holds it. A database's is called `lock` or `LOCK`.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn lock_files(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(lock_files(&path)?);
        } else if path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("lock")) {
            let file = File::options().read(true).write(true).open(&path)?;
            let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err();
            found.push((path, held));
        }
    }
    Ok(found)
}

/// A process's open TCP connections: its own end, and the other.
pub fn connections(process: Pid) -> BTreeSet<(SocketAddr, SocketAddr)> {
    const ESTABLISHED: &str = "01";
    let own: BTreeSet<String> = sockets_of(process.as_raw()).into_iter().collect();
    tcp(ESTABLISHED).into_iter().filter(|socket| own.contains(&socket.inode)).map(|s| (s.local, s.remote)).collect()
}

/// All listening TCP sockets of this machine, with their inodes.
fn listeners() -> Vec<(SocketAddr, String)> {
    const LISTEN: &str = "0A";
    tcp(LISTEN).into_iter().map(|socket| (socket.local, socket.inode)).collect()
}

struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    inode: String,
}

/// All TCP sockets of this machine in one state.
fn tcp(state: &str) -> Vec<Socket> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, is, _, _, _, _, _, inode, ..] = fields.as_slice() else { continue };
            if let (true, Some(local), Some(remote)) = (*is == state, address(local), address(remote)) {
                found.push(Socket { local, remote, inode: (*inode).to_owned() });
            }
        }
    }
    found
}

/// An address as the kernel's tables write it: hexadecimal words of 32 bits in this machine's byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if host.len() == 8 {
        return Some((Ipv4Addr::from(word(0)?), port).into());
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
    Some((Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?), port).into())
}

/// Inodes of a process's sockets.
fn sockets_of(process: i32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect()
}

/// Live processes whose environment carries the mark.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|id| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}
