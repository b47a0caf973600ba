//! The worker as its node sees it: duties in, answers out; what it refuses; what it survives.
#![allow(clippy::unwrap_used)]

use consilium_aggregation::ModelFile;
use consilium_ml_worker::{
    data::{demo, read_table},
    server::Worker,
    simulate::{run, site_group_key, Site},
    site::{Blobs, Home},
};
use consilium_primitives::{
    duty::PROTOCOL_VERSION, BlobRef, Duty, DutyKind, DutyOrder, DutyOutput, DutyRequest, DutyState, FailureCode, Hash,
    InstitutionId, MergeInput,
};
use consilium_study::{StudyFile, StudySpec};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

const AGREEMENT: Hash = Hash::repeat_byte(7);

fn file() -> StudyFile {
    StudyFile::parse(include_str!("../../examples/breast-cancer/study.toml")).unwrap()
}

/// One site: a worker on folders of its own.
struct Lab {
    dir: tempfile::TempDir,
    worker: Arc<Worker>,
    spec: StudySpec,
    id: InstitutionId,
}

impl Lab {
    /// Site `n` of the demo's partition of seed 1.
    fn new(n: usize, spec: StudySpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        demo::write(1, dir.path()).unwrap();
        let name = demo::SITES[n].0;
        fs::rename(dir.path().join(format!("{name}.csv")), dir.path().join("data.csv")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::rename(dir.path().join(format!("{name}.secret")), dir.path().join("home/secret")).unwrap();
        let sites =
            format!("[[study]]\nagreement = \"{}\"\ndata = \"data.csv\"\nmax_rounds = 50\n", hex::encode(AGREEMENT));
        fs::write(dir.path().join("sites.toml"), sites).unwrap();
        let worker = start(dir.path());
        Self { dir, worker, spec, id: InstitutionId([n as u8 + 1; 32]) }
    }

    fn home(&self) -> Home {
        Home::open(&self.dir.path().join("home")).unwrap()
    }

    fn blob(&self, root: &Hash) -> PathBuf {
        self.dir.path().join("blobs").join(hex::encode(root))
    }

    fn order(&self, kind: DutyKind, round: u32, base: Option<Hash>, statistics: Option<Hash>) -> DutyOrder {
        let (merged, stats) = (self.spec.merged_len().unwrap(), self.spec.statistics_len().unwrap());
        DutyOrder {
            duty: Duty {
                kind,
                genesis: Hash::zero(),
                study: 0,
                agreement: AGREEMENT,
                round,
                institution: self.id,
                base: base.unwrap_or_default(),
            },
            spec: self.spec.hash().unwrap(),
            base: base.map(|root| BlobRef { root, len: merged }),
            statistics: statistics.map(|root| BlobRef { root, len: stats }),
            inputs: Vec::new(),
            output_len: self.spec.update_len().unwrap(),
        }
    }

    fn ask(&self, order: &DutyOrder, with_spec: bool) -> DutyState {
        let specs = if with_spec { vec![self.spec.canonical().unwrap()] } else { Vec::new() };
        let request = DutyRequest { version: PROTOCOL_VERSION, specs, orders: vec![order.clone()] };
        self.worker.answer(&request).unwrap().answers[0].state
    }

    fn done(&self, order: &DutyOrder) -> DutyOutput {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match self.ask(order, true) {
                DutyState::Done(output) => return output,
                DutyState::Failed(code) => panic!("{:?}: {code:?}", order.duty.kind),
                _ => assert!(Instant::now() < until, "not done in a minute"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn failed(&self, order: &DutyOrder) -> FailureCode {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match self.ask(order, true) {
                DutyState::Failed(code) => return code,
                state => assert!(Instant::now() < until, "{state:?}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn start(dir: &Path) -> Arc<Worker> {
    let home = Home::open(&dir.join("home")).unwrap();
    Worker::start(home, Blobs::open(&dir.join("blobs")).unwrap(), dir.join("sites.toml")).unwrap()
}

fn root(output: DutyOutput) -> Hash {
    match output {
        DutyOutput::Root(root) | DutyOutput::Update { root, .. } => root,
        other => panic!("{other:?}"),
    }
}

/// All labs' parts of one kind, merged by every lab; gives the root they agree on.
fn together(labs: &[Lab], part: &[DutyOrder], weights: &[u32], round: u32, kind: DutyKind) -> Hash {
    let roots: Vec<Hash> = labs.iter().zip(part).map(|(lab, order)| root(lab.done(order))).collect();
    let len = |lab: &Lab, root: &Hash| fs::metadata(lab.blob(root)).unwrap().len();
    let inputs: Vec<MergeInput> = labs
        .iter()
        .zip(part)
        .zip(roots.iter().zip(weights))
        .map(|((lab, order), (root, weight))| MergeInput {
            institution: lab.id,
            duty: order.duty.hash(),
            blob: BlobRef { root: *root, len: len(lab, root) },
            weight: *weight,
        })
        .collect();
    for to in labs {
        for (from, root) in labs.iter().zip(&roots) {
            if !to.blob(root).exists() {
                fs::copy(from.blob(root), to.blob(root)).unwrap();
            }
        }
    }
    let merged: Vec<Hash> = labs
        .iter()
        .map(|lab| {
            let mut order = lab.order(kind, round, Some(Hash::repeat_byte(round as u8 + 1)), None);
            (order.base, order.inputs) = (None, inputs.clone());
            root(lab.done(&order))
        })
        .collect();
    assert!(merged.windows(2).all(|pair| pair[0] == pair[1]), "every site merges to the same bytes");
    merged[0]
}

#[test]
fn duties_one_by_one_give_the_bits_of_the_plain_loop() {
    let mut file = file();
    file.rules.rounds = 3;
    let spec = file.spec();
    let labs: Vec<Lab> = (0..2).map(|n| Lab::new(n, spec.clone())).collect();
    let sites: Vec<Site> = labs
        .iter()
        .zip([140u32, 77])
        .map(|(lab, samples)| {
            let secret = lab.home().secret().unwrap();
            let key = site_group_key(&spec, &secret).unwrap();
            let table = read_table(&lab.dir.path().join("data.csv"), &spec.data, &key).unwrap();
            Site { name: "site".into(), id: lab.id, secret, samples, table }
        })
        .collect();
    let mut rules = file.rules(2_000, 2).unwrap();
    rules.max_share = 1_000_000;
    let plain = run(&spec, &rules, &sites, &|_, _, loss| loss).unwrap();

    let orders = |kind, round, base, statistics| -> Vec<DutyOrder> {
        labs.iter().map(|lab| lab.order(kind, round, base, statistics)).collect()
    };
    let statistics =
        together(&labs, &orders(DutyKind::Statistics, 0, None, None), &[1, 1], 0, DutyKind::MergeStatistics);
    let mut base = root(labs[0].done(&labs[0].order(DutyKind::Init, 0, None, None)));
    assert_eq!(root(labs[1].done(&labs[1].order(DutyKind::Init, 0, None, None))), base);
    assert_eq!(plain.rounds[0].root, base);
    for round in 1..=3 {
        base = together(
            &labs,
            &orders(DutyKind::Train, round, Some(base), Some(statistics)),
            &[140, 77],
            round,
            DutyKind::Merge,
        );
        assert_eq!(plain.rounds[round as usize].root, base, "round {round}");
    }
    for (lab, loss) in labs.iter().zip(&plain.rounds[3].losses) {
        let evaluate = lab.order(DutyKind::Evaluate, 3, Some(base), Some(statistics));
        assert_eq!(lab.done(&evaluate), DutyOutput::Metric(Some(loss.1)));
        assert_eq!(lab.done(&lab.order(DutyKind::Acknowledge, 3, Some(base), None)), DutyOutput::Held);
    }
}

#[test]
fn a_worker_without_the_spec_asks_for_it_and_takes_no_other_text_of_it() {
    let lab = Lab::new(0, file().spec());
    let order = lab.order(DutyKind::Init, 0, None, None);
    assert_eq!(lab.ask(&order, false), DutyState::NeedSpec);
    let mut text = lab.spec.canonical().unwrap();
    text.push(b'\n');
    let request = DutyRequest { version: PROTOCOL_VERSION, specs: vec![text], orders: vec![order.clone()] };
    assert_eq!(lab.worker.answer(&request).unwrap().answers[0].state, DutyState::NeedSpec);
    lab.done(&order);
    assert!(lab.worker.answer(&DutyRequest { version: 9, specs: vec![], orders: vec![] }).is_err());
}

#[test]
fn what_sites_toml_does_not_list_is_refused() {
    let lab = Lab::new(0, file().spec());
    let mut order = lab.order(DutyKind::Init, 0, None, None);
    order.duty.agreement = Hash::repeat_byte(8);
    assert_eq!(lab.ask(&order, true), DutyState::Failed(FailureCode::Refused));
    let late = lab.order(DutyKind::Train, 51, Some(Hash::zero()), None);
    assert_eq!(lab.ask(&late, true), DutyState::Failed(FailureCode::Refused));
    fs::write(lab.dir.path().join("sites.toml"), "[[study]]\nagreement = 3").unwrap();
    assert_eq!(lab.ask(&lab.order(DutyKind::Init, 0, None, None), true), DutyState::Failed(FailureCode::Refused));
}

#[test]
fn changed_missing_and_unfit_data_are_told_apart_and_a_change_can_be_accepted() {
    let lab = Lab::new(0, file().spec());
    let data = lab.dir.path().join("data.csv");
    let good = fs::read_to_string(&data).unwrap();
    fs::remove_file(&data).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 0, None, None)), FailureCode::DataUnreadable);
    fs::write(&data, &good).unwrap();
    // each ask is another duty: a failure is remembered for a while
    lab.done(&lab.order(DutyKind::Statistics, 1, None, None));
    fs::write(&data, good.replace(",B\n", ",X\n")).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 2, None, None)), FailureCode::DataChanged);
    lab.home().accept_data(&AGREEMENT).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 3, None, None)), FailureCode::SchemaMismatch);
}

