//! A round whose masked files were summed, with a partner that is not in the sum; and each of 200 changes of a byte.

use super::{report, verdict};
use crate::{
    audit::{
        report::{Subject, Verdict},
        testing::{id, World, STUDY},
    },
    chain::agreement_hash,
};
use consilium_aggregation::{
    blob_hash,
    masked::{mask_update, merge_unmasked, Figures, MaskedRound, OwnUpdate, Scale},
    ModelFile,
};
use consilium_masks::{deal_hash, mask_streams, reveal, Entropy, Id, KeyList, Partner, Partners, Secrets, Sharing};
use consilium_primitives::{
    masks,
    round::{Certificate, Kind, MaskedRecord, Member, Phase, RecordedInput, RoundRecord},
    rules::masked_inputs_root,
    Duty, DutyKind, Hash, Masked, PostStep, VoidReason,
};
use consilium_study::{Scaling, StudySpec};
use sp_crypto_hashing::blake2_256;
use std::fs;

/// Sites and their signed rows; the last one deals, and sends nothing.
const SITES: [(u8, u32); 4] = [(1, 100), (2, 60), (3, 40), (4, 50)];
const RANGE_LOG2: i8 = 2;

fn secrets(site: u8) -> Secrets {
    Secrets::draw(&mut Entropy::new(&[site; 32], b"audit"))
}

/// A finished study of one masked round.
fn masked() -> World {
    let mut world = World::new();
    let first = world.round(0).clone();
    let mut spec = StudySpec::from_canonical(world.history.spec.as_ref().unwrap()).unwrap();
    spec.data.scaling = Scaling::Site;
    let (bytes, layout) = (spec.canonical().unwrap(), spec.layout().unwrap());
    let lens = spec.masked_lens().unwrap();
    let state = &mut world.history.info.state;
    let last = Member { id: id(4), samples: 50, weight: 50, ..state.members[0].clone() };
    state.members.try_push(last).unwrap();
    (state.rules.update_len, state.rules.statistics_len, state.rules.min_participants) = (lens.update, 0, 3);
    state.rules.masked =
        Some(Masked { range_log2: RANGE_LOG2, statistics_len: lens.statistics, figures_len: lens.figures });
    let agreement = agreement_hash(world.history.genesis, &state.proposer, &state.rules, &bytes);
    (state.statistics, state.round, state.base_round) = (None, 1, 1);
    let merge = state.rules.merge.clone();
    world.history.info.agreement = agreement;
    world.history.info.spec_hash = Hash::from(blake2_256(&bytes));
    world.history.spec = Some(bytes);

    // keys, deals, partners
    let genesis = world.history.genesis;
    let context = masks::context(&genesis, STUDY, &agreement, Kind::Model, 1, 1);
    let name = |site: u8| -> Id { id(site).0 };
    let keys = |site: u8| secrets(site).public_keys(&context.0, &name(site));
    let list = KeyList::new(context.0, SITES.iter().map(|(site, _)| (name(*site), keys(*site))).collect()).unwrap();
    let deals: Vec<Vec<u8>> = SITES
        .iter()
        .map(|(site, _)| Sharing::new(&secrets(*site), &list).deal(&secrets(*site), &name(*site), &list).unwrap())
        .collect();
    let partner = |((site, weight), deal): (&(u8, u32), &Vec<u8>)| Partner {
        id: name(*site),
        deal: deal_hash(deal),
        weight: *weight,
    };
    let partners = Partners::new(list, SITES.iter().zip(&deals).map(partner).collect()).unwrap();
    let root = Hash::from(*partners.root());
    let mut post = |step, site: u8, bytes: Vec<u8>| {
        world.history.postings.insert((1, 1, step, id(site)), bytes);
    };
    for ((site, _), deal) in SITES.iter().zip(&deals) {
        post(PostStep::Keys, *site, keys(*site).to_bytes().to_vec());
        post(PostStep::Deal, *site, deal.clone());
    }
    let there = &SITES[..3];
    let used = partners.set_of(&there.iter().map(|(site, _)| name(*site)).collect::<Vec<Id>>()).unwrap();
    for (site, _) in there {
        let (given, _) = reveal(&secrets(*site), &name(*site), &partners, used, 3, &deals).unwrap();
        post(PostStep::Reveal, *site, given.to_bytes());
    }

    // updates under masks, and their sum
    let base = world.path(first.root);
    let model = ModelFile::decode(&fs::read(&base).unwrap(), &layout).unwrap().data;
    let total: u64 = SITES.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let round =
        MaskedRound { merge: &merge, scale: Scale::new(RANGE_LOG2), noised: None, total, base: &base, layout: &layout };
    let (mut inputs, mut parts, mut figures) = (Vec::new(), Vec::new(), Figures::default());
    for (site, weight) in there {
        let duty = |kind, base| Duty {
            kind,
            genesis,
            study: STUDY,
            agreement,
            round: 1,
            institution: id(*site),
            base,
            statistics: Hash::zero(),
        };
        let (trained, own) = (duty(DutyKind::Train, first.root).hash(), duty(DutyKind::Mask, root).hash());
        let step = f32::from(*site) * 0.01;
        let data: Vec<f32> = model.iter().enumerate().map(|(i, x)| x + step * (i % 5) as f32).collect();
        let (update, out) = (world.folder().join(format!("update-{site}")), world.folder().join(format!("out-{site}")));
        fs::write(
            &update,
            ModelFile { layout: layout.clone(), duty: Some(trained), data: data.clone() }.encode().unwrap(),
        )
        .unwrap();
        let said = Figures::of(100_000 * u32::from(*site), 20);
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&out).unwrap();
        let streams = mask_streams(&secrets(*site), &name(*site), &partners).unwrap();
        let update = OwnUpdate { path: &update, duty: &trained, weight: *weight, figures: said };
        mask_update(&round, &update, &streams, &own, (&file, out.as_path())).unwrap();
        let root = blob_hash(&fs::read(&out).unwrap());
        fs::rename(&out, world.path(root)).unwrap();
        inputs.push(RecordedInput { institution: id(*site), duty: own, root, weight: *weight, committed_at: 9 });
        parts.push((data, *weight));
        figures.loss += said.loss;
        figures.rows += said.rows;
        figures.reporters += said.reporters;
    }
    let parts: Vec<(&[f32], u32)> = parts.iter().map(|(data, weight)| (data.as_slice(), *weight)).collect();
    let data = merge_unmasked(&merge, Scale::new(RANGE_LOG2), total, &parts, &model, &[]).unwrap().0;
    let merged = ModelFile { layout, duty: None, data }.encode().unwrap();
    let came = blob_hash(&merged);
    fs::write(world.path(came), merged).unwrap();
    let listed: Vec<_> = inputs.iter().map(|i| (i.institution, i.root, i.weight)).collect();
    let record = RoundRecord {
        round: 1,
        base: first.root,
        inputs_root: masked_inputs_root(&listed, &merge, first.root, root),
        inputs: inputs.try_into().unwrap(),
        root: came,
        masked: Some(MaskedRecord {
            pairing: 1,
            listed: 0b1111,
            partners: 0b1111,
            weight: total,
            fixed_at: 2,
            evaluated: 0,
            pooled: figures.pooled(3),
            void: None,
        }),
        ..first.clone()
    };
    world.history.info.state.base = came;
    world.history.info.state.phase = Phase::Completed(Certificate { round: 1, root: came, roster: 15, held: 7 });
    world.history.records = vec![first, record];
    world
}

