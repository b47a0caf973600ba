//! What an archive shows, what is refused of a changed one, and what does not get into one.
#![allow(clippy::unwrap_used)]
use super::{
    export::{files, write, Target},
    finality::{AuthoritySet, FinalityProof},
    format::open,
    state,
    testing::{by_child, chain_state, evidence, header, justify, pair, set, Made, SET},
    Trust,
};
use crate::audit::{
    blobs::Sources,
    check::audit,
    testing::{World, STUDY},
};
use anyhow::Result;
use codec::Encode;
use consilium_primitives::{round::Kind, Hash};
use sp_core::Pair;
use sp_state_machine::prove_read;
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn a_proof_shows_the_study_and_what_is_absent() {
    let made = Made::new(false);
    let history = &made.proven.history;
    assert_eq!(history.info.encode(), made.world.history.info.encode());
    assert_eq!(history.records, made.world.history.records);
    assert_eq!(history.names, made.world.history.names);
    assert_eq!(history.genesis, made.world.history.genesis);
    assert_eq!(made.proven.set, set(SET, &[1, 2, 3, 4]));
    // a study without statistics: the same keys, one of them proven to be absent
    let mut world = World::new();
    world.history.records.retain(|record| record.kind != Kind::Statistics);
    assert_eq!(evidence(&world, false).1.history.records.len(), 4);
}

#[test]
fn a_proof_of_other_keys_or_another_root_is_refused() {
    let made = Made::new(false);
    let root = made.proven.history.genesis;
    assert!(state::read(root, 1, &made.evidence.proof, STUDY).is_err());
    let backend = chain_state(&made.world);
    let root = *backend.root();
    let keys = state::keys(STUDY, &made.world.history.info, &[]);
    let fewer = prove_read(backend, &keys[..keys.len() - 5]).unwrap();
    let fewer: Vec<Vec<u8>> = fewer.into_iter_nodes().collect();
    assert!(state::read(root, 1, &fewer, STUDY).is_err());
}

#[test]
fn an_archive_without_updates_verifies_under_a_trusted_block() {
    let made = Made::new(false);
    let opened = made.opened(&made.evidence, &made.trust_block()).unwrap();
    assert!(opened.rests_on.starts_with("relative to block 20"), "{}", opened.rests_on);
    let mut sources = Sources::default();
    sources.add(opened.blobs);
    let report = audit(&opened.proven.history, &sources);
    assert_eq!(report.code(), 0, "{report}");
    assert!(report.to_string().contains("round 3: inputs left out of the archive"), "{report}");
    // with the updates from elsewhere, the merges too
    sources.add(made.blobs());
    assert!(audit(&opened.proven.history, &sources).to_string().contains("5 of 5 merges"));
}

#[test]
fn an_archive_with_updates_verifies_under_trusted_authorities() {
    let made = Made::new(true);
    let opened = made.opened(&made.evidence, &made.trust_set(&set(SET, &[1, 2, 3, 4]))).unwrap();
    assert!(opened.rests_on.starts_with("relative to authority set 5"), "{}", opened.rests_on);
    assert!(opened.rests_on.contains("3 of its 4 keys"), "{}", opened.rests_on);
    let report = audit(&opened.proven.history, &{
        let mut sources = Sources::default();
        sources.add(opened.blobs);
        sources
    });
    assert!(report.to_string().contains("4 of 5 merges"), "{report}");
}

#[test]
fn updates_that_the_agreement_does_not_keep_stay_where_they_are() {
    let made = Made::new(true);
    let roots: Vec<Hash> = files(&made.proven, true).iter().map(|file| file.root).collect();
    for record in &made.world.history.records {
        assert!(roots.contains(&record.root));
        let kept = record.kind == Kind::Statistics || record.round >= 2;
        assert!(record.inputs.iter().all(|input| roots.contains(&input.root) == kept), "round {}", record.round);
    }
}

#[test]
fn an_archive_alone_says_that_it_rests_on_nothing_else() {
    let made = Made::new(false);
    let error = made.refused(&made.evidence, &Trust::default());
    assert!(error.contains("--trust-nothing") && error.contains(&made.evidence.manifest.block), "{error}");
    let trust = Trust { trust_nothing: true, ..Trust::default() };
    let opened = made.opened(&made.evidence, &trust).unwrap();
    assert!(opened.rests_on.starts_with("resting on nothing but the archive itself"), "{}", opened.rests_on);
    assert!(opened.rests_on.contains(&made.evidence.manifest.block), "{}", opened.rests_on);
    assert!(opened.rests_on.contains(&hex::encode(pair(4).public().0)), "{}", opened.rests_on);
    assert!(!opened.rests_on.contains('\n'));
    // which study, by what people have signed, on which chain
    let history = &made.proven.history;
    for known in [history.info.agreement, history.genesis] {
        assert!(opened.rests_on.contains(&hex::encode(known)), "{}", opened.rests_on);
    }
}

