//! The real process: its door, its death, and what it never says.
#![allow(clippy::unwrap_used)]

use codec::{Decode, Encode};
use consilium_ml_worker::data::demo;
use consilium_primitives::{
    duty::PROTOCOL_VERSION, Duty, DutyKind, DutyOrder, DutyOutput, DutyReply, DutyRequest, DutyState, Hash,
    InstitutionId,
};
use consilium_study::{StudyFile, StudySpec};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const AGREEMENT: Hash = Hash::repeat_byte(7);

struct Process {
    child: Child,
    port: u16,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ml-worker"));
    command.arg("serve").arg("--dir").arg(dir.join("home")).arg("--blobs").arg(dir.join("blobs"));
    command.args(["--listen", listen]).arg("--token-file").arg(dir.join("token"));
    command.arg("--sites").arg(dir.join("sites.toml"));
    command
}

fn serve(dir: &Path) -> Process {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let child = command(dir, &format!("127.0.0.1:{port}"))
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "{}", fs::read_to_string(dir.join("log")).unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    Process { child, port }
}

fn prepare(dir: &Path, data: &str) {
    fs::write(dir.join("token"), TOKEN).unwrap();
    fs::write(dir.join("data.csv"), data).unwrap();
    let entry = format!("[[study]]\nagreement = \"{}\"\ndata = \"data.csv\"\n", hex::encode(AGREEMENT));
    fs::write(dir.join("sites.toml"), entry).unwrap();
    fs::create_dir_all(dir.join("home")).unwrap();
    fs::write(dir.join("home/secret"), "11".repeat(32)).unwrap();
}

/// Status and body.
fn http(port: u16, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let token = token.map_or_else(String::new, |t| format!("authorization: Bearer {t}\r\n"));
    let head = format!("{method} {path} HTTP/1.0\r\n{token}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // the answer to a body that is too long may come before all of it was sent
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[..split]).split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_off(split + 4))
}

fn ask(port: u16, spec: &StudySpec, order: &DutyOrder) -> DutyState {
    let request =
        DutyRequest { version: PROTOCOL_VERSION, specs: vec![spec.canonical().unwrap()], orders: vec![order.clone()] };
    let (status, body) = http(port, "PUT", "/v1/duties", Some(TOKEN), &request.encode());
    assert_eq!(status, 200);
    DutyReply::decode(&mut &body[..]).unwrap().answers[0].state
}

fn order(spec: &StudySpec, kind: DutyKind, base: Option<(Hash, u64)>) -> DutyOrder {
    DutyOrder {
        duty: Duty {
            kind,
            genesis: Hash::zero(),
            study: 0,
            agreement: AGREEMENT,
            round: 1,
            institution: InstitutionId([1; 32]),
            base: base.map(|b| b.0).unwrap_or_default(),
        },
        spec: spec.hash().unwrap(),
        base: base.map(|(root, len)| consilium_primitives::BlobRef { root, len }),
        statistics: None,
        inputs: Vec::new(),
        output_len: spec.update_len().unwrap(),
    }
}

fn spec(epochs: u32) -> StudySpec {
    let text = include_str!("../../examples/breast-cancer/study.toml");
    let text =
        text.replace("epochs = 2", &format!("epochs = {epochs}")).replace("scaling = \"swarm\"", "scaling = \"none\"");
    StudyFile::parse(&text).unwrap().spec()
}

fn demo_csv() -> String {
    let dir = tempfile::tempdir().unwrap();
    demo::write(1, dir.path()).unwrap();
    fs::read_to_string(dir.path().join("hospital-b.csv")).unwrap()
}

