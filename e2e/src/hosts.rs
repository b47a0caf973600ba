//! Machines with addresses of their own: network namespaces on one bridge, or at the ends of lines that delay and lose, in a user
//! namespace that needs no rights.
//!
//! Nothing of this machine's own network is touched, and everything is gone with the process that holds it.

use crate::{bin_dir, far::Line};
use anyhow::{bail, ensure, Context, Result};
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The first three bytes of the machines' addresses.
const NETWORK: &str = "10.77.0";

/// Machines beside each other. Dropping them takes them away; programs that still run there must be ended before.
pub struct Hosts {
    /// Holds the namespaces, and ends when its input does.
    world: Child,
    /// The machines' lines, where they lie far apart and this system cannot make them so; each ends when its input does.
    lines: Vec<Child>,
    /// What makes them lie far apart.
    by: &'static str,
}

impl Hosts {
    /// So many machines, numbered from 1, each with a loopback interface and an address that the others reach.
    ///
    /// # Errors
    /// This system lets no user make network namespaces, or has no `ip`.
    pub fn new(count: u8) -> Result<Self> {
        let hosts = Self::apart(count)?;
        hosts.bridge(count)?;
        Ok(hosts)
    }

    /// The same, with this line from each to each. What makes it, [`Hosts::by`] says: the system, where it has `netem`, otherwise a
    /// program of ours on each machine.
    ///
    /// # Errors
    /// As of [`Hosts::new`]; or this system has neither `netem` nor tun devices.
    pub fn far(count: u8, line: Line) -> Result<Self> {
        let mut hosts = Self::apart(count)?;
        if hosts.tc("qdisc add dev lo root netem delay 1ms").is_ok() {
            hosts.tc("qdisc del dev lo root")?;
            hosts.by = "netem";
            hosts.bridge(count)?;
            let (each_way, loss) = ((line.round_trip / 2).as_micros(), line.loss * 100.0);
            for n in 1..=count {
                hosts.tc(&format!(
                    "-n h{n} qdisc add dev eth0 root netem delay {each_way}us loss {loss}% limit 100000"
                ))?;
            }
            return Ok(hosts);
        }
        hosts.by = "a relay over tun devices";
        for n in 1..=count {
            let mut end = hosts.on(n, bin_dir()?.join("far-line"));
            end.args(["is", "eth0", "/run", &Self::address(n)]).args(line.words());
            let mut end = end.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("far-line")?;
            let ready = ready(&mut end);
            hosts.lines.push(end);
            ready.context("a machine has no line to the others")?;
            hosts.address_and_up(n)?;
        }
        Ok(hosts)
    }

