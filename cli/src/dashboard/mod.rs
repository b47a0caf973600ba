//! `consilium dashboard`: one page on this institution's own machine that shows what its node and its worker know.
//!
//! * [`serve`]: the page and its live state over HTTP, on this machine alone; [`assets`]: the page's files, which are built in;
//! * [`state`]: the document that the browser gets; [`document`]: what of it has changed;
//! * [`base`]: what does not depend on the study that is looked at, [`beside`] the chain; [`study`], [`rounds`], [`spans`], [`arms`]: one
//!   study;
//! * [`egress`]: what left this building; [`fetched`]: models that lie here already; [`absent`], [`missing`]: whose updates are missing;
//!   [`advice`], [`finished`]: what to do now, and with the model of a finished study.
//!
//! It only reads. Whatever changes something is a command that is shown and typed by people.

mod absent;
mod advice;
mod arms;
mod assets;
pub mod base;
mod beside;
mod document;
pub mod egress;
mod fetched;
mod finished;
mod missing;
mod rounds;
mod serve;
mod site;
mod spans;
pub mod state;
pub mod study;
#[cfg(test)]
mod tests;

use crate::{programs::random, signals::Signals};
pub use site::{Options, Site};

use anyhow::{ensure, Context, Result};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves the page until told to stop.
///
/// # Errors
/// The folder is none of an institution's, or the address cannot be listened at.
pub async fn run(options: Options) -> Result<()> {
    let site = Arc::new(options.site()?);
    let at = options.listen;
    ensure!(
        at.ip().is_loopback(),
        "--listen {at}: other machines could reach this address, and the page is not encrypted: give one of this machine alone, such as \
         127.0.0.1:8800, and look at it from another machine by `ssh -L {port}:127.0.0.1:{port}`",
        port = if at.port() == 0 { 8800 } else { at.port() }
    );
    let listener = TcpListener::bind(at).await.with_context(|| {
        format!("--listen {at}: cannot listen there; is another page served there? Give another port, or 0 for any")
    })?;
    let at = listener.local_addr()?;
    let token = hex::encode(random::<16>()?);
    let mut signals = Signals::listen()?;
    out!("{}: http://{at}/{token}/", site.name);
    out!("  for people at this machine alone: whoever has this address reads what {} knows; Ctrl-C ends it", site.name);
    tokio::select! {
        ended = serve::serve(listener, site, token) => ended,
        () = signals.any() => Ok(()),
    }
}
