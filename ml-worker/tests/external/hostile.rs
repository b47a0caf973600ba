//! Trainers that try what no trainer may: each is stopped, or kept from it, and the chain learns a code and nothing else.

use super::*;
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

/// What becomes of a round with a trainer that does this, and how long it took.
fn of(form: &str, settings: &str, more: &str) -> (Lab, DutyState, Duration) {
    let lab = lab(study(settings, false), &allowed(form, more));
    let order = lab.order(DutyKind::Train, 1, Some(begin(&lab)), None);
    let began = Instant::now();
    let state = lab.worker.until(&lab.spec, &order, |state| match state {
        DutyState::Done(_) | DutyState::Failed(_) => Some(state),
        _ => None,
    });
    (lab, state, began.elapsed())
}

fn words(lab: &Lab) -> String {
    fs::read_to_string(folder(lab).join("trainer.log")).unwrap()
}

#[test]
fn no_trainer_reaches_the_network() {
    for form in forms() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lab, state, _) = of(form, &format!("misdeed = \"network\"\nport = {port}"), SLEEPLESS);
        assert_eq!(state, DutyState::Failed(FailureCode::Internal), "{form}");
        assert!(listener.accept().is_err(), "{form}: it was heard");
        let words = words(&lab);
        assert!(words.contains("Refused") || words.contains("unreachable"), "{form}: {words}");
    }
}

#[test]
fn no_trainer_reads_a_file_that_is_the_workers_alone() {
    for form in forms() {
        // as the site's table and its secret are
        let private = tempfile::tempdir().unwrap();
        let path = private.path().join("rows");
        fs::write(&path, "17.99").unwrap();
        let settings = format!("misdeed = \"read\"\npath = {:?}", path.display().to_string());
        let (lab, state, _) = of(form, &settings, SLEEPLESS);
        assert_eq!(state, DutyState::Failed(FailureCode::Internal), "{form}");
        let words = words(&lab);
        assert!(words.contains("Permission") || words.contains("FileNotFound"), "{form}: {words}");
    }
}

#[test]
fn no_trainer_writes_into_its_rows() {
    for form in forms() {
        let (lab, state, _) = of(form, "misdeed = \"write\"", SLEEPLESS);
        assert_eq!(state, DutyState::Failed(FailureCode::Internal), "{form}");
        let words = words(&lab);
        assert!(words.contains("Permission") || words.contains("Read-only"), "{form}: {words}");
    }
}

#[test]
fn a_link_in_the_place_of_an_update_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "not the trainer's").unwrap();
    let settings = format!("misdeed = \"link\"\npath = {:?}", secret.display().to_string());
    let (_, state, _) = of(forms()[0], &settings, SLEEPLESS);
    assert_eq!(state, DutyState::Failed(FailureCode::SchemaMismatch));
}

#[test]
fn more_processes_than_allowed_end_the_trainer() {
    for form in forms() {
        // whatever they call themselves
        for misdeed in ["children", "disguise"] {
            let settings = format!("misdeed = {misdeed:?}");
            let (_, state, took) = of(form, &settings, "processes = 32\nseconds = 60\n");
            assert_eq!(state, DutyState::Failed(FailureCode::Internal), "{form}, {misdeed}");
            assert!(took < Duration::from_secs(30), "{form}, {misdeed}: {took:?}");
        }
    }
}

#[test]
fn more_memory_than_allowed_ends_the_trainer() {
    for form in forms() {
        let (lab, state, _) = of(form, "misdeed = \"memory\"", "memory_mib = 1024\nseconds = 60\n");
        // the system gives it none, which it says itself, or the watch sees it
        assert!(
            matches!(state, DutyState::Failed(FailureCode::OutOfMemory | FailureCode::Internal)),
            "{form}: {state:?}"
        );
        assert!(state == DutyState::Failed(FailureCode::OutOfMemory) || words(&lab).contains("MemoryError"), "{form}");
    }
}

#[test]
fn a_trainer_that_sleeps_for_ever_is_ended_also_where_it_will_not_listen() {
    for form in forms() {
        let (_, state, took) = of(form, "misdeed = \"sleep\"", "seconds = 2\n");
        assert_eq!(state, DutyState::Failed(FailureCode::Internal), "{form}");
        assert!(took > Duration::from_secs(2) && took < Duration::from_secs(30), "{form}: {took:?}");
    }
}

#[test]
fn what_is_no_update_is_a_code_on_the_chain() {
    let form = forms()[0];
    let wrong = [
        ("nan", FailureCode::NotFinite),
        ("missing", FailureCode::SchemaMismatch),
        ("more", FailureCode::SchemaMismatch),
        ("shape", FailureCode::SchemaMismatch),
        ("die", FailureCode::Internal),
    ];
    for (misdeed, code) in wrong {
        let (_, state, _) = of(form, &format!("misdeed = {misdeed:?}"), SLEEPLESS);
        assert_eq!(state, DutyState::Failed(code), "{misdeed}");
    }
}

#[test]
fn what_a_trainer_prints_stays_in_a_file_of_this_site_alone() {
    use std::os::unix::fs::PermissionsExt;
    for form in forms() {
        let (lab, state, _) = of(form, "misdeed = \"print\"", SLEEPLESS);
        assert!(matches!(state, DutyState::Done(_)), "{form}: {state:?}");
        // written by threads of their own
        let until = Instant::now() + Duration::from_secs(10);
        while words(&lab).matches("PATIENT").count() < 2 {
            assert!(Instant::now() < until, "{form}: {}", words(&lab));
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = folder(&lab).join("trainer.log");
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
        for path in below(lab.dir.path()).into_iter().filter(|path| path.is_file() && *path != log) {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"PATIENT"), "{}", path.display());
        }
    }
}
