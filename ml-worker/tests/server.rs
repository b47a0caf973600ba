//! The worker as its node sees it: duties in, answers out; what it refuses; what it survives.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::{blob_hash, ModelFile, Statistics};
use consilium_ml_worker::{
    data::read_table,
    server::Worker,
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::{
    duty::PROTOCOL_VERSION, BlobRef, DutyKind, DutyOrder, DutyOutput, DutyRequest, DutyState, FailureCode, Hash,
    InstitutionId, MergeInput,
};
use consilium_study::{StudyFile, StudySpec};
use std::{
    fs,
    time::{Duration, Instant},
};
use support::{demo_csv, entry, file, input, order, root, sealed, start, unscaled, Door, Lab, AGREEMENT};

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
            let mut order = lab.order(kind, round, None, None);
            order.base = (kind == DutyKind::Merge).then(|| part[0].base.unwrap());
            order.inputs = inputs.clone();
            root(lab.done(&sealed(order)))
        })
        .collect();
    assert!(merged.windows(2).all(|pair| pair[0] == pair[1]), "every site merges to the same bytes");
    merged[0]
}

/// What is asked by a node of this version, without masks and with nothing that follows.
fn asks(version: u8, specs: Vec<Vec<u8>>, orders: Vec<DutyOrder>) -> DutyRequest {
    DutyRequest { version, specs, orders, ahead: vec![], masked: vec![] }
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
    let bare = asks(PROTOCOL_VERSION, vec![], vec![order.clone()]);
    assert_eq!(lab.worker.answer(&bare).answers[0].state, DutyState::NeedSpec);
    let mut text = lab.spec.canonical().unwrap();
    text.push(b'\n');
    let request = asks(PROTOCOL_VERSION, vec![text], vec![order.clone()]);
    assert_eq!(lab.worker.answer(&request).answers[0].state, DutyState::NeedSpec);
    lab.done(&order);
    assert!(Worker::answer(&lab.worker, &asks(9, vec![], vec![])).is_err());
}

#[test]
fn what_sites_toml_does_not_list_is_refused() {
    let lab = Lab::new(0, file().spec());
    let mut order = lab.order(DutyKind::Init, 0, None, None);
    order.duty.agreement = Hash::repeat_byte(8);
    assert_eq!(lab.ask(&order), DutyState::Failed(FailureCode::Refused));
    let folder = lab.dir.path().join("home/studies").join(hex::encode(order.duty.agreement));
    assert!(!folder.exists(), "nothing is kept of a study that is refused");
    let late = lab.order(DutyKind::Train, 51, Some(Hash::zero()), None);
    assert_eq!(lab.ask(&late), DutyState::Failed(FailureCode::Refused));
}

/// Asks until something else than `Queued` is said, which must not be before ten seconds have passed.
fn patience(lab: &Lab, order: &DutyOrder) -> FailureCode {
    let began = Instant::now();
    let code = lab.failed(order);
    assert!(began.elapsed() >= Duration::from_secs(9), "{code:?} after {:?}", began.elapsed());
    code
}

#[test]
fn a_sites_toml_that_is_just_being_edited_refuses_nothing_for_ten_seconds() {
    for (name, edited) in [("half a file", "[[study]]\nagreement = 3"), ("no entry any more", "")] {
        let lab = Lab::new(0, file().spec());
        let sites = lab.dir.path().join("sites.toml");
        let init = lab.order(DutyKind::Init, 0, None, None);
        fs::write(&sites, edited).unwrap();
        assert_eq!(lab.ask(&init), DutyState::Queued, "{name}");
        fs::write(&sites, entry(&AGREEMENT)).unwrap();
        lab.done(&init);
        fs::write(&sites, edited).unwrap();
        assert!(matches!(lab.ask(&init), DutyState::Done(_)), "{name}: what is done stays done");
        let next = lab.order(DutyKind::Statistics, 1, None, None);
        assert_eq!(patience(&lab, &next), FailureCode::Refused, "{name}");
        fs::write(&sites, entry(&AGREEMENT)).unwrap();
        lab.done(&next);
    }
}