    /// What makes machines lie far apart, in words; of those beside each other that nothing does.
    #[must_use]
    pub fn by(&self) -> &'static str {
        self.by
    }

    /// So many machines that reach nobody.
    fn apart(count: u8) -> Result<Self> {
        let script = "mount -t tmpfs tmpfs /run && mkdir /run/netns && echo ready && exec cat";
        let mut world = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        ready(&mut world)
            .context("no user may make network namespaces here: sysctl kernel.unprivileged_userns_clone=1?")?;
        let hosts = Self { world, lines: Vec::new(), by: "nothing" };
        hosts.ip("link set lo up")?;
        for n in 1..=count {
            hosts.ip(&format!("netns add h{n}"))?;
            hosts.ip(&format!("-n h{n} link set lo up"))?;
        }
        Ok(hosts)
    }

    /// Joins all machines by one bridge.
    fn bridge(&self, count: u8) -> Result<()> {
        self.ip("link add bridge type bridge")?;
        self.ip("link set bridge up")?;
        for n in 1..=count {
            self.ip(&format!("link add v{n} type veth peer name eth0 netns h{n}"))?;
            self.ip(&format!("link set v{n} master bridge up"))?;
            self.address_and_up(n)?;
        }
        Ok(())
    }

    fn address_and_up(&self, n: u8) -> Result<()> {
        self.ip(&format!("-n h{n} addr add {}/24 dev eth0", Self::address(n)))?;
        self.ip(&format!("-n h{n} link set eth0 up"))
    }

    /// The address of a machine.
    #[must_use]
    pub fn address(n: u8) -> String {
        format!("{NETWORK}.{n}")
    }

    /// A command that runs on a machine. Its process is that of the program itself.
    #[must_use]
    pub fn on(&self, n: u8, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.inside();
        command.args(["ip", "netns", "exec", &format!("h{n}")]).arg(program);
        command
    }

    /// Parts a machine from the others, or joins it to them again.
    ///
    /// # Errors
    /// There is no such machine, or it has a line of its own.
    pub fn cable(&self, n: u8, plugged: bool) -> Result<()> {
        self.ip(&format!("link set v{n} {}", if plugged { "up" } else { "down" }))
    }

    /// Parts two machines from each other, or joins them again; both reach all others all the while. What they have under way is lost
    /// in silence, as where a line between them fails.
    ///
    /// # Errors
    /// There is no such machine, or they are parted (joined) already.
    pub fn part(&self, one: u8, other: u8, parted: bool) -> Result<()> {
        for (here, there) in [(one, other), (other, one)] {
            let what = if parted { "add" } else { "del" };
            self.ip(&format!("-n h{here} route {what} blackhole {}/32", Self::address(there)))?;
        }
        Ok(())
    }

    /// Puts a folder on a disk of its own, of so many MiB, for all programs that are started from now on. Others see what is on it by
    /// [`Hosts::seen`].
    ///
    /// # Errors
    /// The folder is not there, or holds more.
    pub fn disk(&self, folder: &Path, mebibytes: u32) -> Result<()> {
        let script = "kept=$(mktemp -d) && cp -a \"$1/.\" $kept && mount -t tmpfs -o \"size=$2m\" tmpfs \"$1\" && cp -a $kept/. \"$1\" \
                      && rm -r $kept";
        self.shell(script, folder, &mebibytes.to_string())
    }

    /// Fills the disk of a folder that [`Hosts::disk`] has put on one, or frees it again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn fill(&self, folder: &Path, full: bool) -> Result<()> {
        let script = match full {
            true => "dd if=/dev/zero bs=1M of=\"$1/full\" 2>/dev/null; dd if=/dev/zero bs=1 of=\"$1/full\" 2>/dev/null oflag=append \
                     conv=notrunc; test -s \"$1/full\"",
            false => "rm \"$1/full\"",
        };
        self.shell(script, folder, "")
    }

    /// Runs a script within the namespaces: `$1` is the folder, `$2` the other word.
    fn shell(&self, script: &str, folder: &Path, word: &str) -> Result<()> {
        let output =
            self.inside().args(["sh", "-c", script, "sh"]).arg(folder).arg(word).output().context("nsenter")?;
        ensure!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Where a file lies for those who are not on one of the machines.
    #[must_use]
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.world.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.world.id().to_string(),
            "--user",
            "--net",
            "--mount",
            "--preserve-credentials",
        ]);
        command
    }

    fn ip(&self, words: &str) -> Result<()> {
        self.does("ip", words)
    }

    fn tc(&self, words: &str) -> Result<()> {
        self.does("tc", words)
    }

    fn does(&self, program: &str, words: &str) -> Result<()> {
        let output = self.inside().arg(program).args(words.split(' ')).output().context("nsenter")?;
        if !output.status.success() {
            bail!("{program} {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// A program that runs beside a test, for as long as this is held.
pub struct Program(Child);

impl Program {
    /// Starts it, and waits until it says that it is ready.
    ///
    /// # Errors
    /// It cannot be started, or ends before.
    pub fn ready(command: &mut Command) -> Result<Self> {
        let mut program = Self(command.stdout(Stdio::piped()).spawn().context("a program cannot be started")?);
        ready(&mut program.0)?;
        Ok(program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a program says that it is ready.
fn ready(program: &mut Child) -> Result<()> {
    let mut line = String::new();
    BufReader::new(program.stdout.take().context("no output")?).read_line(&mut line)?;
    ensure!(line == "ready\n", "it ended before it was ready");
    Ok(())
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for mut held in self.lines.drain(..) {
            drop(held.stdin.take());
            let _ = held.wait();
        }
        drop(self.world.stdin.take());
        let _ = self.world.wait();
    }
}
