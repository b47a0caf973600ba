//! Private studies whose noise sites share: what leaves a site is masked, in whatever way it is asked, and the model is made of the sum.

use super::{
    net::{Net, There, ALL, FOUR, WEIGHTS, WITHOUT_D},
    summed,
    support::{below, start},
};
use consilium_aggregation::{
    masked::{merge_noised, MaskedLayout},
    ModelFile,
};
use consilium_primitives::{masks::DEALT, round::Kind, DutyKind, DutyOutput, DutyState, FailureCode, MaskOrder};
use consilium_study::StudyFile;
use std::fs;

/// The example's private study with one step a round, in which sums over at least so many sites have all of the noise.
fn shared(least: u32) -> Net {
    let mut text = include_str!("../../../examples/breast-cancer/private.toml").to_owned();
    for (from, to) in [
        ("min_participants = 3", format!("min_participants = {least}\nmasked = true\nmax_share = 1.0")),
        ("rate = 0.25 ", "rate = 1.0 ".into()),
        ("steps = 8 ", "steps = 1 ".into()),
        ("unit = \"record\"", "unit = \"record\"\nnoise = \"shared\"".into()),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    let file = StudyFile::parse(&text).unwrap();
    let rules = file.rules(2_000, 4).unwrap();
    assert_eq!(rules.least_summed(), least);
    Net::agreed(file.spec(), rules, "masked = true\ndataset = \"demo\"\nepsilon = 100.0\n")
}

/// What a site adds to the sum: it lies in its worker's folder alone.
fn words(net: &Net, n: usize) -> Vec<u32> {
    let (bytes, layout) = (net.trained(n), net.spec.layout().unwrap());
    let masked = MaskedLayout::model(&layout).unwrap();
    let start = bytes.len() - 4 * (masked.padded() + 6);
    let (words, _) = bytes[start..].as_chunks::<4>();
    words[..layout.elements()].iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn model(net: &Net, n: usize) -> Vec<f32> {
    let bytes = fs::read(net.labs[n].blob(&net.base)).unwrap();
    ModelFile::decode_merged(&bytes, &net.spec.layout().unwrap()).unwrap().data
}

fn lines(net: &Net, n: usize) -> usize {
    net.labs[n].home().ledger("demo").unwrap().entries().len()
}

fn train(net: &Net, n: usize) {
    let done = net.until(n, &net.work(n, Kind::Model), Some(&net.mask(n, Kind::Model)));
    assert_eq!(done, (DutyOutput::Held, Vec::new()), "the node hears nothing of it");
}

#[test]
fn the_model_is_made_of_the_sum_of_gradients_and_noise_whoever_is_lost() {
    let mut net = shared(3);
    let cases = [
        FOUR,
        There { deals: WITHOUT_D, files: WITHOUT_D, reveals: WITHOUT_D, ..FOUR },
        There { files: WITHOUT_D, reveals: WITHOUT_D, ..FOUR },
    ];
    for (round, there) in cases.into_iter().enumerate() {
        let base = model(&net, 0);
        let sum = net.play(Kind::Model, there);
        let (root, pooled) = summed(&sum);
        assert_eq!(pooled, None, "no figure of the rows leaves");
        let all: Vec<Vec<u32>> = there.files.iter().map(|n| words(&net, *n)).collect();
        let weights = there.files.iter().map(|n| WEIGHTS[*n]);
        let parts: Vec<(&[u32], u32)> = all.iter().map(Vec::as_slice).zip(weights).collect();
        let noised = net.spec.noised().unwrap().unwrap();
        let expected = merge_noised(&net.rules.merge, noised, &parts, &base, &[]).unwrap().0;
        net.base = root;
        assert!(model(&net, 0) == expected && expected != base);
        let bytes = fs::read(net.labs[0].blob(&root)).unwrap();
        net.labs.iter().for_each(|lab| fs::write(lab.blob(&root), &bytes).unwrap());
        // each round is in every ledger once, whoever was in its sum
        assert!((0..4).all(|n| lines(&net, n) == round + 1));
        net.round += 1;
    }
}

/// The part of the noise that the others complete, and not all of it.
#[test]
fn a_site_adds_its_part_of_the_noise_anew_in_each_round() {
    let mut net = shared(3);
    train(&net, 0);
    let first = words(&net, 0);
    net.round = 2;
    train(&net, 0);
    // on the same model and the same rows: what differs is noise alone, twice
    let second = words(&net, 0);
    let differences = first.iter().zip(&second).map(|(a, b)| f64::from(b.wrapping_sub(*a) as i32));
    let squares: f64 = differences.map(|difference| difference * difference).sum();
    let deviation = (squares / first.len() as f64 / 2.0).sqrt();
    let noise = net.spec.shared_sum().unwrap().unwrap().noise;
    let off = deviation / noise.units();
    assert!((off - 1.0).abs() < 0.12, "{off} times the agreed deviation, over {} numbers", first.len());
}

#[test]
fn a_worker_that_is_started_again_repeats_the_same_words_and_spends_nothing_more() {
    let mut net = shared(3);
    train(&net, 0);
    let first = words(&net, 0);
    // what was trained is lost, as in a power cut
    let home = net.labs[0].dir.path().join("home");
    for path in below(&home) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("trained-") || name.starts_with("worked-") {
            fs::remove_file(path).unwrap();
        }
    }
    net.labs[0].worker = start(net.labs[0].dir.path());
    train(&net, 0);
    assert_eq!(words(&net, 0), first);
    assert_eq!(lines(&net, 0), 1);
    // and the same file under the same masks
    for n in 1..4 {
        train(&net, n);
    }
    let (masked, deals) = net.pair(Kind::Model, FOUR);
    let inputs = net.commit(Kind::Model, FOUR, &masked);
    let path = net.labs[0].blob(&inputs[0].blob.root);
    let file = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let sum = net.sum(Kind::Model, FOUR, &masked, &deals, inputs);
    assert!(fs::read(&path).unwrap() == file);
    summed(&sum);
}

#[test]
fn where_sites_share_the_noise_nothing_is_trained_without_masks_nor_for_rules_that_nobody_signed() {
    let net = shared(3);
    // also where sites.toml says nothing of masks
    let sites = net.labs[0].dir.path().join("sites.toml");
    let text = fs::read_to_string(&sites).unwrap();
    fs::write(&sites, text.replace("masked = true\n", "")).unwrap();
    for kind in [Kind::Model, Kind::Evaluation] {
        assert_eq!(net.ask(0, &net.work(0, kind), None).0, DutyState::Failed(FailureCode::Refused), "{kind:?}");
    }
    let mut other = net.mask(1, Kind::Model);
    other.rules.privacy.as_mut().unwrap().sigma_1024 /= 2;
    assert_eq!(net.failed(1, &net.work(1, Kind::Model), &other), FailureCode::Refused);
    assert!((0..2).all(|n| net.labs[n].home().datasets().unwrap().is_empty()), "nothing was reserved");
}

/// Of fewer sites than were agreed on, a sum has less noise: whatever set the node names, it stays closed.
#[test]
fn a_sum_over_fewer_sites_than_the_noise_is_reckoned_with_is_not_opened() {
    for least in [3, 4] {
        let mut net = shared(least);
        for n in 0..4 {
            train(&net, n);
        }
        let (masked, deals) = net.pair(Kind::Model, FOUR);
        let inputs = net.commit(Kind::Model, There { files: WITHOUT_D, ..FOUR }, &masked);
        let reveal = net.with_inputs(0, Kind::Model, DutyKind::Reveal, &inputs, &masked[0]);
        let part = |deal: &Vec<u8>| deal[..DEALT as usize].to_vec();
        let order = MaskOrder { fixed_at: 9, dealt: deals.iter().map(part).collect(), ..masked[0].clone() };
        let said = net.ask(0, &reveal, Some(&order)).0;
        if least == 3 {
            assert_eq!(said, DutyState::Done(DutyOutput::Posted), "three of four are enough here");
            continue;
        }
        assert_eq!(said, DutyState::Failed(FailureCode::Refused));
        let mut fewer = order;
        fewer.rules.min_participants = 3;
        assert_eq!(net.ask(0, &reveal, Some(&fewer)).0, DutyState::Failed(FailureCode::Refused));
        let all = net.commit(Kind::Model, There { files: ALL, ..FOUR }, &masked);
        assert_eq!(all.len(), 4);
    }
}
