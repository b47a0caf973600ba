//! Folders, cards and a chain of them, made by the programs as people call them.
//!
//! The node lies beside the command line: `cargo build --release --workspace --bins` makes both.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn consilium(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_consilium"));
    let node = program.with_file_name("consilium-node");
    assert!(node.exists(), "{} is missing: cargo build --release --workspace --bins", node.display());
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// What a call that must succeed has printed.
fn done(arguments: &[&str]) -> String {
    let output = consilium(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a call that must fail with exit code 1 has said.
fn refused(arguments: &[&str]) -> String {
    let output = consilium(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An institution's folder; those with a port can be dialled.
fn init(scratch: &Path, name: &str, port: Option<u16>, more: &[&str]) -> PathBuf {
    let dir = scratch.join(name);
    let address = port.map(|port| format!("/dns/node.{name}.example/tcp/{port}"));
    let mut arguments = vec!["init", "--consortium", "north-lungs", "--name", name, "--dir", text(&dir)];
    arguments.extend(address.iter().flat_map(|address| ["--address", address]));
    arguments.extend(more);
    done(&arguments);
    dir
}

fn cards(to: &Path, from: &[(&Path, &str)]) {
    fs::create_dir(to).unwrap();
    for (dir, name) in from {
        fs::copy(dir.join("card.json"), to.join(name)).unwrap();
    }
}

fn found(cards: &Path, more: &[&str]) -> Vec<String> {
    let words = ["found", "--consortium", "north-lungs", "--cards", text(cards)];
    words.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

#[test]
fn a_folder_holds_all_keys_with_safe_modes_and_is_never_made_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = init(scratch.path(), "st-mary", Some(30333), &["--contact", "it@st-mary.example"]);
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    for (name, wanted) in [
        ("", 0o700),
        ("institution.key", 0o600),
        ("node.key", 0o600),
        ("token", 0o600),
        ("worker/secret", 0o600),
        ("keystore", 0o700),
        ("node", 0o700),
        ("worker", 0o700),
        ("blobs", 0o700),
        ("card.json", 0o644),
        ("consilium.toml", 0o644),
        ("sites.toml", 0o644),
    ] {
        assert_eq!(mode(name), wanted, "{name}");
    }
    let keys: Vec<_> = fs::read_dir(dir.join("keystore")).unwrap().flatten().collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key.metadata().unwrap().permissions().mode() & 0o777 == 0o600));
    assert_eq!(fs::read_to_string(dir.join("institution.key")).unwrap().split_whitespace().count(), 24);

    // nothing secret is in what the others get
    let card = fs::read_to_string(dir.join("card.json")).unwrap();
    for secret in ["node.key", "token", "worker/secret"] {
        assert!(!card.contains(fs::read_to_string(dir.join(secret)).unwrap().trim()), "{secret}");
    }
    let shown = done(&["card", text(&dir)]);
    assert!(shown.contains("st-mary") && shown.contains("it@st-mary.example") && shown.contains("signed       yes"));
    let again = refused(&["init", "--consortium", "north-lungs", "--name", "x", "--dir", text(&dir)]);
    assert!(again.contains("folder already") && again.contains("consilium card"), "{again}");
    let wrong = refused(&[
        "init",
        "--consortium",
        "x",
        "--name",
        "x",
        "--dir",
        text(&scratch.path().join("w")),
        "--address",
        "here:1",
    ]);
    assert!(wrong.contains("--address") && wrong.contains("/dns/"), "{wrong}");
    assert!(!scratch.path().join("w").exists());
}

#[test]
fn a_card_is_signed_where_the_key_is() {
    let scratch = tempfile::tempdir().unwrap();
    let (mary, other) = (init(scratch.path(), "st-mary", Some(1), &[]), init(scratch.path(), "other", Some(2), &[]));
    let card: Value = serde_json::from_slice(&fs::read(mary.join("card.json")).unwrap()).unwrap();
    let dir = init(scratch.path(), "site", Some(3), &["--account", card["account"].as_str().unwrap()]);
    assert!(!dir.join("institution.key").exists() && !dir.join("card.json").exists());
    let unsigned = dir.join("card.unsigned.json");
    assert!(done(&["card", text(&dir)]).contains("not yet by the institution"));
    let wrong = refused(&["card", "sign", text(&unsigned), "--key", text(&other.join("institution.key"))]);
    assert!(wrong.contains("not that of the card's account"), "{wrong}");
    done(&["card", "sign", text(&unsigned), "--key", text(&mary.join("institution.key"))]);
    assert!(done(&["card", text(&dir)]).contains("yes, by node and institution"));
}

#[test]
fn a_card_is_made_again_of_the_keys_that_are_there() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let dir = init(at, "st-mary", Some(1), &["--contact", "it@st-mary.example", "--no-participant"]);
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap() };
    let before = read("card.json");
    // it has moved
    let settings = dir.join("consilium.toml");
    let text_of = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text_of.replace("node.st-mary.example/tcp/1", "new.st-mary.example/tcp/2")).unwrap();
    let said = done(&["card", "make", "--dir", text(&dir)]);
    assert!(said.contains("card.old.json") && said.contains("Send the card"), "{said}");
    let after = read("card.json");
    assert_eq!(after["addresses"], serde_json::json!(["/dns/new.st-mary.example/tcp/2"]));
    for same in ["name", "contact", "participant", "account", "peer", "keys", "consortium", "chain"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(read("card.old.json"), before);
    let shown = done(&["card", text(&dir)]);
    assert!(shown.contains("yes, by node and institution"), "{shown}");
    assert!(said.contains(shown.lines().find(|line| line.starts_with("fingerprint")).unwrap()), "{said}");

    // for another chain
    let other = init(at, "other", Some(2), &[]);
    cards(&at.join("cards"), &[(&dir, "a.json"), (&other, "b.json")]);
    let chain = at.join("chain.json");
    done(&words(&found(&at.join("cards"), &["--out", text(&chain)])));
    done(&["card", "make", "--dir", text(&dir), "--join", text(&chain), "--participant", "yes"]);
    let joins = read("card.json");
    assert!(joins["chain"].as_str().unwrap().len() == 66 && joins["participant"] == true, "{joins}");
    assert!(done(&["card", text(&dir)]).contains("yes, by node and institution"));
    // and back, without any card, and with the phrase elsewhere
    for gone in ["card.json", "card.old.json"] {
        fs::remove_file(dir.join(gone)).unwrap();
    }
    let key = at.join("institution.key");
    fs::rename(dir.join("institution.key"), &key).unwrap();
    let said = refused(&["card", "make", "--dir", text(&dir), "--consortium", "north-lungs"]);
    assert!(said.contains("--account"), "{said}");
    let account = before["account"].as_str().unwrap();
    let line = ["card", "make", "--dir", text(&dir)];
    assert!(refused(&[&line[..], &["--account", account]].concat()).contains("--join or --consortium"));
    done(&[&line[..], &["--consortium", "north-lungs", "--account", account]].concat());
    assert!(read("card.unsigned.json")["account_signature"].is_null() && !dir.join("card.json").exists());
    // another institution's key signs no card of this one, and takes nothing away
    let wrong = refused(&[&line[..], &["--key", text(&other.join("institution.key"))]].concat());
    assert!(wrong.contains("not that of the card's account") && dir.join("card.unsigned.json").exists(), "{wrong}");
    done(&[&line[..], &["--key", text(&key)]].concat());
    assert_eq!(read("card.json")["keys"], before["keys"]);
    assert!(!dir.join("card.unsigned.json").exists());
}

