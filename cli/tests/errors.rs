//! The mistakes of `docs/errors.md` that need no network, made with the real programs: what is printed is what the page says.
//!
//! The node and the worker lie beside the command line: `cargo build --release --workspace --bins` makes all three.
#![allow(clippy::unwrap_used)]

use consilium_e2e::page::{compare, sections, without_hashes, Section};
use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Mistakes of the page that are made with a network, in `e2e/tests/e2e/errors.rs` and `private.rs` beside it.
const WITH_A_NETWORK: [&str; 4] = [
    "Enrolling in something that was not read",
    "Enrolling without having been invited",
    "Enrolling in a private study without a data set",
    "A data set that has no budget on the chain",
];
/// What the page's folders would have been given: the ports that people see.
const SHOWN: [u16; 8] = [30333, 9944, 9615, 8601, 30334, 9950, 9951, 9952];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> Vec<Section> {
    sections(&root().join("docs/errors.md")).unwrap()
}

/// As many free ports, in none of which the digits of a shown one are.
fn free_ports() -> Vec<u16> {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    while ports.len() < SHOWN.len() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        held.push(listener);
        if !SHOWN.iter().any(|shown| port.to_string().contains(&shown.to_string())) {
            ports.push(port);
        }
    }
    ports
}

/// The page's two institutions, and its example, in a folder.
struct World {
    scratch: tempfile::TempDir,
    ports: Vec<u16>,
}

impl World {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let world = Self { scratch, ports };
        let dir = world.dir();
        for (name, of) in [("study.toml", "study.toml"), ("north.csv", "north.csv")] {
            fs::copy(root().join("examples/own-csv").join(of), dir.join(name)).unwrap();
        }
        fs::create_dir(dir.join("cards")).unwrap();
        for (folder, name, first) in [("alder", "Alder Clinic", 0), ("birch", "Birch Hospital", 4)] {
            let of = |at: usize| world.ports[first + at];
            let address = format!("/ip4/127.0.0.1/tcp/{}", of(0));
            let init = format!(
                "consilium init --consortium north-lungs --name \"{name}\" --address {address} --dir {folder} && cp \
                 {folder}/card.json cards/{folder}.json"
            );
            world.done(&init);
            let settings = dir.join(folder).join("consilium.toml");
            let mut table: toml::Table = fs::read_to_string(&settings).unwrap().parse().unwrap();
            for (key, at) in [("rpc_port", 1), ("prometheus_port", 2), ("worker_port", 3)] {
                table[key] = i64::from(of(at)).into();
            }
            // each on a line of its own, as `init` writes them
            fs::write(settings, table.to_string()).unwrap();
        }
        world.done(
            "consilium found --consortium north-lungs --private-addresses --cards cards --out alder/chain.json && cp \
             alder/chain.json birch/chain.json",
        );
        world
    }

    fn dir(&self) -> PathBuf {
        self.scratch.path().canonicalize().unwrap()
    }

    /// A line for a shell in this folder; none of the page's may run for long.
    fn shell(&self, line: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_consilium")).parent().unwrap().to_owned();
        for name in ["consilium-node", "ml-worker"] {
            assert!(programs.join(name).exists(), "{name} is missing: cargo build --release --workspace --bins");
        }
        let path = env::join_paths([programs].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())));
        let mut command = Command::new("timeout");
        command.args(["60", "sh", "-c", &format!("{{ {line}; }} 2>&1")]).env("PATH", path.unwrap());
        command.current_dir(self.scratch.path()).stdin(Stdio::null());
        command
    }

    fn done(&self, line: &str) {
        let output = self.shell(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stdout));
    }

    /// With the ports that the page shows in the place of those that were free, and the other way round.
    fn ports(&self, text: &str, shown: bool) -> String {
        SHOWN.iter().zip(&self.ports).fold(text.to_owned(), |text, (page, real)| {
            let (from, to) = if shown { (real, page) } else { (page, real) };
            text.replace(&from.to_string(), &to.to_string())
        })
    }

    /// What the page's command prints here, as the page would show it; and its exit code.
    fn printed(&self, section: &Section) -> (String, Option<i32>) {
        let output = self.shell(&self.ports(&section.command, false)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let text = text.replace(self.dir().to_str().unwrap(), "DIR");
        (self.ports(&without_hashes(&text), true), output.status.code())
    }
}

/// A copy of a world, in which a mistake can be made.
fn copy(world: &World) -> World {
    let scratch = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(world.scratch.path().join(".")).arg(scratch.path()).status().unwrap();
    assert!(copied.success());
    World { scratch, ports: world.ports.clone() }
}

/// Cards are named in the order of their accounts, which are random: here in that of the page.
fn in_order(text: &str) -> String {
    let [alder, birch] = ["alder.json: /ip4/127.0.0.1/tcp/30333", "birch.json: /ip4/127.0.0.1/tcp/30334"];
    let text = text.replace(&format!("{birch}, {alder}"), &format!("{alder}, {birch}"));
    // where each of the two is wrong, the first one is told
    text.replace("birch.json: is for the consortium", "alder.json: is for the consortium")
}

#[test]
fn each_mistake_that_needs_no_network_gives_the_message_of_the_page() {
    let world = World::new();
    let mut made = 0;
    for section in page().iter().filter(|section| !WITH_A_NETWORK.contains(&section.title.as_str())) {
        let here = copy(&world);
        // somebody has it while that mistake is made
        let taken = section.title.contains("port").then(|| TcpListener::bind(("127.0.0.1", here.ports[1])).unwrap());
        let (printed, code) = here.printed(section);
        drop(taken);
        let wanted = if section.command.contains("consilium up") { 78 } else { 1 };
        assert_eq!(code, Some(wanted), "{}: {printed}", section.title);
        compare(&section.message, &in_order(&printed)).unwrap_or_else(|error| panic!("{}: {error}", section.title));
        made += 1;
    }
    assert_eq!(made, 20);
}

#[test]
fn the_page_has_two_dozen_mistakes_and_each_says_what_to_do_or_where_to_read_on() {
    let page = page();
    assert_eq!(page.len(), 24);
    for title in WITH_A_NETWORK {
        assert!(page.iter().any(|section| section.title == title), "{title}");
    }
    for section in page {
        let last = section.message.lines().find(|line| line.starts_with("error: "));
        assert!(last.is_some(), "{}: {}", section.title, section.message);
    }
}
