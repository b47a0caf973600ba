//! Machines with addresses of their own: network namespaces on one bridge, in a user namespace that needs no rights.
//!
//! Nothing of this machine's own network is touched, and everything is gone with the process that holds it.

use anyhow::{bail, ensure, Context, Result};
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
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
