//! The page and its live state, over HTTP. All of it lies below a token that only whoever was given the address knows.

use super::{
    assets::{Asset, ASSETS},
    base::{self, Base},
    document::Known,
    site::Site,
    study::Studies,
};
use crate::plain::{seen, told};
use anyhow::Result;
use axum::{
    body::{Body, Bytes},
    extract::{rejection::QueryRejection, Path, Query, Request, State as Shared},
    http::{header, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{
        sse::{Event, KeepAlive, Sse},
        IntoResponse, Response,
    },
    routing::get,
    Router,
};
use futures::{stream, Stream, StreamExt};
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{watch, Mutex, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How many pages may be open at once.
const MOST_PAGES: usize = 8;
/// The page takes scripts, styles and figures from here alone, and nobody may put it into another page.
const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Where in the document its first state stands.
const FIRST: &str = r#"<script type="application/json" id="first">"#;
/// How long the end of the document waits for that.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it does where nothing was read yet, as beside a node that is just starting: the page is there at once then.
const NOTHING_YET: Duration = Duration::from_millis(300);

struct Door {
    site: Arc<Site>,
    token: String,
    base: watch::Receiver<Arc<Base>>,
    studies: Mutex<Studies>,
    pages: Arc<Semaphore>,
}

/// Which study a page looks at.
#[derive(Deserialize)]
struct Asked {
    study: Option<u32>,
}

/// Serves until the listener fails.
///
/// # Errors
/// It does.
pub async fn serve(listener: TcpListener, site: Arc<Site>, token: String) -> Result<()> {
    let (tell, base) = watch::channel(Arc::new(Base::default()));
    let studies = Mutex::new(Studies::new(&site));
    let door = Door { site: site.clone(), token, base, studies, pages: Arc::new(Semaphore::new(MOST_PAGES)) };
    let router = router(Arc::new(door));
    tokio::select! {
        () = base::watch(site, tell) => Ok(()),
        ended = async { axum::serve(listener, router).await } => Ok(ended?),
    }
}

fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/{token}/", get(page))
        .route("/{token}/events", get(events))
        .route("/{token}/{file}", get(file))
        .layer(middleware::from_fn_with_state(door.clone(), guard))
        .with_state(door)
}

/// Whether two texts are the same, in a time that does not tell how far they are.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Lets nobody in without the token, or by another host's name (which a page elsewhere could have led to this machine).
async fn guard(Shared(door): Shared<Arc<Door>>, request: Request, next: Next) -> Response {
    let given = request.uri().path().split('/').nth(1).unwrap_or_default();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // by any port: a tunnel (ssh -L) may begin at another one
    let mut response = match same(given, &door.token) && loopback(host) {
        true => next.run(request).await,
        false => (
            StatusCode::NOT_FOUND,
            "nothing is served here: take the whole address that `consilium dashboard` printed\n",
        )
            .into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a host's name is this machine's own.
fn loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn served(asset: &'static Asset) -> Response {
    ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
}

/// The page, with its first state in it: a browser that looks once (for paper, a screenshot) sees all of it, too. What comes before
/// the state is sent at once, so that something is painted while a node answers slowly.
async fn page(Shared(door): Shared<Arc<Door>>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name.is_empty()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (head, tail) = halves(asset.bytes);
    // what is no number names no study
    let study = asked.ok().and_then(|Query(asked)| asked.study);
    let parts = stream::iter([Bytes::from_static(head)])
        .chain(stream::once(first(door, study)))
        .chain(stream::iter([Bytes::from_static(tail)]));
    let body = Body::from_stream(parts.map(Ok::<Bytes, Infallible>));
    ([(header::CONTENT_TYPE, asset.kind)], body).into_response()
}

/// What comes before the first state, and what comes after it.
fn halves(document: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    let at = document.windows(FIRST.len()).position(|found| found == FIRST.as_bytes());
    document.split_at(at.map_or(document.len(), |at| at + FIRST.len()))
}

/// The first state; nothing where the node does not answer in time.
async fn first(door: Arc<Door>, study: Option<u32>) -> Bytes {
    let mut base = door.base.clone();
    let ready = match timeout(NOTHING_YET, base.wait_for(|base| base.state.version != 0)).await {
        Ok(Ok(base)) => base.clone(),
        _ => return Bytes::new(),
    };
    // read to its end also where it takes longer: the events that follow ask for the same
    let read = tokio::spawn(async move { Page::new(door, study).news(&ready).await.ok() });
    match timeout(PATIENCE, read).await {
        Ok(Ok(Some(state))) => within(&state).into(),
        _ => Bytes::new(),
    }
}

/// JSON that can stand in a document, whatever names and titles hold.
fn within(state: &serde_json::Value) -> String {
    state.to_string().replace('<', "\\u003c")
}

async fn file(Path((_, name)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|asset| !asset.name.is_empty() && asset.name == name);
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), served)
}

async fn events(Shared(door): Shared<Arc<Door>>, Query(asked): Query<Asked>) -> Response {
    match door.pages.clone().try_acquire_owned() {
        Ok(permit) => Sse::new(news(door, asked.study, permit)).keep_alive(KeepAlive::default()).into_response(),
        Err(_) => {
            let words = format!("{MOST_PAGES} pages are open already: close one\n");
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
    }
}

/// What one page has been told.
struct Page {
    door: Arc<Door>,
    study: Option<u32>,
    known: Known,
    /// The study as it was read last: told again while the node does not answer.
    last: Option<super::state::Study>,
}

/// An event for everything that changes, and for everything at first.
fn news(
    door: Arc<Door>,
    study: Option<u32>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut base = door.base.clone();
    base.mark_changed();
    // it holds its permit while it is open
    stream::unfold((Page::new(door, study), base, permit), |(mut page, mut base, permit)| async move {
        loop {
            base.changed().await.ok()?;
            let now = base.borrow_and_update().clone();
            // nothing was read yet
            if now.state.version == 0 {
                continue;
            }
            let Ok(news) = page.news(&now).await else { continue };
            if let Ok(event) = Event::default().event("state").json_data(news) {
                return Some((Ok(event), (page, base, permit)));
            }
        }
    })
}

impl Page {
    /// One that has been told nothing.
    fn new(door: Arc<Door>, study: Option<u32>) -> Self {
        Self { door, study, known: Known::default(), last: None }
    }

    async fn news(&mut self, base: &Base) -> Result<serde_json::Value> {
        let mut state = base.state.clone();
        let newest =
            || state.studies.iter().rev().find(|study| study.ours).or(state.studies.last()).map(|study| study.number);
        // one that was shown stays, also where a newer one begins
        self.study = self.study.or_else(newest);
        if let (Some(number), Some(link), None) = (self.study, &base.link, &state.unreachable) {
            let read = self.door.studies.lock().await.told(&self.door.site, link, number).await;
            match read {
                Ok(study) => self.last = study,
                Err(error) => state.unreachable = Some(seen(&told(&error))),
            }
        }
        state.study = self.last.clone();
        self.known.news(state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_document_has_a_place_for_its_first_state_which_no_title_can_leave() {
        let page = ASSETS.iter().find(|asset| asset.name.is_empty()).unwrap();
        let (head, tail) = halves(page.bytes);
        assert!(head.ends_with(FIRST.as_bytes()) && tail.starts_with(b"</script>"));
        assert_eq!([head, tail].concat(), page.bytes);
        assert_eq!(halves(b"none"), (&b"none"[..], &b""[..]));
        let title = "</script><script>alert(1)</script><!--";
        let text = within(&serde_json::json!({ "title": title }));
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["title"], title);
    }

    #[test]
    fn only_this_machine_s_own_names_are_answered_to() {
        for host in ["127.0.0.1:8800", "localhost:8800", "[::1]:8800", "127.0.0.1"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["evil.example:8800", "10.0.0.7:8800", "", "localhost.evil.example"] {
            assert!(!loopback(host), "{host}");
        }
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab"));
    }
}