#[test]
fn everybody_founds_the_same_bytes_and_a_difference_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let houses: Vec<PathBuf> =
        (0..4).map(|n| init(at, &format!("house-{n}"), (n < 3).then_some(30_000 + n), &[])).collect();
    let [a, b, c, d] = &houses[..] else { panic!("four") };
    let (one, two) = (at.join("one"), at.join("two"));
    cards(&one, &[(a, "a.json"), (b, "b.json"), (c, "c.json"), (d, "d.json")]);
    cards(&two, &[(d, "1.json"), (b, "2.json"), (a, "3.json"), (c, "0.json")]);
    fs::write(two.join("notes.txt"), "no card").unwrap();

    // the compiled runtime is kept in one case and not in the other
    let (first, second, cache) = (at.join("first.json"), at.join("second.json"), at.join("cache"));
    let made = done(&words(&found(&one, &["--out", text(&first), "--wasm-cache", text(&cache)])));
    let line = found(&two, &["--out", text(&second), "--format", "json"]);
    let mut elsewhere = command(&words(&line));
    elsewhere
        .current_dir(at)
        .env("HOME", at)
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("TZ", "Asia/Tokyo");
    let output = elsewhere.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "other bytes");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let genesis = document["genesis"].as_str().unwrap();
    assert!(genesis.len() == 66 && made.contains(genesis), "{made}");
    for house in &houses {
        let shown = done(&["card", text(house)]);
        let fingerprint = shown.lines().find_map(|line| line.strip_prefix("fingerprint  ")).unwrap();
        assert!(made.contains(fingerprint), "{fingerprint} is not in the table:\n{made}");
    }
    assert!(refused(&words(&found(&one, &["--out", text(&first)]))).contains("not overwritten"));

    let check = |file: &Path, cards: &Path, more: &[&str]| {
        let line = found(cards, &[&["--check", text(file), "--wasm-cache", text(&cache)], more].concat());
        let output = consilium(&words(&line));
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = check(&first, &two, &[]);
    assert!(code == Some(0) && said.contains("to the byte"), "{said}");
    // one founder less
    let three = at.join("three");
    cards(&three, &[(a, "a.json"), (b, "b.json"), (c, "c.json")]);
    let (code, said) = check(&first, &three, &[]);
    assert!(code == Some(2) && said.contains("): is in the file, and has no card here"), "{said}");
    assert!(!said.contains("pallet"), "{said}");
    // another name and an additional node to dial
    let mut spec: Value = serde_json::from_slice(&fs::read(&first).unwrap()).unwrap();
    spec["bootNodes"].as_array_mut().unwrap().pop();
    let changed = at.join("changed.json");
    fs::write(&changed, serde_json::to_vec(&spec).unwrap()).unwrap();
    let (code, said) = check(&changed, &one, &[]);
    assert!(
        code == Some(2) && said.contains("dialled first") && said.lines().filter(|l| l.starts_with("  ")).count() == 1,
        "{said}"
    );
    // other terms
    let (code, said) = check(&first, &one, &["--motion-life", "7d"]);
    assert!(code == Some(2) && said.contains("terms: motions live here 7d, in the file 14d"), "{said}");
    let (code, said) = check(&at.join("nowhere.json"), &one, &[]);
    assert!(code == Some(1) && said.contains("nowhere.json"), "{said}");
    // another runtime than expected
    let (code, said) = check(&first, &one, &["--expect-code", &"00".repeat(32)]);
    assert!(code == Some(1) && said.contains("--expect-code") && said.contains("--runtime"), "{said}");
    let code_hash = document["runtime"]["code_hash"].as_str().unwrap();
    assert_eq!(check(&first, &one, &["--expect-code", code_hash]).0, Some(0));
    // and the one that the chain itself holds is the same
    assert_eq!(check(&first, &one, &["--runtime", text(&first)]).0, Some(0));

    // a newcomer's card is for that chain
    let dir = at.join("newcomer");
    done(&["init", "--join", text(&first), "--name", "newcomer", "--dir", text(&dir)]);
    let card: Value = serde_json::from_slice(&fs::read(dir.join("card.json")).unwrap()).unwrap();
    assert_eq!((&card["chain"], &card["consortium"]), (&genesis.into(), &"north-lungs".into()));
    fs::copy(dir.join("card.json"), three.join("n.json")).unwrap();
    let joins = refused(&words(&found(&three, &["--out", text(&at.join("x.json"))])));
    assert!(joins.contains("n.json") && joins.contains("joining"), "{joins}");
}

