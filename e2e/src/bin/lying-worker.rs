//! A worker between the node and the real worker, which changes what the real one says.

use anyhow::{Context, Result};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    Router,
};
use codec::{DecodeAll, Encode};
use consilium_e2e::{
    free_port,
    lies::{become_real, Lie, MASKED},
};
use consilium_primitives::{
    masks::DEALT, DutyAnswer, DutyKind, DutyOrder, DutyOutput, DutyReply, DutyRequest, DutyState, Hash, Next,
};
use nix::sys::{prctl::set_pdeathsig, signal::Signal};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, PoisonError,
    },
    time::Duration,
};

/// Answers that the real worker was not asked for, each with its place.
type Kept = Vec<(usize, DutyState)>;

struct Liar {
    lie: Lie,
    /// The round in which it lies; none: in each.
    round: Option<u32>,
    /// The real worker's port.
    port: u16,
    blobs: PathBuf,
    /// The worker's folder.
    dir: PathBuf,
    /// Where an update that nobody is to have lies.
    hidden: PathBuf,
    /// What was said of a hidden update: by the kind of the duty and the round.
    said: Mutex<Vec<((DutyKind, u32), DutyOutput)>>,
    /// Whether it has left the last duty of a masked round that it was asked for unanswered.
    gone: AtomicBool,
}

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let serves = arguments.first().is_some_and(|command| command == "serve");
    let lie = if serves { Lie::of(&arguments)? } else { None };
    let Some((lie, round)) = lie.filter(|(lie, _)| !lie.of_node()) else {
        return become_real("ml-worker", &arguments);
    };
    let place = |flag: &str| arguments.iter().position(|a| a == flag).map(|at| at + 1).context("a flag is missing");
    let (listen, blobs, dir) = (place("--listen")?, place("--blobs")?, place("--dir")?);
    let port = free_port()?;
    let liar = Liar {
        lie,
        round,
        port,
        blobs: PathBuf::from(&arguments[blobs]),
        dir: PathBuf::from(&arguments[dir]),
        hidden: Path::new(&arguments[dir]).join("hidden"),
        said: Mutex::default(),
        gone: AtomicBool::default(),
    };
    fs::create_dir_all(&liar.hidden)?;
    let address = std::mem::replace(&mut arguments[listen], format!("127.0.0.1:{port}"));
    let real = std::env::current_exe()?.parent().context("no folder")?.join("ml-worker");
    let mut command = Command::new(real);
    command.args(&arguments);
    #[allow(unsafe_code)] // the only way to run prctl between fork and exec
    // SAFETY: the closure makes one async-signal-safe system call and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from));
    }
    let mut real = command.spawn()?;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        anyhow::ensure!(real.try_wait()?.is_none(), "the real worker has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(&address).await?;
        let app = Router::new().fallback(pass).with_state(Arc::new(liar));
        Ok(axum::serve(listener, app).await?)
    })
}