#[test]
fn a_data_file_that_is_just_being_replaced_fails_nothing_for_ten_seconds() {
    let lab = Lab::new(0, file().spec());
    let data = lab.dir.path().join("data.csv");
    let good = fs::read_to_string(&data).unwrap();
    fs::remove_file(&data).unwrap();
    let order = lab.order(DutyKind::Statistics, 0, None, None);
    assert_eq!(lab.ask(&order), DutyState::Queued);
    // put there whole: what is read of a half-written table is another table
    let beside = lab.dir.path().join("data.csv.new");
    fs::write(&beside, &good).unwrap();
    fs::rename(&beside, &data).unwrap();
    lab.done(&order);
    fs::remove_file(&data).unwrap();
    assert_eq!(patience(&lab, &lab.order(DutyKind::Statistics, 1, None, None)), FailureCode::DataUnreadable);
}

#[test]
fn an_agreement_has_one_spec_for_good() {
    let lab = Lab::new(0, unscaled(1));
    let train = |spec: &StudySpec, round: u32, base: Hash| order(spec, DutyKind::Train, round, Some(base));
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let other = unscaled(2);
    assert_eq!(lab.worker.ask(&other, &train(&other, 1, base)), DutyState::Failed(FailureCode::Refused));
    let again = start(lab.dir.path());
    assert_eq!(again.ask(&other, &train(&other, 2, base)), DutyState::Failed(FailureCode::Refused));
    again.done(&lab.spec, &train(&lab.spec, 1, base));
}

#[test]
fn a_spec_that_was_damaged_on_disk_is_asked_for_again() {
    let lab = Lab::new(0, file().spec());
    let order = lab.order(DutyKind::Init, 0, None, None);
    let path = lab.dir.path().join("home/specs").join(hex::encode(order.spec));
    lab.ask(&order);
    // canonical, but another study
    fs::write(&path, unscaled(9).canonical().unwrap()).unwrap();
    let again = start(lab.dir.path());
    let bare = asks(PROTOCOL_VERSION, vec![], vec![lab.order(DutyKind::Init, 1, None, None)]);
    assert_eq!(again.answer(&bare).answers[0].state, DutyState::NeedSpec);
    again.done(&lab.spec, &bare.orders[0]);
    assert_eq!(fs::read(&path).unwrap(), lab.spec.canonical().unwrap());
}

#[test]
fn changed_missing_and_unfit_data_are_told_apart_and_a_change_can_be_accepted() {
    let lab = Lab::new(0, file().spec());
    let data = lab.dir.path().join("data.csv");
    let good = fs::read_to_string(&data).unwrap();
    let unfit = good.replace(",B\n", ",X\n");
    // a file that could not be used is not the one this study began with
    fs::write(&data, &unfit).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 0, None, None)), FailureCode::SchemaMismatch);
    assert_eq!(lab.home().data(&AGREEMENT).unwrap(), None);
    let accept = |text: &str| lab.home().accept_data(&AGREEMENT, &blob_hash(text.as_bytes()));
    assert!(accept(&good).unwrap_err().to_string().contains("no data file was ever used"));
    fs::write(&data, &good).unwrap();
    // each ask is another duty: a failure is remembered for a while
    lab.done(&lab.order(DutyKind::Statistics, 1, None, None));
    fs::write(&data, &unfit).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 2, None, None)), FailureCode::DataChanged);
    accept(&unfit).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 3, None, None)), FailureCode::SchemaMismatch);
    // what was accepted is one file, not whatever comes
    fs::write(&data, &good).unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 4, None, None)), FailureCode::DataChanged);
}

#[test]
fn numbers_too_large_for_statistics_are_the_sites_own_failure() {
    let text = demo_csv(0);
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: String = rows.lines().map(|row| format!("1e200,{}\n", row.split_once(',').unwrap().1)).collect();
    let lab = Lab::with(&format!("{header}\n{rows}"), file().spec());
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 0, None, None)), FailureCode::NotFinite);
}

