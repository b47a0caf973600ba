//! A house whose programs a test starts and kills itself, each with the command line of its service: `consilium up` starts again
//! with growing pauses what ends often, and is left out where a program is killed time and again.

use super::House;
use consilium_e2e::{bin_dir, lies::LIARS};
use std::{fs::File, path::PathBuf, process::Stdio};

/// The two programs of an institution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `consilium-node`.
    Node,
    /// `ml-worker`.
    Worker,
}

impl Program {
    /// Its service's and its log's name.
    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Worker => "worker",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Node => 0,
            Self::Worker => 1,
        }
    }
}

impl House<'_> {
    /// The log of one of its programs.
    fn program_log(&self, program: Program) -> PathBuf {
        self.dir.join("logs").join(program.name()).with_extension("log")
    }

    /// What starts a program: the words of its service.
    fn words(&self, program: Program) -> Vec<String> {
        let units = self.done(&["units", "--dir", self.dir(), "--user", "one", "--worker-user", "two"]);
        let unit = units.split(&format!("# consilium-{}.service", program.name())).nth(1).expect("its unit");
        let line =
            unit.replace("\\\n", " ").lines().find_map(|line| line.strip_prefix("ExecStart=").map(str::to_owned));
        line.expect("its command line").split_whitespace().map(str::to_owned).collect()
    }

    /// Starts one of its programs; it ends with this test.
    pub fn start(&self, program: Program) {
        self.launch(program, self.words(program), "");
    }

    /// Starts its worker with the lie that is told of it among these, if one is (see [`consilium_e2e::lies`]).
    pub fn start_lying(&self, liars: &str) {
        let mut words = self.words(Program::Worker);
        words[0] = bin_dir().unwrap().join("lying-worker").display().to_string();
        self.launch(Program::Worker, words, liars);
    }

    fn launch(&self, program: Program, words: Vec<String>, liars: &str) {
        let path = self.program_log(program);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let log = File::options().create(true).append(true).open(path).unwrap();
        let mut command = self.hosts.on(self.n, "setpriv");
        command.args(["--pdeathsig", "KILL"]).args(words).env(LIARS, liars).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.by_hand.borrow_mut()[program.place()] = Some(command.spawn().unwrap());
    }

    /// Kills one of its programs that [`House::start`] has started, if it runs.
    pub fn kill(&self, program: Program) {
        if let Some(mut child) = self.by_hand.borrow_mut()[program.place()].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
