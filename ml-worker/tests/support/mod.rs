//! A site of its own for each test: folders, a worker in this process or the real one, and the node's side of the talk.
// every test program uses its own part of this
#![allow(dead_code, unused_imports)]

pub mod finished;
mod process;

use codec::{Decode, Encode};
use consilium_aggregation::{blob_hash, ModelFile};
use consilium_ml_worker::{
    data::demo,
    server::Worker,
    site::{Blobs, Home},
};
use consilium_primitives::{
    duty::PROTOCOL_VERSION, round::inputs_root, BlobRef, Duty, DutyKind, DutyOrder, DutyOutput, DutyReply, DutyRequest,
    DutyState, FailureCode, Hash, InstitutionId, Merge, MergeInput, MergeRule, Weighting,
};
use consilium_study::{StudyFile, StudySpec};
pub use process::Process;
use process::{authorization, raw};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant},
};

pub const AGREEMENT: Hash = Hash::repeat_byte(7);
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The example study.
pub fn file() -> StudyFile {
    StudyFile::parse(include_str!("../../../examples/breast-cancer/study.toml")).unwrap()
}

/// The example with so many epochs, and unscaled, so that training needs no statistics first.
pub fn unscaled(epochs: u32) -> StudySpec {
    let text = include_str!("../../../examples/breast-cancer/study.toml")
        .replace("epochs = 2", &format!("epochs = {epochs}"))
        .replace("scaling = \"swarm\"", "scaling = \"none\"");
    StudyFile::parse(&text).unwrap().spec()
}

/// The example, unscaled, with a larger network and a round of so many steps that it does not end while a test looks.
pub fn endless() -> StudySpec {
    let text = include_str!("../../../examples/breast-cancer/study.toml")
        .replace("[16]", "[256, 256]")
        .replace("scaling = \"swarm\"", "scaling = \"none\"");
    let mut spec = StudyFile::parse(&text).unwrap().spec();
    (spec.training.epochs, spec.training.batches) = (0, 1_000_000);
    // so slow that it does not come to rest
    let adam = r#"{"adam":{"learning_rate":1e-6}}"#;
    spec.training.optimizer = serde_json::from_str(adam).unwrap();
    spec
}

/// Gives a merge's duty the hash of what is to be merged.
pub fn sealed(mut order: DutyOrder) -> DutyOrder {
    let listed: Vec<_> = order.inputs.iter().map(|i| (i.institution, i.blob.root, i.weight)).collect();
    let base = order.base.map(|base| base.root).unwrap_or_default();
    order.duty.base = inputs_root(&listed, order.merge.as_ref().unwrap(), base);
    order
}

/// What a node asks of institution 1.
pub fn order(spec: &StudySpec, kind: DutyKind, round: u32, base: Option<Hash>) -> DutyOrder {
    DutyOrder {
        duty: Duty {
            kind,
            genesis: Hash::zero(),
            study: 0,
            agreement: AGREEMENT,
            round,
            institution: InstitutionId([1; 32]),
            base: base.unwrap_or_default(),
            statistics: Hash::zero(),
        },
        spec: spec.hash().unwrap(),
        base: base.map(|root| BlobRef { root, len: spec.merged_len(0).unwrap() }),
        statistics: None,
        inputs: Vec::new(),
        merge: matches!(kind, DutyKind::Merge | DutyKind::MergeStatistics)
            .then(|| Merge::by(MergeRule::Mean(Weighting::Samples))),
        output_len: match kind {
            DutyKind::Init | DutyKind::Merge => spec.merged_len(0).unwrap(),
            _ => spec.update_len().unwrap(),
        },
        attested: Vec::new(),
        committed_before: false,
    }
}

pub fn root(output: DutyOutput) -> Hash {
    match output {
        DutyOutput::Root(root) | DutyOutput::Update { root, .. } => root,
        other => panic!("{other:?}"),
    }
}

/// A worker, however it is reached.
pub trait Door {
    fn answer(&self, request: &DutyRequest) -> DutyReply;

