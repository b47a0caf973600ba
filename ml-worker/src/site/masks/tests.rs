//! What lies on the disk of a pairing, and what is left of it.
#![allow(clippy::unwrap_used)]

use super::*;

const STUDY: StudyKey = StudyKey { agreement: Hash::repeat_byte(7), study: 3 };

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(&dir.path().join("home")).unwrap();
    (dir, home)
}

fn begun(number: u32) -> Pairing {
    let secrets = Some(Zeroizing::new([number as u8; SECRETS]));
    Pairing { number, context: [1; 32], keys: [2; KEYS], secrets, answered: Vec::new() }
}

fn answers() -> [Answered; 3] {
    [
        Answered::Dealt { keys_root: [3; 32] },
        Answered::Masked {
            partners_root: [4; 32],
            duty: Hash::repeat_byte(5),
            source: Source { work: Hash::repeat_byte(7), again: Some(Hash::repeat_byte(6)) },
            file: Hash::repeat_byte(8),
        },
        Answered::Opened { used: 0b101, bytes: vec![9; 2056] },
    ]
}

#[test]
fn what_was_answered_is_there_after_a_restart_and_only_the_worker_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, home) = home();
    let mut pairing = begun(5);
    home.begin_pairing(&STUDY, &pairing).unwrap();
    assert!(home.begin_pairing(&STUDY, &begun(5)).is_err(), "its secrets would be lost");
    let path = home.masks(&STUDY).join("000005");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(home.masks(&STUDY)).unwrap().permissions().mode() & 0o777, 0o700);
    for answered in answers() {
        home.answer_pairing(&STUDY, 5, &answered).unwrap();
        pairing.answered.push(answered);
        let again = Home::open(&dir.path().join("home")).unwrap();
        assert_eq!(again.pairing(&STUDY, 5).unwrap(), Some(pairing.clone()));
    }
    assert_eq!((pairing.keys_root(), pairing.partners_root()), (Some([3; 32]), Some([4; 32])));
    assert_eq!(pairing.opened(), Some((0b101, &[9; 2056][..])));
    let source = Source { work: Hash::repeat_byte(7), again: Some(Hash::repeat_byte(6)) };
    assert_eq!((pairing.source(), begun(5).source()), (Some(source), None));
    assert_eq!(home.pairing(&STUDY, 6).unwrap(), None);
    assert!(home.answer_pairing(&STUDY, 6, &answers()[0]).is_err());
}

#[test]
fn an_answer_that_a_power_cut_tore_was_given_to_nobody_and_one_may_follow() {
    let (_dir, home) = home();
    home.begin_pairing(&STUDY, &begun(5)).unwrap();
    let [dealt, masked, _] = answers();
    home.answer_pairing(&STUDY, 5, &dealt).unwrap();
    let path = home.masks(&STUDY).join("000005");
    let before = fs::read(&path).unwrap();
    home.answer_pairing(&STUDY, 5, &masked).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in before.len()..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(home.pairing(&STUDY, 5).unwrap().unwrap().answered, std::slice::from_ref(&dealt));
    }
    home.answer_pairing(&STUDY, 5, &masked).unwrap();
    assert!(fs::read(&path).unwrap() == whole);
    // where it begins it is whole, or nothing is answered
    let mut spoilt = whole;
    spoilt[40] ^= 1;
    fs::write(&path, spoilt).unwrap();
    assert!(home.pairing(&STUDY, 5).is_err() && home.answer_pairing(&STUDY, 5, &masked).is_err());
}

#[test]
fn secrets_are_overwritten_where_they_stand_and_numbers_that_are_over_stay_so() {
    let (_dir, home) = home();
    for number in 1..=20 {
        assert!(home.may_begin(&STUDY, number).unwrap());
        home.begin_pairing(&STUDY, &begun(number)).unwrap();
        home.answer_pairing(&STUDY, number, &answers()[0]).unwrap();
    }
    home.close_pairings(&STUDY, 20).unwrap();
    assert_eq!(home.pairings(&STUDY).unwrap(), (12..=20).collect::<Vec<_>>());
    for number in 12..20 {
        let found = home.pairing(&STUDY, number).unwrap().unwrap();
        assert_eq!(found.keys_root(), Some([3; 32]));
        assert_eq!(found.secrets, None);
        let bytes = fs::read(home.masks(&STUDY).join(name(number))).unwrap();
        assert!(!bytes.windows(16).any(|part| part == [number as u8; 16]));
    }
    assert_eq!(home.pairing(&STUDY, 20).unwrap().unwrap().secrets, begun(20).secrets);
    for over in [1, 11, 12, 20] {
        assert!(!home.may_begin(&STUDY, over).unwrap(), "{over}");
    }
    assert!(home.may_begin(&STUDY, 21).unwrap());
    // once more, and of nothing, is no fault
    home.close_pairings(&STUDY, 20).unwrap();
    home.close_pairings(&StudyKey { study: 4, ..STUDY }, 20).unwrap();
}

#[test]
fn of_works_the_last_ones_result_is_kept_and_a_damaged_one_counts_as_none() {
    let (_dir, home) = home();
    let [one, two, three] = [1, 2, 3].map(Hash::repeat_byte);
    let loss = Some((250_000, 40));
    home.put_worked(&STUDY, &one, Some(&[1; 100]), (loss, true)).unwrap();
    let worked = Worked { update: Some(blob_hash(&[1; 100])), loss, again: true };
    assert_eq!(home.worked(&STUDY, &one).unwrap(), Some(worked));
    assert_eq!(fs::read(home.update_path(&STUDY, &one)).unwrap(), [1; 100]);
    home.put_worked(&STUDY, &two, Some(&[2; 100]), (None, false)).unwrap();
    assert_eq!(home.worked(&STUDY, &one).unwrap(), None);
    assert!(!home.update_path(&STUDY, &one).exists() && home.worked(&STUDY, &two).unwrap().is_some());
    let note = home.masks(&STUDY).join(file_name(NOTE, &two));
    let mut bytes = fs::read(&note).unwrap();
    bytes[33] ^= 1;
    fs::write(&note, bytes).unwrap();
    assert_eq!(home.worked(&STUDY, &two).unwrap(), None);
    home.put_worked(&STUDY, &two, Some(&[2; 100]), (None, false)).unwrap();
    home.forget_worked(&STUDY, &two).unwrap();
    assert_eq!(home.worked(&STUDY, &two).unwrap(), None);
    // without a file, as of an evaluation
    home.put_worked(&STUDY, &three, None, (None, false)).unwrap();
    assert_eq!(home.worked(&STUDY, &three).unwrap(), Some(Worked { update: None, loss: None, again: false }));
    // the numbers of pairings are not confused with them
    assert!(home.pairings(&STUDY).unwrap().is_empty());
}
