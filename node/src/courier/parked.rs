//! Requests that come a moment too early: for what this node sees as not final yet, or has not heard of yet.
//!
//! They wait here, if their sender has said that it waits, and are judged again whenever the chain has something new to say. It
//! is the same judge as for every other request ([`Server::judge`]), so nothing is given a moment earlier than without
//! waiting; only the asking again falls away.

use super::serve::{Answer, Job, Off, Server};
use sc_network_types::PeerId;
use std::time::Instant;

impl Server {
    /// Admits a request, at once or within the time that its sender waits. No longer than
    /// [`LONGEST_PATIENCE`](super::wire::LONGEST_PATIENCE).
    ///
    /// # Errors
    /// What the peer gets instead.
    pub async fn decide(&self, request: &[u8], peer: PeerId) -> Result<Job, Answer> {
        let heard = self.hear(request, peer, Instant::now())?;
        // subscribed before it is judged, so that nothing is missed between
        let (mut news, mut freed) = (self.news(), self.freed());
        let waits = |off: &Off| matches!(off, Off::NotYet { here: true }) && !heard.asked.patience().is_zero();
        let mut off = match self.judge(&heard, Instant::now()) {
            Ok(job) => return Ok(job),
            Err(off) if waits(&off) => off,
            Err(off) => return Err(self.put_off(&heard, off)),
        };
        let Some(_place) = self.parking.take(peer) else { return Err(self.put_off(&heard, off)) };
        let until = tokio::time::Instant::now() + heard.asked.patience();
        loop {
            let more = tokio::select! {
                told = news.changed() => told.is_ok(),
                // it may have it by now, and is in the line for a place
                told = freed.changed(), if matches!(off, Off::Crowded) => told.is_ok(),
                () = tokio::time::sleep_until(until) => false,
            };
            if !more {
                return Err(self.put_off(&heard, off));
            }
            off = match self.judge(&heard, Instant::now()) {
                Ok(job) => return Ok(job),
                Err(still @ (Off::Crowded | Off::NotYet { here: true })) => still,
                Err(off) => return Err(self.put_off(&heard, off)),
            };
        }
    }
}