#[test]
fn a_column_that_every_site_withheld_is_not_trained_on() {
    let lab = Lab::new(0, file().spec());
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let n = lab.spec.inputs();
    let mut merged = Statistics { count: vec![90.0; n], mean: vec![1.0; n], m2: vec![4.0; n] };
    let train = |round, merged: &Statistics| {
        let root = lab.blobs().put(&merged.encode(None).unwrap()).unwrap();
        lab.order(DutyKind::Train, round, Some(base), Some(root))
    };
    lab.done(&train(1, &merged));
    (merged.count[7], merged.mean[7], merged.m2[7]) = (0.0, 0.0, 0.0);
    assert_eq!(lab.failed(&train(2, &merged)), FailureCode::TooFewSamples);
}

#[test]
fn a_merge_goes_on_beside_a_long_training_and_says_nothing_before_it_has_looked() {
    // its initial model keeps the merging thread busy for a while
    let text = include_str!("../../examples/breast-cancer/study.toml");
    let text =
        text.replace("[16]", "[4096, 4096]").replace("\"swarm\"", "\"none\"").replace("epochs = 2", "epochs = 50");
    let lab = Lab::with(&demo_csv(0), StudyFile::parse(&text).unwrap().spec());
    let small = unscaled(1);
    let (mine, bytes) = input(&small, Hash::repeat_byte(1), 0.5);
    lab.blobs().put(&bytes).unwrap();
    let zeros = lab.zeros();
    let merge = |round, input| {
        sealed(DutyOrder { inputs: vec![input], ..lab.order(DutyKind::Merge, round, Some(zeros), None) })
    };
    let first = merge(9, mine);
    let init = lab.order(DutyKind::Init, 0, None, None);
    let specs = vec![lab.spec.canonical().unwrap()];
    let orders = vec![init.clone(), first.clone()];
    let reply = lab.worker.answer(&asks(PROTOCOL_VERSION, specs, orders));
    let states: Vec<DutyState> = reply.answers.iter().map(|a| a.state).collect();
    assert_eq!(states[0], DutyState::Queued, "too fast for this test: use a larger model");
    assert_eq!(states[1], DutyState::Queued, "it may be there, and nobody has looked");
    // the file is none of this model's
    lab.worker.until(&lab.spec, &first, |state| match state {
        DutyState::Queued => None,
        DutyState::Inputs { have: 0, invalid: 1 } => Some(()),
        other => panic!("{other:?}"),
    });
    let base = root(lab.done(&init));
    let train = lab.order(DutyKind::Train, 1, Some(base), None);
    lab.worker.running(&lab.spec, &train);
    let (mine, bytes) = input(&lab.spec, Hash::repeat_byte(2), 0.5);
    lab.blobs().put(&bytes).unwrap();
    lab.done(&merge(8, mine));
    assert!(matches!(lab.ask(&train), DutyState::Running { .. }), "the training was to outlast the merge");
    lab.home().set_held(true).unwrap();
}

#[test]
fn a_merge_says_which_inputs_it_has_and_which_are_not_what_they_must_be() {
    let lab = Lab::new(0, file().spec());
    let layout = lab.spec.layout().unwrap();
    let blobs = lab.blobs();
    let input = |duty: u8, said: u8, value: f32| {
        let (input, bytes) = input(&lab.spec, Hash::repeat_byte(said), value);
        (MergeInput { duty: Hash::repeat_byte(duty), institution: InstitutionId([duty; 32]), ..input }, bytes)
    };
    let (good, good_bytes) = input(1, 1, 0.5);
    let (copied, copied_bytes) = input(2, 1, 0.25);
    let (late, late_bytes) = input(3, 3, 0.75);
    blobs.put(&good_bytes).unwrap();
    blobs.put(&copied_bytes).unwrap();
    let zeros = lab.zeros();
    let merge = |round: u32, inputs: &[MergeInput]| {
        sealed(DutyOrder { inputs: inputs.to_vec(), ..lab.order(DutyKind::Merge, round, Some(zeros), None) })
    };
    lab.settles(&merge(1, &[good, copied, late]), DutyState::Inputs { have: 0b001, invalid: 0b010 });
    let order = merge(2, &[good, late]);
    lab.settles(&order, DutyState::Inputs { have: 0b01, invalid: 0 });
    // a file that does not have its own hash is missing, not invalid
    fs::write(lab.blob(&late.blob.root), vec![0; late_bytes.len()]).unwrap();
    lab.settles(&order, DutyState::Inputs { have: 0b01, invalid: 0 });
    let until = Instant::now() + Duration::from_secs(20);
    while lab.blob(&late.blob.root).exists() {
        assert!(Instant::now() < until);
        lab.ask(&order);
        std::thread::sleep(Duration::from_millis(20));
    }
    blobs.put(&late_bytes).unwrap();
    let merged = fs::read(lab.blob(&root(lab.done(&order)))).unwrap();
    let merged = ModelFile::decode_merged(&merged, &layout).unwrap();
    assert!(merged.data.iter().all(|x| *x == 0.625));
}

