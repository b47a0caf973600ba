//! Hears from the worker when it has finished something: one question at a time, which the worker answers then, or after a while.

use crate::pulse::Nudge;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, header::AUTHORIZATION, Request, StatusCode};
use hyper_util::{
    client::legacy::{connect::HttpConnector, Client},
    rt::TokioExecutor,
};
use std::time::Duration;

/// The worker answers after 25 s at the latest.
const PATIENCE: Duration = Duration::from_secs(40);
/// Before the next question where there was no answer: the worker may be starting.
const REST: Duration = Duration::from_secs(1);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 32;

/// Asks the worker, for ever, and nudges when it has finished something. A worker that does not know the question, or is not
/// there, is asked again now and then: its answers come with the next block then, as they would without this.
pub async fn follow(url: String, token: String, nudge: Nudge) {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut seen = 0;
    loop {
        match tokio::time::timeout(PATIENCE, ask(&client, &url, &token, seen)).await {
            Ok(Some(now)) if now != seen => {
                seen = now;
                nudge.now();
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, url: &str, token: &str, seen: u64) -> Option<u64> {
    let request = Request::get(format!("{url}/v1/changes/{seen}"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::new())
        .ok()?;
    let answer = client.request(request).await.ok()?;
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await.ok()?.to_bytes();
    std::str::from_utf8(&body).ok()?.trim().parse().ok()
}
