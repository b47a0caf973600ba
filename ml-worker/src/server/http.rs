//! The door: loopback only, with a token.

use super::{
    connections::{Connections, Known},
    misconfigured::Misconfigured,
    Worker,
};
use crate::site::{Blobs, Home};
use anyhow::{anyhow, bail, Context, Result};
use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, Extension, Path, Request, State},
    http::{header, HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, put},
    Json, Router,
};
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};
use tokio::signal::unix::{signal, SignalKind};

/// Longest request: as many specs as there can be duties, and what as many sums of the largest studies need beyond their orders.
const MAX_BODY: usize = 8 << 20;
/// For so long a question whether something was finished waits until something is.
const UNCHANGED: Duration = Duration::from_secs(25);
/// Shortest token.
const MIN_TOKEN: usize = 16;
/// Mode of the token's file: the node's group may read it, nobody else. And what no token may have: leave for others, or for
/// the group to write.
const TOKEN: u32 = 0o640;
const NOT_TOKEN: u32 = 0o027;

/// Where a worker's things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The worker's own folder.
    pub dir: PathBuf,
    /// The blob store, shared with the node.
    pub blobs: PathBuf,
    /// Address to listen on, of this machine.
    pub listen: SocketAddr,
    /// File of the token that the node shows; made where there is none.
    pub token_file: PathBuf,
    /// `sites.toml`.
    pub sites: PathBuf,
    /// Whether what follows a merge is done before the merge is attested.
    pub ahead: bool,
}

#[derive(Clone)]
struct Door {
    worker: Arc<Worker>,
    token: Arc<str>,
}

/// Serves until told to stop.
///
/// # Errors
/// A folder, file or address that cannot be used.
pub async fn serve(settings: Settings) -> Result<()> {
    if !settings.listen.ip().is_loopback() {
        let wrong =
            anyhow!("--listen {}: must be an address of this machine alone, as 127.0.0.1:8601", settings.listen);
        return Err(Misconfigured::unless_it_passes(wrong));
    }
    let home = Home::open(&settings.dir).map_err(Misconfigured::unless_it_passes)?;
    // before anything is swept or written: what another worker has unfinished is not this one's to remove
    let _lock = home.lock()?;
    let token = token(&settings.token_file).map_err(Misconfigured::unless_it_passes)?;
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}: is another worker running there?", settings.listen))?;
    let blobs = Blobs::open(&settings.blobs).with_context(|| format!("cannot use {}", settings.blobs.display()));
    let blobs = blobs.map_err(Misconfigured::unless_it_passes)?;
    let worker = Worker::start(home, blobs, settings.sites).map_err(Misconfigured::unless_it_passes)?;
    if !settings.ahead {
        worker.do_nothing_ahead();
    }
    let door = Door { worker, token: token.into() };
    let app = Router::new()
        .route("/v1/duties", put(duties))
        .route("/v1/changes/{seen}", get(changes))
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(door.clone(), check))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(door);
    tracing::info!("listening on {}", settings.listen);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        () = Connections::default().serve(listener, app) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The token in the file; made where there is none. One that is there stays: a node reads it when it starts, and a worker may
/// start anew beside it.
fn token(path: &std::path::Path) -> Result<String> {
    if !path.exists() {
        let token = hex::encode(crate::site::random()?);
        // at no moment for more people
        crate::site::write_whole(path, token.as_bytes(), TOKEN)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let unreadable = || format!("cannot read {}", path.display());
    let mode = fs::metadata(path).with_context(unreadable)?.permissions().mode() & 0o777;
    if mode & NOT_TOKEN != 0 {
        bail!(
            "{}: has mode {mode:o}, so that others on this machine may read or change the token; make another one, which they \
             have not seen: remove the file, start this worker, and then the node",
            path.display()
        );
    }
    let text = fs::read_to_string(path).with_context(unreadable)?;
    let token = text.trim().to_owned();
    if token.len() < MIN_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        bail!("{}: the token must be one line of at least {MIN_TOKEN} visible ASCII characters", path.display());
    }
    Ok(token)
}

async fn check(
    State(door): State<Door>,
    Extension(known): Extension<Known>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let shown =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    // compared by hash, so that the time taken says nothing about the token
    let same = shown.is_some_and(|shown| blake3::hash(shown.as_bytes()) == blake3::hash(door.token.as_bytes()));
    if same {
        known.note();
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "the token is missing or another one").into_response()
    }
}

async fn duties(State(door): State<Door>, body: Bytes) -> Response {
    let worker = door.worker.clone();
    match tokio::task::spawn_blocking(move || worker.reply(&body)).await {
        Ok(Ok(reply)) => reply.into_response(),
        Ok(Err(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the worker's own fault; see its log").into_response(),
    }
}

/// How often something was finished here, once that is another number than the one that the asker has seen, or after a while.
async fn changes(State(door): State<Door>, Path(seen): Path<u64>) -> Response {
    let mut changes = door.worker.changes();
    let _ = tokio::time::timeout(UNCHANGED, changes.wait_for(|now| *now != seen)).await;
    let now = *changes.borrow();
    now.to_string().into_response()
}

async fn status(State(door): State<Door>) -> Response {
    Json(door.worker.status()).into_response()
}

/// Figures, in the text form of Prometheus.
async fn metrics(State(door): State<Door>) -> Response {
    match door.worker.figures() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!("figures cannot be told: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