#[test]
fn authorities_are_trusted_on_their_own_chain_only() {
    let made = Made::new(false);
    let trust = made.trust_set(&set(SET, &[1, 2, 3, 4]));
    let path = trust.trust_authorities.as_ref().unwrap();
    let (mine, other) = (hex::encode(made.proven.history.genesis), "ab".repeat(32));
    fs::write(path, fs::read_to_string(path).unwrap().replace(&mine, &other)).unwrap();
    let error = made.refused(&made.evidence, &trust);
    assert!(error.contains(&mine) && error.contains(&other), "{error}");
}

#[test]
fn an_update_that_a_node_calls_a_merged_file_does_not_leave() {
    let mut made = Made::new(false);
    let update = made.world.history.records[2].inputs[0].root;
    made.proven.history.records[2].root = update;
    let path = made.path();
    let target = Target { path: &path, force: true, private: false, recipient: None };
    let error = write(&made.evidence, &files(&made.proven, false), &made.blobs(), &target).map(drop).unwrap_err();
    assert!(error.to_string().contains("is no merged file"), "{error:#}");
    assert!(!path.exists());
}

#[test]
fn a_changed_part_is_refused_by_its_name() {
    let made = Made::new(false);
    let good = &made.evidence;
    let trust = made.trust_block();
    for place in [0, good.header.len() / 2, good.header.len() - 1] {
        let mut changed = good.clone();
        changed.header[place] ^= 1;
        let error = made.refused(&changed, &trust);
        assert!(error.contains("header.scale"), "{error}");
        assert!(made.refused(&changed, &Trust::default()).contains("header.scale"));
    }
    for node in 0..good.proof.len() {
        let mut changed = good.clone();
        let middle = changed.proof[node].len() / 2;
        changed.proof[node][middle] ^= 1;
        let error = made.refused(&changed, &trust);
        assert!(error.contains("proof.scale"), "{error}");
    }
    // a record whose bytes stand in the proof as they are
    let record = made.world.history.records[2].encode();
    let mut changed = good.clone();
    let node = changed.proof.iter_mut().find(|node| **node == record).unwrap();
    node[40] ^= 1;
    assert!(made.refused(&changed, &trust).contains("proof.scale"));
    let mut changed = good.clone();
    changed.spec[10] ^= 1;
    assert!(made.refused(&changed, &trust).contains("spec.json"));
    let mut changed = good.clone();
    changed.manifest.study = STUDY + 1;
    assert!(made.refused(&changed, &trust).contains("proof.scale"));
    let mut changed = good.clone();
    changed.manifest.genesis = hex::encode([1; 32]);
    assert!(made.refused(&changed, &trust).contains("manifest.json"));
    let mut changed = good.clone();
    changed.manifest.version = 9;
    assert!(made.refused(&changed, &trust).contains("version 9"));
}

#[test]
fn an_archive_that_ends_early_or_is_no_archive_is_refused() {
    let made = Made::new(false);
    made.write(&made.evidence);
    let bytes = fs::read(made.path()).unwrap();
    fs::write(made.path(), &bytes[..bytes.len() / 2]).unwrap();
    let error = open(&made.path(), None).map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("blobs/"), "{error:#}");
    fs::write(made.path(), b"no archive at all").unwrap();
    assert!(open(&made.path(), None).is_err());
    fs::write(made.path(), b"").unwrap();
    let error = open(&made.path(), None).map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("manifest.json: it is missing"), "{error:#}");
}