#[test]
fn a_site_on_hold_does_nothing_and_goes_on_afterwards() {
    let lab = Lab::new(0, file().spec());
    lab.home().set_held(true).unwrap();
    let order = lab.order(DutyKind::Init, 0, None, None);
    assert_eq!(lab.ask(&order, true), DutyState::Held);
    lab.home().set_held(false).unwrap();
    lab.done(&order);
}

#[test]
fn a_merge_says_which_inputs_it_has_and_which_are_not_what_they_must_be() {
    let lab = Lab::new(0, file().spec());
    let layout = lab.spec.layout().unwrap();
    let blobs = Blobs::open(&lab.dir.path().join("blobs")).unwrap();
    let input = |duty: u8, said: u8, value: f32| {
        let file = ModelFile {
            layout: layout.clone(),
            duty: Some(Hash::repeat_byte(said)),
            data: vec![value; layout.elements()],
        };
        let bytes = file.encode().unwrap();
        let blob = BlobRef { root: consilium_aggregation::blob_hash(&bytes), len: bytes.len() as u64 };
        let institution = InstitutionId([duty; 32]);
        (MergeInput { institution, duty: Hash::repeat_byte(duty), blob, weight: 1 }, bytes)
    };
    let (good, good_bytes) = input(1, 1, 0.5);
    let (copied, copied_bytes) = input(2, 1, 0.25);
    let (late, late_bytes) = input(3, 3, 0.75);
    blobs.put(&good_bytes).unwrap();
    blobs.put(&copied_bytes).unwrap();
    let merge = |round: u32, inputs: &[MergeInput]| {
        let mut order = lab.order(DutyKind::Merge, round, Some(Hash::repeat_byte(round as u8)), None);
        (order.base, order.inputs) = (None, inputs.to_vec());
        order
    };
    let settled = |order: &DutyOrder, wanted: DutyState| {
        let until = Instant::now() + Duration::from_secs(20);
        while lab.ask(order, true) != wanted {
            assert!(Instant::now() < until, "{:?}, not {wanted:?}", lab.ask(order, true));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    settled(&merge(1, &[good, copied, late]), DutyState::Inputs { have: 0b001, invalid: 0b010 });
    let order = merge(2, &[good, late]);
    settled(&order, DutyState::Inputs { have: 0b01, invalid: 0 });
    // a file that does not have its own hash is missing, not invalid
    fs::write(lab.blob(&late.blob.root), vec![0; late_bytes.len()]).unwrap();
    settled(&order, DutyState::Inputs { have: 0b01, invalid: 0 });
    let until = Instant::now() + Duration::from_secs(20);
    while lab.blob(&late.blob.root).exists() {
        assert!(Instant::now() < until);
        lab.ask(&order, true);
        std::thread::sleep(Duration::from_millis(20));
    }
    blobs.put(&late_bytes).unwrap();
    let merged = fs::read(lab.blob(&root(lab.done(&order)))).unwrap();
    let merged = ModelFile::decode_merged(&merged, &layout).unwrap();
    assert!(merged.data.iter().all(|x| *x == 0.625));
}

#[test]
fn the_first_result_on_disk_stays_the_result() {
    let lab = Lab::new(0, file().spec());
    let statistics = lab.order(DutyKind::Statistics, 0, None, None);
    let first = lab.done(&statistics);
    fs::write(lab.dir.path().join("data.csv"), "diagnosis\nM\n").unwrap();
    let again = start(lab.dir.path());
    let request = DutyRequest { version: PROTOCOL_VERSION, specs: vec![], orders: vec![statistics] };
    assert_eq!(again.answer(&request).unwrap().answers[0].state, DutyState::Done(first));
}
