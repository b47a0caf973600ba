//! The line of one machine to others that lie far away, and what measures such lines: see `consilium_e2e::far`.
//!
//!     far-line is DEVICE FOLDER ADDRESS MILLISECONDS LOSS SEED      the line, until standard input ends
//!     far-line answers ADDRESS:PORT                                 sends back what comes, by TCP and by UDP
//!     far-line asks ADDRESS:PORT PACKETS                            of so many packets: those that came back, and the milliseconds

use anyhow::{bail, Context, Result};
use consilium_e2e::far::{device, run, Line};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Between two packets that ask.
const PAUSE: Duration = Duration::from_millis(1);
/// What has not come back so long after the last one was sent is lost.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let shown: Vec<&str> = words.iter().map(String::as_str).collect();
    match shown[..] {
        ["is", name, folder, address, _, _, _] => {
            run(&device(name)?, Path::new(folder), address.parse()?, Line::read(&words[4..])?)
        }
        ["answers", at] => answers(at),
        ["asks", at, packets] => asks(at, packets.parse().context("how many packets is a whole number")?),
        _ => bail!("far-line is DEVICE FOLDER ADDRESS MILLISECONDS LOSS SEED, or answers ADDRESS:PORT, or asks ADDRESS:PORT PACKETS"),
    }
}

fn answers(at: &str) -> Result<()> {
    let (socket, listener) = (UdpSocket::bind(at)?, TcpListener::bind(at)?);
    thread::spawn(move || {
        let mut packet = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let _ = socket.send_to(&packet[..length], from);
        }
    });
    println!("ready");
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 {
            stream.write_all(&byte)?;
        }
    }
    Ok(())
}

/// Prints, as JSON, how many packets came back, how long each was away, and the same of connections that carry one byte there and back.
fn asks(at: &str, packets: u32) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(at)?;
    let sends = socket.try_clone()?;
    let began = Instant::now();
    // each packet has the moment at which it was sent
    thread::spawn(move || {
        for number in 0..packets {
            thread::sleep((began + PAUSE * number).saturating_duration_since(Instant::now()));
            let _ = sends.send(&(began.elapsed().as_nanos() as u64).to_le_bytes());
        }
    });
    let end = began + PAUSE * packets + PATIENCE;
    let (mut away, mut packet) = (Vec::new(), [0; 8]);
    while away.len() < packets as usize && Instant::now() < end {
        socket.set_read_timeout(Some(end.saturating_duration_since(Instant::now()).max(PAUSE)))?;
        if socket.recv(&mut packet).is_ok_and(|length| length == packet.len()) {
            let sent = Duration::from_nanos(u64::from_le_bytes(packet));
            away.push(millis(began.elapsed().saturating_sub(sent)));
        }
    }
    let mut connections = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        connections.push(millis(began.elapsed()));
    }
    println!("{}", serde_json::json!({ "sent": packets, "away": away, "connections": connections }));
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