#[test]
fn a_masked_round_is_verified_from_its_files_and_what_was_posted() {
    let world = masked();
    assert_eq!(world.history.records[1].masked.as_ref().unwrap().pooled, Some(200_000));
    let found = report(&world);
    assert!(found.findings.iter().all(|finding| finding.verdict == Verdict::Verified), "{found}");
    assert!(
        found.to_string().contains("its 3 masked files and the shares that were posted give exactly this sum"),
        "{found}"
    );
}

#[test]
fn each_of_two_hundred_changes_of_a_masked_round_is_found() {
    let mut chance = 9u64;
    let mut draw = |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % below
    };
    let mut world = masked();
    let sound = world.history.clone();
    for change in 0..200 {
        let what = match change % 8 {
            0 => {
                let record = &mut world.history.records[1];
                record.inputs[draw(3)].weight ^= 1 << draw(6);
                "a weight".to_owned()
            }
            1 => {
                let root = world.history.records[1].inputs[draw(3)].root;
                let mut bytes = fs::read(world.path(root)).unwrap();
                let place = draw(bytes.len());
                bytes[place] ^= 1 << draw(8);
                let whole = fs::read(world.path(root)).unwrap();
                fs::write(world.path(root), &bytes).unwrap();
                let found = report(&world);
                assert_eq!(
                    verdict(&found, Subject::Round(1)),
                    Verdict::Differs,
                    "byte {place} of a masked file: {found}"
                );
                fs::write(world.path(root), whole).unwrap();
                continue;
            }
            2 => {
                world.history.records[1].masked.as_mut().unwrap().pooled = Some(200_000 ^ (1 << draw(16)));
                "the pooled loss".to_owned()
            }
            _ => {
                let (count, chosen) = (world.history.postings.len(), draw(usize::MAX));
                let (at, bytes) = world.history.postings.iter_mut().nth(chosen % count).unwrap();
                let place = draw(bytes.len());
                bytes[place] ^= 1 << draw(8);
                format!("byte {place} of {at:?}")
            }
        };
        let found = report(&world);
        assert_eq!(verdict(&found, Subject::Round(1)), Verdict::Differs, "{what}: {found}");
        world.history = sound.clone();
    }
    assert_eq!(report(&world).code(), 0);
}

#[test]
fn once_what_was_posted_is_gone_the_round_says_so_and_a_void_one_says_why() {
    let mut world = masked();
    world.history.postings.clear();
    let found = report(&world);
    assert_eq!(verdict(&found, Subject::Round(1)), Verdict::Missing, "its files must still be there: {found}");
    world.history.listed = false;
    let found = report(&world);
    assert_eq!(verdict(&found, Subject::Round(1)), Verdict::Deleted, "{found}");
    // a sum that is none is not to be called void
    let mut world = masked();
    let base = world.history.records[0].root;
    let record = &mut world.history.records[1];
    record.root = Hash::zero();
    (record.masked.as_mut().unwrap().void, record.masked.as_mut().unwrap().pooled) =
        (Some(VoidReason::OutOfRange), None);
    (world.history.info.state.base, world.history.info.state.base_round) = (base, 0);
    let found = report(&world);
    assert_eq!(verdict(&found, Subject::Round(1)), Verdict::Differs, "{found}");
    assert!(found.to_string().contains("nothing came of it"), "{found}");
}