#[test]
fn a_justification_holds_only_under_its_own_set_and_with_enough_signatures() {
    let block = header(20, Hash::repeat_byte(1), Hash::repeat_byte(9));
    let four = set(SET, &[1, 2, 3, 4]);
    let fails = |proof: &FinalityProof, set: &AuthoritySet| format!("{:#}", proof.check(&block, set).unwrap_err());
    let direct =
        FinalityProof { block: block.hash(), justification: justify(&block, SET, &[1, 2, 3]), unknown_headers: vec![] };
    assert_eq!(direct.check(&block, &four).unwrap(), (20, 3));
    assert_eq!(by_child(&block, SET, &[4, 2, 3]).check(&block, &four).unwrap(), (21, 3));
    // other keys, another number, too few, one of them twice, a stranger in the place of a third
    assert!(fails(&direct, &set(SET, &[5, 6, 7, 8])).contains("0 of the 4 keys"));
    assert!(fails(&direct, &set(SET - 1, &[1, 2, 3, 4])).contains("none of authority set 4"));
    // voters count fewer sets than the chain once a rescue has passed over some; not more, and not any number fewer
    assert_eq!(direct.check(&block, &set(SET + 1, &[1, 2, 3, 4])).unwrap(), (20, 3));
    assert!(fails(&direct, &set(SET + 65, &[1, 2, 3, 4])).contains("none of authority set"));
    assert!(fails(&by_child(&block, SET, &[1, 2]), &four).contains("2 of the 4 keys"));
    assert!(by_child(&block, SET, &[1, 2, 2]).check(&block, &four).is_err());
    assert!(by_child(&block, SET, &[1, 2, 9]).check(&block, &four).is_err());
    // a block that does not follow, and one that was left out between
    let other = header(20, Hash::repeat_byte(3), Hash::repeat_byte(9));
    assert!(fails(&by_child(&other, SET, &[1, 2, 3]), &four).contains("does not follow"));
    let mut cut = by_child(&block, SET, &[1, 2, 3]);
    cut.unknown_headers.clear();
    assert!(fails(&cut, &four).contains("not for this block"));
    // a signature under another block's name
    let mut forged = by_child(&block, SET, &[1, 2, 3]);
    forged.justification = justify(&other, SET, &[1, 2, 3]);
    assert!(fails(&forged, &four).contains("another block"));
}

#[test]
fn a_trusted_set_or_block_that_does_not_fit_is_refused() {
    let made = Made::new(false);
    let error = made.refused(&made.evidence, &made.trust_set(&set(SET, &[1, 2, 7, 8, 9])));
    assert!(error.contains("finality.scale") && error.contains("authority set 5"), "{error}");
    let other = Trust { trust_block: Some(hex::encode([8; 32])), ..Trust::default() };
    assert!(made.refused(&made.evidence, &other).contains("you trust"));
    let nonsense = Trust { trust_block: Some("0x12".into()), ..Trust::default() };
    assert!(made.refused(&made.evidence, &nonsense).contains("64 hexadecimal digits"));
}

#[test]
fn an_encrypted_archive_opens_for_its_recipient_alone() {
    use age::secrecy::ExposeSecret;
    let made = Made::new(true);
    let path = made.path();
    let (auditor, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let target = Target { path: &path, force: false, private: true, recipient: Some(auditor.to_public()) };
    let wanted = files(&made.proven, true);
    write(&made.evidence, &wanted, &made.blobs(), &target).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // nothing of it can be read
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(13).any(|window| window == b"manifest.json"));
    let error = |result: Result<_>| format!("{:#}", result.map(drop).unwrap_err());
    assert!(error(open(&path, None)).contains("--identity"));
    let key = |name: &str, identity: &age::x25519::Identity| {
        let path = made.folder.path().join(name);
        fs::write(&path, identity.to_string().expose_secret()).unwrap();
        path
    };
    assert!(error(open(&path, Some(&key("other", &other)))).contains("opens it"));
    let (evidence, blobs) = open(&path, Some(&key("auditor", &auditor))).unwrap();
    assert_eq!(evidence, made.evidence);
    let mut sources = Sources::default();
    sources.add(blobs);
    let report = audit(&made.proven.history, &sources);
    assert!(report.to_string().contains("4 of 5 merges"), "{report}");
    // it stands in the way of the next one, and a changed byte is found
    let again = write(&made.evidence, &wanted, &made.blobs(), &target).map(drop).unwrap_err();
    assert!(again.to_string().contains("cannot put the archive"), "{again:#}");
    let mut changed = bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    fs::write(&path, changed).unwrap();
    assert!(open(&path, Some(&key("auditor", &auditor))).is_err());
    let names: Vec<_> = fs::read_dir(made.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn a_damaged_file_is_not_exported_and_a_missing_one_is_named() {
    let mut made = Made::new(false);
    let (path, wanted) = (made.path(), files(&made.proven, false));
    let target = Target { path: &path, force: false, private: false, recipient: None };
    let (one, two) = (made.world.round(1).root, made.world.round(2).root);
    fs::remove_file(made.world.path(one)).unwrap();
    let missing = write(&made.evidence, &wanted, &made.blobs(), &target).unwrap();
    assert_eq!(missing.iter().map(|file| file.root).collect::<Vec<_>>(), [one]);
    made.world.flip(two);
    fs::remove_file(&path).unwrap();
    let error = write(&made.evidence, &wanted, &made.blobs(), &target).map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("round 2"), "{error:#}");
    assert!(!path.exists());
}
