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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn each_change_is_told_once_and_a_worker_without_an_answer_is_asked_again() {
        let worker = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", worker.local_addr().expect("an address"));
        let nudge = Nudge::default();
        let following = tokio::spawn(follow(url, "secret".into(), nudge.clone()));
        let ok = |said: &str| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}", said.len())
        };
        let long = "1".repeat(LONGEST + 1);
        // what the worker answers, what it is asked next, and whether that is a change
        let script = [
            (ok("3\n"), "/v1/changes/3", true),
            (ok("3"), "/v1/changes/3", false),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(), "/v1/changes/3", false),
            (ok(&long), "/v1/changes/3", false),
            (String::new(), "/v1/changes/3", false),
            (ok("a number"), "/v1/changes/3", false),
            // it has forgotten: started anew
            (ok("1"), "/v1/changes/1", true),
        ];
        let mut asked = "/v1/changes/0";
        for (answer, next, changed) in script {
            let (mut line, _) = worker.accept().await.expect("it asks");
            let mut question = [0; 1024];
            let read = line.read(&mut question).await.expect("a question");
            let question = String::from_utf8_lossy(&question[..read]).to_lowercase();
            assert!(question.starts_with(&format!("get {asked} ")), "{question}");
            assert!(question.contains("authorization: bearer secret"), "{question}");
            line.write_all(answer.as_bytes()).await.expect("it listens");
            drop(line);
            let told = tokio::time::timeout(Duration::from_millis(300), nudge.heard()).await.is_ok();
            assert_eq!(told, changed, "{answer}");
            asked = next;
        }
        assert!(!following.is_finished());
    }
}