#[test]
fn cards_that_cannot_found_together_are_refused_with_both_names() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let (a, b) = (init(at, "a", Some(1), &[]), init(at, "b", Some(2), &[]));
    let out = at.join("chain.json");
    let fails = |folder: &str, from: &[(&Path, &str)], more: &[&str]| {
        let folder = at.join(format!("cards-{folder}"));
        cards(&folder, from);
        let said = refused(&words(&found(&folder, &[&["--out", text(&out)], more].concat())));
        assert!(!out.exists());
        said
    };
    let said = fails("alone", &[(&a, "a.json"), (&b, "b.json.txt")], &[]);
    assert!(said.contains("holds 1 card in") && said.contains("passed over") && said.contains("b.json.txt"), "{said}");
    // a phrase that was copied in the place of a card
    let secrets = at.join("cards-secret");
    cards(&secrets, &[(&a, "a.json")]);
    fs::copy(b.join("institution.key"), secrets.join("b.json")).unwrap();
    let said = refused(&words(&found(&secrets, &["--out", text(&out)])));
    assert!(said.contains("b.json") && said.contains("this is a secret") && !out.exists(), "{said}");
    let said = fails("twice", &[(&a, "a.json"), (&a, "again.json")], &[]);
    assert!(
        said.contains("a.json") && said.contains("again.json") && said.contains("both are the card of a"),
        "{said}"
    );
    let said = fails("short", &[(&a, "a.json"), (&b, "b.json")], &["--silence", "59m"]);
    assert!(said.contains("--silence") && said.contains("--test"), "{said}");
    // A and a are one name to people
    let upper = at.join("upper");
    done(&["init", "--consortium", "north-lungs", "--name", "A", "--dir", text(&upper)]);
    let said = fails("case", &[(&a, "a.json"), (&b, "b.json"), (&upper, "upper.json")], &[]);
    assert!(said.contains("upper.json") && said.contains("same name"), "{said}");
    let hidden = init(at, "hidden", None, &[]);
    let said = fails("hidden", &[(&a, "a.json"), (&hidden, "hidden.json")], &[]);
    assert!(said.contains("1 of 2 cards name an address"), "{said}");
    let passive = (init(at, "p", Some(3), &["--no-validator"]), init(at, "q", Some(4), &["--no-validator"]));
    let said = fails("passive", &[(&passive.0, "p.json"), (&passive.1, "q.json")], &[]);
    assert!(said.contains("validator"), "{said}");
    let private = at.join("private");
    done(&[
        "init",
        "--consortium",
        "north-lungs",
        "--name",
        "private",
        "--dir",
        text(&private),
        "--address",
        "/ip4/10.0.0.1/tcp/1",
    ]);
    let said = fails("private", &[(&a, "a.json"), (&private, "private.json")], &[]);
    assert!(said.contains("/ip4/10.0.0.1/tcp/1") && said.contains("--private-addresses"), "{said}");
    let other = at.join("other");
    done(&[
        "init",
        "--consortium",
        "south",
        "--name",
        "other",
        "--dir",
        text(&other),
        "--address",
        "/dns/o.example/tcp/1",
    ]);
    let said = fails("other-cards", &[(&a, "a.json"), (&other, "other.json")], &[]);
    assert!(said.contains("other.json") && said.contains("south"), "{said}");
}