fn until_done(port: u16, spec: &StudySpec, order: &DutyOrder) -> Hash {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        match ask(port, spec, order) {
            DutyState::Done(DutyOutput::Update { root, .. } | DutyOutput::Root(root)) => return root,
            DutyState::Failed(code) => panic!("{code:?}"),
            _ => assert!(Instant::now() < until),
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_worker_killed_at_any_moment_gives_the_bytes_of_an_undisturbed_one() {
    let spec = spec(800);
    let train = |dir: &Path, deaths: &[u64]| -> Hash {
        let mut process = serve(dir);
        let base = until_done(process.port, &spec, &order(&spec, DutyKind::Init, None));
        let train = order(&spec, DutyKind::Train, Some((base, spec.merged_len().unwrap())));
        for milliseconds in deaths {
            ask(process.port, &spec, &train);
            std::thread::sleep(Duration::from_millis(*milliseconds));
            drop(process);
            process = serve(dir);
        }
        until_done(process.port, &spec, &train)
    };
    let (calm, troubled) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&calm, &troubled] {
        prepare(dir.path(), &demo_csv());
    }
    let expected = train(calm.path(), &[]);
    assert_eq!(train(troubled.path(), &[0, 40, 130, 270, 5]), expected);
    let left: Vec<_> = fs::read_dir(troubled.path().join("blobs"))
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(".tmp-"))
        .collect();
    assert!(left.len() <= 1, "unfinished files pile up: {left:?}");
}

#[test]
fn the_door_opens_for_the_token_alone_and_takes_no_garbage() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), "a\n1\n");
    let process = serve(dir.path());
    let put = |token, body: &[u8]| http(process.port, "PUT", "/v1/duties", token, body).0;
    assert_eq!(put(None, b""), 401);
    assert_eq!(put(Some("0123456789abcdef0123456789abcdeF"), b""), 401);
    assert_eq!(http(process.port, "GET", "/v1/status", None, b"").0, 401);
    assert_eq!(put(Some(TOKEN), b"\xff\xff\xff"), 400);
    assert_eq!(put(Some(TOKEN), &vec![0; 3 << 20]), 413);
    let (status, body) = http(process.port, "GET", "/v1/status", Some(TOKEN), b"");
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["held"], false);
}

#[test]
fn an_address_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), "a\n1\n");
    let said = |listen: &str| {
        let output = command(dir.path(), listen).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("0.0.0.0:8601").contains("this machine alone"));
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    assert!(said(&address).contains(&address));
}

#[test]
fn what_stands_in_a_cell_is_never_said() {
    const MARKS: [&str; 3] = ["SECRETnumber", "SECRETlabel", "SECRETpatient"];
    let spec_text = "title = \"t\"\n[data]\nfeatures = { columns = [\"x\"] }\nlabel = \"y\"\npositive = \"1\"\n\
        negative = \"0\"\ngroup = \"p\"\n[model.logistic]\n[training]\noptimizer = { sgd = { learning_rate = 0.1 } }\n\
        batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n";
    let spec = StudyFile::parse(spec_text).unwrap().spec();
    let rows = |bad: &str| format!("x,y,p\n1.5,1,SECRETpatient\n2.5,0,q\n{bad}\n");
    for bad in ["SECRETnumber,1,r", "3,SECRETlabel,r", "3,1,SECRETpatient,SECRETnumber", "\"SECRETnumber,1,r"] {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), &rows(bad));
        let study = dir.path().join("study.toml");
        fs::write(&study, spec_text).unwrap();
        let mut said = Vec::new();
        {
            let process = serve(dir.path());
            let base = until_done(process.port, &spec, &order(&spec, DutyKind::Init, None));
            let train = order(&spec, DutyKind::Train, Some((base, spec.merged_len().unwrap())));
            let until = Instant::now() + Duration::from_secs(20);
            while !matches!(ask(process.port, &spec, &train), DutyState::Failed(_)) {
                assert!(Instant::now() < until);
            }
            said.extend(http(process.port, "GET", "/v1/status", Some(TOKEN), b"").1);
        }
        said.extend(fs::read(dir.path().join("log")).unwrap());
        let check = Command::new(env!("CARGO_BIN_EXE_ml-worker"))
            .args(["check", "--study"])
            .arg(&study)
            .arg("--data")
            .arg(dir.path().join("data.csv"))
            .output()
            .unwrap();
        assert!(!check.status.success());
        said.extend(check.stderr);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("data.csv"), "the file is named: {said}");
        for mark in MARKS {
            assert!(!said.contains(mark), "{mark} in:\n{said}");
        }
    }
}
