//! A line between machines that lie far apart: what one sends comes to the other later, or not at all.
//!
//! Each machine of [`crate::hosts`] has one program of these, `far-line`, which is its network: packets that the machine sends come out of
//! a tun device, are dropped with a stated probability, or wait for half a round trip and go by a socket of the file system, which is
//! there in all the machines' namespaces, to the program of the machine that they are for, which puts them into its own device. Nothing
//! is reordered, and the line is as wide as the machine is fast.

use anyhow::{bail, ensure, Context, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    net::Ipv4Addr,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Longest packet of a line, in bytes, as of an Ethernet.
pub const LONGEST: usize = 1_500;
/// The device that the system makes tun devices with.
const MAKER: &str = "/dev/net/tun";
/// `TUNSETIFF` of `linux/if_tun.h`: gives the open file a device of this name.
const SET: libc::Ioctl = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI` of the same file: packets of IP, with nothing before them.
const PLAIN: i16 = 0x1001;

/// How far apart machines lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// There and back; half of it each way.
    pub round_trip: Duration,
    /// The share of packets that are lost, each way by itself: 0.001 is one in a thousand.
    pub loss: f64,
    /// Which packets they are follows from it.
    pub seed: u64,
}

impl Line {
    /// A line as the words of a command line have it: round trip in milliseconds, loss, seed.
    ///
    /// # Errors
    /// A word is no number, or the loss no share.
    pub fn read(words: &[String]) -> Result<Self> {
        let [round_trip, loss, seed] = words else { bail!("a line is MILLISECONDS LOSS SEED") };
        let line = Self {
            round_trip: Duration::from_millis(round_trip.parse().context("the round trip is in whole milliseconds")?),
            loss: loss.parse().context("the loss is a share from 0 to 1")?,
            seed: seed.parse().context("the seed is a whole number")?,
        };
        ensure!((0.0..=1.0).contains(&line.loss), "the loss is a share from 0 to 1, and not {loss}");
        Ok(line)
    }

    /// The words that [`Line::read`] reads.
    #[must_use]
    pub fn words(&self) -> [String; 3] {
        [self.round_trip.as_millis().to_string(), self.loss.to_string(), self.seed.to_string()]
    }

    /// Whether the packet of this number that a machine sends is lost: the same ones for the same seed.
    fn loses(&self, machine: &str, packet: u64) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&packet.to_le_bytes()).update(machine.as_bytes());
        let mut drawn = [0; 8];
        hasher.finalize_xof().fill(&mut drawn);
        // 53 bits, as many as such a number holds
        ((u64::from_le_bytes(drawn) >> 11) as f64) < self.loss * (1u64 << 53) as f64
    }
}

/// Where the program of a machine takes what comes from others.
fn door(folder: &Path, address: Ipv4Addr) -> PathBuf {
    folder.join(address.to_string())
}

/// To whom a packet is sent; none where it is not one of IP version 4.
fn receiver(packet: &[u8]) -> Option<Ipv4Addr> {
    let [first, .., a, b, c, d] = packet.get(..20)? else { return None };
    (first >> 4 == 4).then(|| Ipv4Addr::new(*a, *b, *c, *d))
}

/// Makes a tun device of this name in this process' network namespace. It is there for as long as the file is open.
///
/// # Errors
/// This user may not, or the name is too long or taken.
pub fn device(name: &str) -> Result<File> {
    /// `struct ifreq` of `linux/if.h`, as this call reads it.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    let file = OpenOptions::new().read(true).write(true).open(MAKER).with_context(|| {
        format!("{MAKER} cannot be opened: the machine needs it, or netem (`modprobe sch_netem`), for lines of a stated length")
    })?;
    let mut request = Request { name: [0; 16], flags: PLAIN, rest: [0; 22] };
    ensure!(name.len() < request.name.len(), "{name}: the name of a device has fifteen characters at most");
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    #[allow(unsafe_code)] // no library that is here already gives a file a device
    // SAFETY: the file is open, and the call reads and writes a `struct ifreq`, which lives until it is over.
    let set = unsafe { libc::ioctl(file.as_raw_fd(), SET, &raw mut request) };
    ensure!(set == 0, "no device {name} can be made: {}", std::io::Error::last_os_error());
    Ok(file)
}

/// Is the line of the machine of this address, whose device this is, until standard input ends. Says `ready` when it is one.
///
/// # Errors
/// The socket cannot be made, or the device has gone.
pub fn run(device: &File, folder: &Path, address: Ipv4Addr, line: Line) -> Result<()> {
    let own = door(folder, address);
    let _ = fs::remove_file(&own);
    let socket = UnixDatagram::bind(&own).with_context(|| own.display().to_string())?;
    let (mut from, mut to, sender) = (device.try_clone()?, device.try_clone()?, socket.try_clone()?);
    let (under_way, due) = mpsc::channel::<(Instant, PathBuf, Vec<u8>)>();
    let (late, lossy) = (line.round_trip / 2, address.to_string());
    let (fails, failed) = mpsc::channel::<anyhow::Error>();
    let folder = folder.to_path_buf();
    let broken = fails.clone();
    thread::spawn(move || {
        let (mut packet, mut number) = ([0; LONGEST + 64], 0);
        loop {
            let length = match from.read(&mut packet) {
                Ok(length) => length,
                Err(error) => return broken.send(anyhow::Error::from(error).context("the device cannot be read")),
            };
            let Some(receiver) = receiver(&packet[..length]) else { continue };
            number += 1;
            if !line.loses(&lossy, number) {
                let _ = under_way.send((Instant::now() + late, door(&folder, receiver), packet[..length].to_vec()));
            }
        }
    });
    thread::spawn(move || {
        for (due, door, packet) in due {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // a machine that is not there, or does not listen, gets nothing
            let _ = sender.send_to(&packet, door);
        }
    });
    let broken = fails.clone();
    thread::spawn(move || {
        let mut packet = [0; LONGEST + 64];
        loop {
            match socket.recv(&mut packet).and_then(|length| to.write(&packet[..length])) {
                Ok(_) => {}
                // the device is down, or what came is none of its packets
                Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return broken.send(anyhow::Error::from(error).context("the device cannot be written")),
            }
        }
    });
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        // whoever has started this is gone, and with it the machine
        std::process::exit(0);
    });
    println!("ready");
    Err(failed.recv().context("a line without threads")?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_many_packets_are_lost_as_was_asked_and_the_same_ones_for_the_same_seed() {
        let line = Line { round_trip: Duration::from_millis(50), loss: 0.02, seed: 7 };
        let lost = |line: Line, of: &str| (0..50_000).filter(|n| line.loses(of, *n)).collect::<Vec<u64>>();
        let first = lost(line, "10.0.0.1");
        // 1,000 are expected; five standard deviations are 157
        assert!(first.len().abs_diff(1_000) < 157, "{}", first.len());
        assert_eq!(first, lost(line, "10.0.0.1"));
        assert_ne!(first, lost(line, "10.0.0.2"));
        assert_ne!(first, lost(Line { seed: 8, ..line }, "10.0.0.1"));
        assert_eq!(lost(Line { loss: 0.0, ..line }, "10.0.0.1").len(), 0);
        assert_eq!(lost(Line { loss: 1.0, ..line }, "10.0.0.1").len(), 50_000);
    }

    #[test]
    fn a_line_is_read_as_it_is_written_and_wrong_words_are_refused() {
        let line = Line { round_trip: Duration::from_millis(100), loss: 0.001, seed: 3 };
        assert_eq!(Line::read(&line.words()).unwrap(), line);
        for wrong in [&["50", "0.1"][..], &["50", "1.5", "1"], &["50 ms", "0", "1"], &["50", "0", "-1"]] {
            let words: Vec<String> = wrong.iter().map(|word| (*word).to_owned()).collect();
            assert!(Line::read(&words).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_packets_receiver_is_read_where_the_protocol_has_it() {
        let mut packet = [0; 40];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 77, 0, 1]);
        packet[16..20].copy_from_slice(&[10, 77, 0, 2]);
        assert_eq!(receiver(&packet), Some(Ipv4Addr::new(10, 77, 0, 2)));
        assert_eq!(receiver(&packet[..19]), None, "cut off");
        packet[0] = 0x60;
        assert_eq!(receiver(&packet), None, "version 6");
    }
}