    fn ask(&self, spec: &StudySpec, order: &DutyOrder) -> DutyState {
        let specs = vec![spec.canonical().unwrap()];
        let request = DutyRequest {
            version: PROTOCOL_VERSION,
            specs,
            orders: vec![order.clone()],
            ahead: vec![],
            masked: vec![],
        };
        self.answer(&request).answers[0].state
    }

    /// Asks until the answer is what is looked for.
    fn until<T>(&self, spec: &StudySpec, order: &DutyOrder, look: impl Fn(DutyState) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let state = self.ask(spec, order);
            if let Some(found) = look(state) {
                return found;
            }
            assert!(Instant::now() < end, "still {state:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn done(&self, spec: &StudySpec, order: &DutyOrder) -> DutyOutput {
        self.until(spec, order, |state| match state {
            DutyState::Done(output) => Some(output),
            DutyState::Failed(code) => panic!("{:?}: {code:?}", order.duty.kind),
            _ => None,
        })
    }

    /// Asks until it is being trained on; it must not be done before that was seen.
    fn running(&self, spec: &StudySpec, order: &DutyOrder) {
        self.until(spec, order, |state| match state {
            DutyState::Running { .. } => Some(()),
            DutyState::Queued => None,
            other => panic!("{other:?}"),
        });
    }

    fn failed(&self, spec: &StudySpec, order: &DutyOrder) -> FailureCode {
        self.until(spec, order, |state| match state {
            DutyState::Failed(code) => Some(code),
            DutyState::Done(_) => panic!("{:?} was done", order.duty.kind),
            _ => None,
        })
    }
}

impl Door for Arc<Worker> {
    fn answer(&self, request: &DutyRequest) -> DutyReply {
        Worker::answer(self, request).unwrap()
    }
}

/// One entry of `sites.toml`.
pub fn entry(agreement: &Hash) -> String {
    entry_with(agreement, "data.csv")
}

/// One entry of `sites.toml`, with this data file.
pub fn entry_with(agreement: &Hash, data: &str) -> String {
    format!("[[study]]\nagreement = \"{}\"\ndata = \"{data}\"\nmax_rounds = 50\n", hex::encode(agreement))
}

/// Writes the token, as only its owner and the node may read it.
pub fn put_token(dir: &Path) {
    fs::write(dir.join("token"), TOKEN).unwrap();
    fs::set_permissions(dir.join("token"), fs::Permissions::from_mode(0o640)).unwrap();
}

/// Folders for a worker: this table, a secret, a token, and leave to work for [`AGREEMENT`].
pub fn prepare(dir: &Path, data: &str) {
    put_token(dir);
    fs::write(dir.join("data.csv"), data).unwrap();
    fs::write(dir.join("sites.toml"), entry(&AGREEMENT)).unwrap();
    fs::create_dir_all(dir.join("home")).unwrap();
    fs::write(dir.join("home/secret"), "11".repeat(32)).unwrap();
}

/// A site's table of the demo's partition of seed 1.
pub fn demo_csv(site: usize) -> String {
    let dir = tempfile::tempdir().unwrap();
    demo::write(1, dir.path()).unwrap();
    fs::read_to_string(dir.path().join(format!("{}.csv", demo::SITES[site].0))).unwrap()
}

/// A model file of equal numbers that answers this duty, as an input of a merge.
pub fn input(spec: &StudySpec, duty: Hash, value: f32) -> (MergeInput, Vec<u8>) {
    let layout = spec.layout().unwrap();
    let data = vec![value; layout.elements()];
    let bytes = ModelFile { layout, duty: Some(duty), data }.encode().unwrap();
    let blob = BlobRef { root: blob_hash(&bytes), len: bytes.len() as u64 };
    (MergeInput { institution: InstitutionId(duty.0), duty, blob, weight: 1 }, bytes)
}

/// Files and folders below a folder, at any depth.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(below(&path));
        }
        all.push(path);
    }
    all
}

