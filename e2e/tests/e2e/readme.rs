//! README's short path: two hospitals on one machine, from their folders to the evaluated model, by README's own lines.

use consilium_e2e::{bin_dir, workspace};
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// `consilium up`, which ends with the test, and its programs with it.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().try_into().unwrap()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Ports of this machine that are free and follow each other.
fn ports(count: u16) -> u16 {
    let free = |first: &u16| (*first..first + count).all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok());
    // below those that Linux gives to outgoing connections
    (20_000 + (std::process::id() % 9_000) as u16..30_000).find(free).unwrap()
}

/// The commands of the section, without what is said about them.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let section = readme.split("## Two hospitals in fifteen minutes").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

struct Trial {
    folder: PathBuf,
    /// Where Alder's node answers.
    url: String,
}

impl Trial {
    fn command(&self, line: &str) -> Command {
        let path = format!("{}:{}", bin_dir().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.folder).env("PATH", path).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Result<String, String> {
        let output = self.command(line).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        output.status.success().then(|| out.clone().into_owned()).ok_or_else(|| format!("{line}\n{out}\n{err}"))
    }

    /// Runs a line until it succeeds and what it prints is as it should be.
    #[track_caller]
    fn until(&self, line: &str, is: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.run(line);
            match said {
                Ok(text) if is(&text) => return text,
                other => assert!(Instant::now() < end, "{line}: {other:?}\n{}", self.logs()),
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn study(&self) -> Value {
        let line = format!("consilium study 0 --format json --url {}", self.url);
        serde_json::from_str(&self.until(&line, |_| true)).unwrap()
    }

    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
        };
        let of = ["alder", "birch"]
            .map(|name| tail(&format!("{name}/logs/node.log")) + &tail(&format!("{name}/logs/worker.log")));
        of.concat()
    }
}

fn up(trial: &Trial, line: &str, log: &Path) -> Up {
    let log = File::create(log).unwrap();
    let mut command = trial.command(&format!("exec {line}"));
    Up(command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0).spawn().unwrap())
}

