//! Connections to the door, no more than so many. Anyone on this machine can open some, and each takes one of the descriptors
//! that trainings need for their files.

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::AbortHandle};

/// Most connections at once: a node needs one, and people's tools a few.
const MOST: usize = 64;
/// For so long a connection may wait with a request's head. A node asks again with each block.
const HEAD: Duration = Duration::from_secs(10);
/// After an error in taking a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a connection has shown the token.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Open connections, in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<BTreeMap<u64, (Known, AbortHandle)>>>);

impl Connections {
    /// Serves them, for ever.
    pub async fn serve(self, listener: TcpListener, app: Router) {
        for number in 0u64.. {
            let stream = loop {
                match listener.accept().await {
                    Ok((stream, _)) => break stream,
                    Err(error) => {
                        tracing::warn!("a connection cannot be taken: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            };
            self.make_room();
            let known = Known::default();
            let service = TowerToHyperService::new(app.clone().layer(Extension(known.clone())));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            let mut all = self.0.lock();
            let open = self.clone();
            let task = tokio::spawn(async move {
                // what a peer does wrong ends its connection, and is nobody else's business
                let _ = connection.await;
                open.0.lock().remove(&number);
            });
            all.insert(number, (known, task.abort_handle()));
        }
    }

    /// Where there are as many as may be, the oldest goes that has not shown the token; where all have, the oldest.
    fn make_room(&self) {
        let mut all = self.0.lock();
        while all.len() >= MOST {
            let unknown = all.iter().find(|(_, (known, _))| !known.0.load(Ordering::Relaxed));
            let Some(oldest) = unknown.or_else(|| all.iter().next()).map(|(number, _)| *number) else { return };
            if let Some((_, task)) = all.remove(&oldest) {
                task.abort();
            }
        }
    }
}