/// A worker in this process, on folders made by [`prepare`].
pub fn start(dir: &Path) -> Arc<Worker> {
    let home = Home::open(&dir.join("home")).unwrap();
    Worker::start(home, Blobs::open(&dir.join("blobs")).unwrap(), dir.join("sites.toml")).unwrap()
}

/// One site: a worker in this process on folders of its own.
pub struct Lab {
    pub dir: tempfile::TempDir,
    pub worker: Arc<Worker>,
    pub spec: StudySpec,
    pub id: InstitutionId,
}

impl Lab {
    /// Site `n` of the demo's partition of seed 1.
    pub fn new(n: usize, spec: StudySpec) -> Self {
        let lab = Self::with(&demo_csv(n), spec);
        let secret = demo::secret(1, demo::SITES[n].0);
        fs::write(lab.dir.path().join("home/secret"), hex::encode(secret)).unwrap();
        let worker = start(lab.dir.path());
        Self { worker, id: InstitutionId([n as u8 + 1; 32]), ..lab }
    }

    /// A site with this table.
    pub fn with(data: &str, spec: StudySpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), data);
        let worker = start(dir.path());
        Self { dir, worker, spec, id: InstitutionId([1; 32]) }
    }

    pub fn home(&self) -> Home {
        Home::open(&self.dir.path().join("home")).unwrap()
    }

    pub fn blobs(&self) -> Blobs {
        Blobs::open(&self.dir.path().join("blobs")).unwrap()
    }

    pub fn blob(&self, root: &Hash) -> PathBuf {
        self.dir.path().join("blobs").join(hex::encode(root))
    }

    /// A model of zeros, in its blob store.
    pub fn zeros(&self) -> Hash {
        let layout = self.spec.layout().unwrap();
        let data = vec![0.0; layout.elements()];
        self.blobs().put(&ModelFile { layout, duty: None, data }.encode().unwrap()).unwrap()
    }

    pub fn order(&self, kind: DutyKind, round: u32, base: Option<Hash>, statistics: Option<Hash>) -> DutyOrder {
        let mut order = order(&self.spec, kind, round, base);
        order.duty.institution = self.id;
        order.statistics = statistics.map(|root| BlobRef { root, len: self.spec.statistics_len().unwrap() });
        if matches!(kind, DutyKind::Train | DutyKind::Evaluate) {
            order.duty.statistics = statistics.unwrap_or_default();
        }
        order
    }

    pub fn ask(&self, order: &DutyOrder) -> DutyState {
        self.worker.ask(&self.spec, order)
    }

    pub fn done(&self, order: &DutyOrder) -> DutyOutput {
        self.worker.done(&self.spec, order)
    }

    pub fn failed(&self, order: &DutyOrder) -> FailureCode {
        self.worker.failed(&self.spec, order)
    }

    /// Asks until exactly this is answered.
    pub fn settles(&self, order: &DutyOrder, wanted: DutyState) {
        self.worker.until(&self.spec, order, |state| (state == wanted).then_some(()));
    }
}

/// What the worker that listens at a port answers, whoever owns its process.
pub fn answer(port: u16, request: &DutyRequest) -> DutyReply {
    let (status, body) = raw(port, "PUT", "/v1/duties", &authorization(TOKEN), &request.encode());
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    DutyReply::decode(&mut &body[..]).unwrap()
}

/// The command that serves on folders made by [`prepare`].
pub fn command(dir: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ml-worker"));
    // tests run side by side; how many threads there are changes no bit (tests/threads.rs)
    command.env("RAYON_NUM_THREADS", "1");
    command.arg("serve").arg("--dir").arg(dir.join("home")).arg("--blobs").arg(dir.join("blobs"));
    command.args(["--listen", listen]).arg("--token-file").arg(dir.join("token"));
    command.arg("--sites").arg(dir.join("sites.toml"));
    command
}

/// Runs the program to its end.
pub fn program<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ml-worker")).args(arguments).output().unwrap()
}

/// As [`program`], which must succeed; its output.
pub fn says<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Vec<u8> {
    let output = program(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