#[test]
fn two_hospitals_come_from_their_folders_to_the_evaluated_model_as_readme_says() {
    let scratch = tempfile::tempdir().unwrap();
    let first = ports(8);
    let folder = scratch.path().join("trial");
    let trial = Trial { folder: folder.clone(), url: format!("ws://127.0.0.1:{}", first + 2) };
    let examples = workspace().join("examples");
    let mut running = Vec::new();
    let mut done = Vec::new();
    // each terminal's first lines: the programs' folder, which tests know, and the trial's
    for line in commands().into_iter().filter(|line| !line.starts_with("export PATH=") && line != "cd trial") {
        // README's ports are others' on a machine on which tests run
        let line = line
            .replace("tcp/30333", &format!("tcp/{first} --ports-from {}", first + 2))
            .replace("tcp/30334", &format!("tcp/{}", first + 1))
            .replace("--ports-from 9950", &format!("--ports-from {}", first + 5))
            .replace("../examples", examples.to_str().unwrap());
        let began = Instant::now();
        if line == "mkdir trial && cd trial" {
            fs::create_dir(&folder).unwrap();
        } else if line.starts_with("consilium up ") {
            running.push(up(&trial, &line, &scratch.path().join(format!("up-{}", running.len()))));
        } else if line.starts_with("consilium doctor ") {
            let said = trial.until(&line, |text| !text.contains("MEND"));
            // at this machine alone, as its address says
            let listens = said.lines().find(|line| line.contains("the node listens at")).unwrap();
            assert_eq!(
                (listens.matches("/tcp/").count(), listens.matches("/ip4/127.0.0.1/tcp/").count()),
                (1, 1),
                "{said}"
            );
        } else if line.contains("HASH") {
            let agreement = trial.study()["agreement"].as_str().unwrap().to_owned();
            let line = line.replace("HASH", &agreement);
            // nobody is at a terminal here to read what is signed
            let said = trial.run(&line).unwrap_err();
            assert!(said.contains("nobody is there to be asked") && said.contains("--yes"), "{said}");
            // the other's node hears of the study a moment later
            trial.until(&format!("{line} --yes"), |text| text.contains("training rows"));
        } else if line == "consilium study 0 --dir birch" {
            let said = trial.until(&line, |text| {
                text.contains("not enrolled yet: Alder Clinic, Birch Hospital")
                    || text.contains("not enrolled yet: Birch Hospital, Alder Clinic")
            });
            assert!(said.contains("at most 5 rounds") && said.contains("train for 10 s"), "{said}");
        } else if line.contains(" study watch ") {
            let said = trial.run(&format!("{line} --on finished 'touch finished' --on round 'touch closed'")).unwrap();
            assert!(said.contains("round 5 of 5: merged of 2 updates in "), "{said}");
            assert!(said.contains("it has its certificate") && said.contains("study fetch 0 --dir alder"), "{said}");
            // its commands have run before it ends
            assert!(folder.join("finished").exists() && folder.join("closed").exists(), "{said}");
            let wrong = trial.run("consilium study watch 0 --dir alder --on done true").unwrap_err();
            assert!(wrong.contains("round, loss, paused, aborted, finished, late"), "{wrong}");
        } else if line.contains(" study fetch ") {
            let end = trial.until("consilium study 0 --dir alder", |text| text.contains("certificate:"));
            assert!(end.contains("consilium study fetch 0 --dir alder"), "{end}");
            let said = trial.run(&line).unwrap();
            // what it says is what README says next, but for the folder's place
            assert!(said.contains("ml-worker pack --dir model --out model/ready --data "), "{said}");
            let card = fs::read_to_string(folder.join("model/README.md")).unwrap();
            assert!(
                card.contains("Admission to intensive care from three values") && card.contains("Birch Hospital"),
                "{card}"
            );
        } else if line.starts_with("ml-worker evaluate ") {
            let said = trial.run(&line).unwrap();
            assert!(said.starts_with("rows") && said.contains("AUC ") && said.contains("at the cut"), "{said}");
        } else {
            trial.run(&line).unwrap();
        }
        println!("{:>6.1} s  {line}", began.elapsed().as_secs_f64());
        done.push(line);
    }
    assert_eq!(running.len(), 2);
    assert!(done.len() > 15 && fs::read_to_string(folder.join("predictions.csv")).unwrap().lines().count() > 100);
    let predictions = fs::read_to_string(folder.join("predictions.csv")).unwrap();
    assert!(predictions.starts_with("row,patient,p(yes),"), "{predictions}");
    // both signed what their workers have trained on
    for name in ["alder", "birch"] {
        let said = trial.run(&format!("consilium doctor --dir {name}")).unwrap();
        assert!(!said.contains("MEND"), "{said}");
    }
    let study = trial.study();
    let members = study["members"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    let names: Vec<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert!(names.contains(&"Alder Clinic") && names.contains(&"Birch Hospital"), "{names:?}");
    report(&trial);
}

/// The report that the study ends with: Alder's own, with what Birch has signed.
fn report(trial: &Trial) {
    let read = |name: &str| fs::read_to_string(trial.folder.join(name)).unwrap();
    trial.run("consilium report 0 --dir alder --out bare.html").unwrap();
    let bare = read("bare.html");
    assert!(
        bare.contains("Not known: to tell, each site must train a model of its own") && bare.contains("Birch Hospital"),
        "{bare}"
    );
    for name in ["alder", "birch"] {
        let said = trial.run(&format!("consilium study figures 0 --dir {name} --out {name}.json")).unwrap();
        assert!(said.contains("signed for"), "{said}");
    }
    // one that was changed on the way is refused, and nothing is written
    let changed = read("birch.json").replacen("\"rows\": ", "\"rows\": 1", 1);
    fs::write(trial.folder.join("changed.json"), changed).unwrap();
    let said = trial.run("consilium report 0 --dir alder --figures changed.json --out report.html").unwrap_err();
    assert!(said.contains("the signature is wrong") && !trial.folder.join("report.html").exists(), "{said}");
    trial.run("consilium report 0 --dir alder --figures alder.json --figures birch.json --out report.html").unwrap();
    let (page, document): (String, Value) = (read("report.html"), serde_json::from_str(&read("report.json")).unwrap());
    // where the page of `consilium dashboard` finds it
    assert!(read("alder/made.json").contains("/report.json"), "{}", read("alder/made.json"));
    let figures = document["figures"].as_array().unwrap();
    let sites: Vec<&str> = figures.iter().filter_map(|told| told["site"].as_str()).collect();
    assert!(sites.contains(&"Alder Clinic") && sites.contains(&"Birch Hospital"), "{sites:?}");
    assert!(figures.iter().all(|told| told["source"] == "signed"), "{document}");
    assert_eq!(document["study"]["certificate"]["round"], trial.study()["certificate"]["round"]);
    assert!(
        document["left"].as_array().unwrap().iter().any(|sum| sum["to"] == "Birch Hospital"),
        "{}",
        document["left"]
    );
    for part in ["Whom is this model for?", "How sure is it?", "What should I not do with it?", "Alder Clinic", "AUC"] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    // no address of this machine's folders is in what is given away
    assert!(!page.contains(trial.folder.to_str().unwrap()) && page.contains("FOLDER/blobs"), "{page}");
}
