//! Machines with addresses of their own: network namespaces on one bridge, in a user namespace that needs no rights.
//!
//! Nothing of this machine's own network is touched, and everything is gone with the process that holds it.

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
}

impl Hosts {
    /// So many machines, numbered from 1, each with a loopback interface and an address that the others reach.
    ///
    /// # Errors
    /// This system lets no user make network namespaces, or has no `ip`.
    pub fn new(count: u8) -> Result<Self> {
        let script = "mount -t tmpfs tmpfs /run && mkdir /run/netns && echo ready && exec cat";
        let mut world = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut line = String::new();
        let out = world.stdout.take().context("unshare has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        ensure!(
            line == "ready\n",
            "no user may make network namespaces here: sysctl kernel.unprivileged_userns_clone=1?"
        );
        let hosts = Self { world };
        hosts.ip("link set lo up")?;
        hosts.ip("link add bridge type bridge")?;
        hosts.ip("link set bridge up")?;
        for n in 1..=count {
            hosts.ip(&format!("netns add h{n}"))?;
            hosts.ip(&format!("link add v{n} type veth peer name eth0 netns h{n}"))?;
            hosts.ip(&format!("link set v{n} master bridge up"))?;
            for set in [&format!("addr add {}/24 dev eth0", Self::address(n)), "link set eth0 up", "link set lo up"] {
                hosts.ip(&format!("-n h{n} {set}"))?;
            }
        }
        Ok(hosts)
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
    /// There is no such machine.
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
        let output = self.inside().arg("ip").args(words.split(' ')).output().context("nsenter")?;
        if !output.status.success() {
            bail!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        drop(self.world.stdin.take());
        let _ = self.world.wait();
    }
}