#[test]
fn a_file_that_is_damaged_after_it_was_found_good_is_fetched_again_and_nobody_is_blamed() {
    // a bit of the header, of a number, and all that make a number infinite
    let spoils: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[60] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| {
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        },
    ];
    for (round, spoil) in (1u32..).zip(spoils) {
        let lab = Lab::new(0, file().spec());
        let (good, good_bytes) = input(&lab.spec, Hash::repeat_byte(1), 0.5);
        let (late, late_bytes) = input(&lab.spec, Hash::repeat_byte(2), 0.75);
        let base = lab.zeros();
        let inputs = vec![good, late];
        let order = sealed(DutyOrder { inputs, ..lab.order(DutyKind::Merge, round, Some(base), None) });
        let path = lab.blobs().put(&good_bytes).map(|root| lab.blob(&root)).unwrap();
        lab.settles(&order, DutyState::Inputs { have: 0b01, invalid: 0 });
        for (path, bytes) in [(&path, good_bytes), (&lab.blob(&base), fs::read(lab.blob(&base)).unwrap())] {
            let mut damaged = bytes.clone();
            spoil(&mut damaged);
            fs::write(path, damaged).unwrap();
            lab.blobs().put(&late_bytes).unwrap();
            let until = Instant::now() + Duration::from_secs(20);
            while path.exists() {
                let state = lab.ask(&order);
                let blamed = matches!(state, DutyState::Inputs { invalid, .. } if invalid != 0);
                assert!(!blamed && Instant::now() < until, "{state:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            if *path == lab.blob(&good.blob.root) {
                lab.settles(&order, DutyState::Inputs { have: 0b10, invalid: 0 });
            }
            fs::write(path, bytes).unwrap();
        }
        let merged = fs::read(lab.blob(&root(lab.done(&order)))).unwrap();
        let merged = ModelFile::decode_merged(&merged, &lab.spec.layout().unwrap()).unwrap();
        assert!(merged.data.iter().all(|x| *x == 0.625));
    }
}

#[test]
fn the_first_result_on_disk_stays_the_result() {
    let lab = Lab::new(0, file().spec());
    let statistics = lab.order(DutyKind::Statistics, 0, None, None);
    let first = lab.done(&statistics);
    fs::write(lab.dir.path().join("data.csv"), "diagnosis\nM\n").unwrap();
    let again = start(lab.dir.path());
    let request = asks(PROTOCOL_VERSION, vec![], vec![statistics]);
    assert_eq!(again.answer(&request).answers[0].state, DutyState::Done(first));
}

/// A worker that measured on the CPU all the same would not notice that there is no such GPU.
#[test]
fn a_model_is_measured_on_the_gpu_that_the_site_names() {
    for (gpu, found) in [("", true), ("gpu = 999\n", false)] {
        let lab = Lab::new(0, unscaled(1));
        fs::write(lab.dir.path().join("sites.toml"), entry(&AGREEMENT) + gpu).unwrap();
        let lab = Lab { worker: start(lab.dir.path()), ..lab };
        let order = lab.order(DutyKind::Evaluate, 1, Some(lab.zeros()), None);
        match found {
            true => assert!(matches!(lab.done(&order), DutyOutput::Metric(_))),
            false => assert_eq!(lab.failed(&order), FailureCode::Internal),
        }
    }
}