async fn pass(State(liar): State<Arc<Liar>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let token = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let answered = tokio::task::spawn_blocking(move || {
        if method != Method::PUT {
            return liar.ask(&method, &uri, &token, &body);
        }
        let (told, kept) = liar.tell(&body)?;
        let (status, reply) = liar.ask(&method, &uri, &token, &told)?;
        anyhow::Ok((status, if status == StatusCode::OK { liar.lie(&body, &reply, kept)? } else { reply }))
    });
    match answered.await {
        Ok(Ok((status, reply))) => (status, reply).into_response(),
        Ok(Err(error)) => {
            eprintln!("the liar: {error:#}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Liar {
    /// What the real worker answers.
    fn ask(&self, method: &Method, uri: &Uri, token: &str, body: &[u8]) -> Result<(StatusCode, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // version 1.0: the answer ends with the connection, and comes in one piece
        write!(
            stream,
            "{method} {uri} HTTP/1.0\r\nhost: 127.0.0.1\r\nauthorization: {token}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let split = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no HTTP answer")?;
        let head = String::from_utf8_lossy(&answer[..split]).into_owned();
        let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).context("no status")?;
        Ok((StatusCode::from_u16(code)?, answer.split_off(split + 4)))
    }

    /// What is answered without a word to the real worker: asked again for what stands on an update that nobody is to have, or for
    /// the merge of it, it would make it again, and it would lie open until the next request.
    fn kept(&self, order: &DutyOrder) -> Option<DutyState> {
        let what = (order.duty.kind, order.duty.round);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, output)) = said.iter().find(|(said, _)| *said == what) {
            return Some(DutyState::Done(*output));
        }
        let mut silent = self.lie.silent(what.0) && self.lies_in(what.1);
        if let Lie::Gone(_) = self.lie {
            if MASKED.contains(&what.0) {
                self.gone.store(silent, Ordering::Relaxed);
            }
            // a pause names no round: who was gone when it began does not say that it is there
            silent |= what.0 == DutyKind::Present && self.gone.load(Ordering::Relaxed);
        }
        silent.then_some(DutyState::Queued)
    }

    /// Keeps what was said of an update that is hidden now: in the answer that held it, and of its training.
    fn keep(&self, order: &DutyOrder, output: &DutyOutput) {
        if self.lie != Lie::Withhold || self.kept(order).is_some() {
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let DutyOutput::Ahead { next: Next::Update { root, metric, .. }, .. } = output {
            let trained = DutyOutput::Update { root: *root, metric: *metric };
            said.push(((DutyKind::Train, order.duty.round + 1), trained));
        }
        said.push(((order.duty.kind, order.duty.round), *output));
    }

    /// What the real worker is asked, and what is answered without it, each with its place.
    fn tell(&self, request: &[u8]) -> Result<(Vec<u8>, Kept)> {
        let mut request = DutyRequest::decode_all(&mut &request[..])?;
        let kept: Vec<Option<DutyState>> = request.orders.iter().map(|order| self.kept(order)).collect();
        request.ahead.resize(kept.len(), None);
        request.masked.resize(kept.len(), None);
        // each list without the places of what is kept
        let mut told = kept.iter().map(Option::is_none).cycle();
        request.orders.retain(|_| told.next().unwrap_or_default());
        request.ahead.retain(|_| told.next().unwrap_or_default());
        request.masked.retain(|_| told.next().unwrap_or_default());
        let kept = kept.into_iter().enumerate().filter_map(|(place, state)| Some((place, state?)));
        Ok((request.encode(), kept.collect()))
    }

    fn lie(&self, request: &[u8], reply: &[u8], kept: Kept) -> Result<Vec<u8>> {
        let request = DutyRequest::decode_all(&mut &request[..])?;
        let mut reply = DutyReply::decode_all(&mut &reply[..])?;
        reply.posts.resize(reply.answers.len(), Vec::new());
        for (place, state) in kept {
            let duty = request.orders[place].duty.hash();
            reply.answers.insert(place, DutyAnswer { duty, state });
            reply.posts.insert(place, Vec::new());
        }
        let DutyReply { answers, posts, .. } = &mut reply;
        for ((order, answer), post) in request.orders.iter().zip(answers).zip(posts) {
            let DutyState::Done(output) = &mut answer.state else { continue };
            if self.lies_in(order.duty.round + 1) {
                if let DutyOutput::Ahead { next: Next::Update { root, .. }, .. } = output {
                    self.trained(root)?;
                    self.keep(order, output);
                }
            }
            if !self.lies_in(order.duty.round) {
                continue;
            }
            if let (DutyOutput::Ahead { root, marks, .. }, Lie::WrongHash | Lie::Collude) = (&*output, self.lie) {
                // who lies of the merge has no training that stands on it
                let (root, marks) = (*root, *marks);
                *output = match marks.any() {
                    0 => DutyOutput::Root(root),
                    _ => DutyOutput::Marked { root, marks },
                };
            }
            self.posted(order.duty.kind, output, post);
            match (order.duty.kind, &mut *output) {
                (DutyKind::Merge, DutyOutput::Root(root) | DutyOutput::Marked { root, .. }) => {
                    self.merged(root, order)?
                }
                (DutyKind::Train | DutyKind::Mask, DutyOutput::Update { root, .. }) => {
                    self.trained(root)?;
                    self.keep(order, output);
                }
                _ => {}
            }
        }
        Ok(reply.encode())
    }

    /// What it lies of its keys, its deal and its shares.
    fn posted(&self, kind: DutyKind, output: &mut DutyOutput, post: &mut [u8]) {
        match (self.lie, kind, output) {
            (Lie::WrongKeys, DutyKind::Keys, DutyOutput::Keys(keys)) => keys.pair = Hash::repeat_byte(9),
            // what is sealed stands behind two commitments
            (Lie::RubbishDeal, DutyKind::Deal, _) => {
                post.chunks_mut(DEALT as usize).filter_map(|part| part.get_mut(100)).for_each(|byte| *byte ^= 1);
            }
            (Lie::WrongShare, DutyKind::Reveal, _) => {
                if let Some(byte) = post.last_mut() {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
    }

    fn lies_in(&self, round: u32) -> bool {
        self.round.is_none_or(|only| only == round)
    }

    fn merged(&self, root: &mut Hash, order: &DutyOrder) -> Result<()> {
        match self.lie {
            Lie::WrongHash => *root = Hash::from(*blake3::hash(b"no file has this hash").as_bytes()),
            Lie::Collude => {
                self.changed(root, |bytes| {
                    let at = bytes.len() - 4;
                    bytes[at] ^= 1;
                    Ok(())
                })?;
                // the real worker would find that this is not what it has computed, and stop
                let agreement = self.dir.join("studies").join(hex::encode(order.duty.agreement));
                let study = agreement.join(format!("study-{}", order.duty.study));
                let accepted = format!("{{\"attested\":\"{}\"}}", hex::encode(*root));
                fs::write(study.join(format!("accepted-{:04}.json", order.duty.round)), accepted)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn trained(&self, root: &mut Hash) -> Result<()> {
        match self.lie {
            Lie::Withhold => {
                let (from, to) = (self.blobs.join(hex::encode(*root)), self.hidden.join(hex::encode(*root)));
                if from.exists() {
                    fs::rename(from, to)?;
                }
            }
            Lie::WrongWord => self.changed(root, |bytes| {
                // the highest byte of the word before those of the three sums and of one that may be padding: no sum of honest
                // sites' words is so far from what it was
                let at = bytes.len() - 24 - 4 - 1;
                bytes[at] ^= 0x80;
                Ok(())
            })?,
            Lie::NotANumber => self.changed(root, |bytes| {
                let at = bytes.len() - 4;
                bytes[at..].copy_from_slice(&f32::NAN.to_le_bytes());
                Ok(())
            })?,
            Lie::Architecture => self.changed(root, |bytes| {
                // the first tensor with two dimensions gets them the other way round
                let head = 8 + bytes[..8].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                let text = String::from_utf8(bytes[8..head].to_vec())?;
                let shapes = text.split("\"shape\":[").skip(1).filter_map(|rest| rest.split(']').next());
                let turned = shapes
                    .filter_map(|shape| shape.split_once(',').filter(|(a, b)| a != b))
                    .map(|(a, b)| text.replacen(&format!("[{a},{b}]"), &format!("[{b},{a}]"), 1))
                    .next()
                    .context("no tensor to turn")?;
                bytes[8..head].copy_from_slice(turned.as_bytes());
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    }

    /// Puts a changed copy of a blob into the store, and names that.
    fn changed(&self, root: &mut Hash, change: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let mut bytes = fs::read(self.blobs.join(hex::encode(*root)))?;
        change(&mut bytes)?;
        *root = Hash::from(*blake3::hash(&bytes).as_bytes());
        let path = self.blobs.join(hex::encode(*root));
        if !path.exists() {
            fs::write(path, bytes)?;
        }
        Ok(())
    }
}
