//! `ml-worker trainer …`: what a study with a model of its own is made of, before anyone signs it.

use super::{given::read_study, means::code_of, say};
use anyhow::{bail, Context, Result};
use clap::{Args, Subcommand};
use consilium_ml_worker::{
    data::{read_table, Prepared, Rows, Split, UNKNOWN},
    external::{unpack, ExternalError, RoundRows, Trainer as Own},
    scratch::Scratch,
    site::{Blobs, TrainerSettings},
};
use consilium_study::{
    random::{key, Stream},
    starting_parameters, tensor_line, MissingLabels, NamedFile, StudySpec, Task,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The Python package, and a trainer to begin with.
const FILES: [(&str, &str); 4] = [
    ("trainer.py", include_str!("../../../python/template/trainer.py")),
    ("consilium_trainer/__init__.py", include_str!("../../../python/consilium_trainer/__init__.py")),
    ("consilium_trainer/arrays.py", include_str!("../../../python/consilium_trainer/arrays.py")),
    ("consilium_trainer/helpers.py", include_str!("../../../python/consilium_trainer/helpers.py")),
];

#[derive(Subcommand)]
pub enum Trainer {
    /// Makes a folder with a trainer to begin with, and the Python package that it uses
    New {
        /// The folder, which must not be there yet
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Packs a trainer's folder into one file, and prints what a study says of it
    Pack {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// The archive to write
        #[arg(long, value_name = "TAR")]
        out: PathBuf,
    },
    /// Prints what a study says of a safetensors file that it begins with
    Describe {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Tensors whose names begin so stay at each site. Once for each
        #[arg(long, value_name = "NAME")]
        local: Vec<String>,
        /// Tensors whose names begin so never change. Once for each
        #[arg(long, value_name = "NAME")]
        frozen: Vec<String>,
    },
    /// Puts a file that a study names into a blob store, under its hash, for the courier to give to the study's participants
    Put {
        /// The file: a trainer's archive, or one that a study begins with
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The blob store
        #[arg(long, value_name = "DIR")]
        blobs: PathBuf,
    },
    /// Unpacks a trainer's code that the courier has brought, to read it before it is allowed; runs nothing of it
    Unpack {
        /// Hash of the archive, as the study's specification and the node's log name it
        #[arg(value_name = "HASH")]
        root: String,
        /// The blob store
        #[arg(long, value_name = "DIR")]
        blobs: PathBuf,
        /// The folder to make, which must not be there yet
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Runs a study's trainer on made-up rows, and says whether it does all that the worker will ask of it
    Check(Check),
}

#[derive(Args)]
pub struct Check {
    /// Study file
    #[arg(long, value_name = "FILE")]
    study: PathBuf,
    /// The trainer's code: its folder, or its archive
    #[arg(long, value_name = "DIR|TAR")]
    code: PathBuf,
    /// The file that the study begins with
    #[arg(long, value_name = "FILE")]
    initial: PathBuf,
    /// What sites.toml will have under [study.trainer]
    #[arg(long, value_name = "TOML")]
    trainer: PathBuf,
    /// Made-up rows
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    rows: u32,
    /// A table that names some files, for a study whose rows are files: these cannot be made up
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

pub fn act(command: &Trainer) -> Result<()> {
    match command {
        Trainer::New { folder } => new(folder),
        Trainer::Pack { folder, out } => {
            let bytes = code_of(folder)?;
            fs::write(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
            say(format_args!("code = {}\n", named(&bytes)))
        }
        Trainer::Describe { file, local, frozen } => {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            say(describe(&bytes, local, frozen).with_context(|| file.display().to_string())?)
        }
        Trainer::Put { file, blobs } => {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            Blobs::open(blobs)?
                .put_attachment(&bytes)
                .with_context(|| format!("cannot write to {}", blobs.display()))?;
            say(format_args!("{}\n", named(&bytes)))
        }
        Trainer::Unpack { root, blobs, out } => read_code(root, blobs, out),
        Trainer::Check(arguments) => check(arguments),
    }
}

/// A file as studies name it.
fn named(bytes: &[u8]) -> String {
    let NamedFile { root, len } = NamedFile::of(bytes);
    format!("{{ root = \"{root}\", len = {len} }}")
}

/// Unpacks the archive of this hash, and of no other, for people to read.
fn read_code(root: &str, blobs: &Path, out: &Path) -> Result<()> {
    if root.len() != 64 || !root.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        bail!("{root:?} is no BLAKE3 hash: give the 64 hexadecimal digits of `code` in the study's [model.external]");
    }
    let path = blobs.join(root);
    let bytes = fs::read(&path).with_context(|| {
        format!(
            "cannot read {}; the courier brings it once this institution has enrolled and another participant has it",
            path.display()
        )
    })?;
    let found = NamedFile::of(&bytes).root;
    if found != root {
        bail!("{}: its hash is {found}: it is damaged; remove it, and the courier brings it anew", path.display());
    }
    if out.exists() {
        bail!("{} is there already; name a new folder", out.display());
    }
    // of what is no code nothing stays
    unpack(&bytes, out).inspect_err(|_| drop(fs::remove_dir_all(out)))?;
    say(format_args!(
        "{}: the code, to be read. If it may train on your rows, allow it in sites.toml, below the study's entry:\n\n[study.trainer]\n\
         code = \"{root}\"\ncommand = [\"/usr/bin/python3\", \"code/trainer.py\"]\n",
        out.display()
    ))
}

fn new(folder: &Path) -> Result<()> {
    if folder.exists() {
        bail!("{} is there already; name a new folder", folder.display());
    }
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).with_context(|| format!("cannot make {}", above.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(format_args!(
        "{}: a trainer, trainer.py, and what it imports. Next: make the file that the study begins with \
         (`python3 trainer.py --initial FILE`), then `ml-worker trainer describe FILE` and `ml-worker trainer pack`\n",
        folder.display()
    ))
}

/// What a study file says of an initial file.
fn describe(bytes: &[u8], local: &[String], frozen: &[String]) -> Result<String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| anyhow::anyhow!("is no safetensors file: {e}"))?;
    let any = |names: &[String], name: &str| names.iter().any(|begin| name.starts_with(begin.as_str()));
    let (mut lines, mut others) = (Vec::new(), Vec::new());
    for (name, tensor) in file.iter() {
        if any(local, name) || any(frozen, name) {
            continue;
        }
        if tensor.dtype() == Dtype::F32 {
            lines.push(tensor_line(name, tensor.shape()));
        } else {
            others.push(format!("{name} ({:?})", tensor.dtype()));
        }
    }
    lines.sort();
    let mut out = format!("# above all tables:\ninitial = {}\n\n# in [model.external]:\ntensors = [\n", named(bytes));
    for line in lines {
        writeln!(out, "    {:?},", line)?;
    }
    writeln!(out, "]")?;
    for (key, names) in [("local", local), ("frozen", frozen)] {
        if !names.is_empty() {
            writeln!(out, "{key} = {}", Value::from(names.to_vec()))?;
        }
    }
    if !others.is_empty() {
        writeln!(
            out,
            "# \"local\" (each site keeps its own) or \"frozen\" (they never change): {}",
            others.join(", ")
        )?;
        writeln!(out, "integers = \"local\"")?;
    }
    Ok(out)
}

/// Rows of no patient: normal numbers, and labels that depend on them; of several labels every seventh is not known where the study
/// lets that be.
fn made_up(spec: &StudySpec, count: usize, seed: u8) -> Rows {
    let width = spec.inputs();
    let mut stream = Stream::new(key("consilium/made-up/1", &[&[seed]]));
    let features: Vec<f32> = (0..count * width).map(|_| stream.normal() as f32).collect();
    let task = spec.data.task();
    let label = |row: usize, n: usize| u32::from(features[row * width + n % width.max(1)] > 0.0);
    let labels: Vec<u32> = match task {
        // outcomes that are no classes are for the built-in networks
        Task::Binary | Task::Value | Task::Events(_) => (0..count).map(|row| label(row, 0)).collect(),
        Task::Classes(classes) => (0..count).map(|row| (row % classes) as u32).collect(),
        Task::Labels(labels) => {
            let masked = |entry: usize| spec.data.missing_labels == MissingLabels::Mask && entry % 7 == 3;
            let known = |entry: usize| label(entry / labels, entry % labels);
            (0..count * labels).map(|entry| if masked(entry) { UNKNOWN } else { known(entry) }).collect()
        }
    };
    Rows::kept(width, if let Task::Labels(labels) = task { labels } else { 1 }, features, labels)
}

/// Rows to train on and rows to ask about: made up, or those of a table where the study's rows are files.
fn rows_for(spec: &StudySpec, arguments: &Check) -> Result<(Rows, Rows)> {
    match (&arguments.data, spec.data.files()) {
        (None, false) => Ok((made_up(spec, arguments.rows as usize, 1), made_up(spec, 64, 2))),
        (None, true) => {
            bail!("this study's rows are files, which cannot be made up: give a table that names some (--data FILE)")
        }
        (Some(_), false) => bail!("--data is for studies whose rows are files: the rows of this one are made up"),
        (Some(path), true) => {
            let table = read_table(path, &spec.data, &[7; 32])?;
            let split = Split::of(&table, spec.evaluation.validation_share);
            let Prepared { training, validation, .. } = Prepared::new(spec, &table, &split, None)?;
            // a few files may all be for training
            let asked = if validation.is_empty() { training.clone() } else { validation };
            Ok((training, asked))
        }
    }
}

fn check(arguments: &Check) -> Result<()> {
    let spec = read_study(&arguments.study)?.spec();
    let external = spec.model.external().context("the study brings no trainer of its own (model.external)")?;
    let code = code_of(&arguments.code)?;
    if NamedFile::of(&code) != external.code {
        bail!(
            "{}: model.external.code is another code than that of {}: write\ncode = {}",
            arguments.study.display(),
            arguments.code.display(),
            named(&code)
        );
    }
    let initial =
        fs::read(&arguments.initial).with_context(|| format!("cannot read {}", arguments.initial.display()))?;
    let settings = TrainerSettings::read(&arguments.trainer)?;
    let base = starting_parameters(&spec, Some(&initial))?;
    let scratch = Scratch::new()?;
    let own = Own::new(&spec, &scratch.path().join("trainer"), (&settings, None), (&code, &initial))?;
    let (training, validation) = rows_for(&spec, arguments)?;
    let rows = RoundRows { name: "made-up", training: &training, validation: &validation };
    let words = |error: ExternalError| {
        let log = fs::read(scratch.path().join("trainer/trainer.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(4_000)..]).into_owned();
        anyhow::anyhow!("{error}\nits last words:\n{log}")
    };
    let train = |base: &[f32], round, halt: &dyn Fn(f64) -> bool| own.train(&rows, base, (&[7; 32], round), halt);
    let ok = |what: &str, began: Instant| say(format_args!("ok ({:.2} s): {what}\n", began.elapsed().as_secs_f64()));
    let began = Instant::now();
    let first = train(&base, 1, &|_| false).map_err(words).context("the first round")?.parameters;
    ok("the first round gives every tensor, in its shape, of finite numbers", began)?;
    if first == base {
        bail!("the first round: its update is the model that it began with: nothing was learned");
    }
    let began = Instant::now();
    let said = own.logits(&first, &validation, None).map_err(words).context("prediction")?;
    let again = own.logits(&first, &validation, None).map_err(words).context("prediction once more")?;
    if said != again {
        bail!("prediction: asked twice, it says two things of the same rows and the same model: leave nothing to chance there");
    }
    ok("predictions are one logit an output and row, the same when asked twice", began)?;
    let began = Instant::now();
    let second = train(&first, 2, &|_| false).map_err(words).context("the second round")?.parameters;
    ok("the second round goes on from a merged model", began)?;
    // in the middle of what a round takes in a process that has started
    let middle = (began.elapsed() / 2).max(Duration::from_millis(50));
    let began = Instant::now();
    match train(&second, 3, &|_| began.elapsed() > middle) {
        Err(ExternalError::Halted) if own.stubborn() => {
            bail!(
                "hold: asked by SIGTERM, it did not end within 5 s, nor in the time that its start took, and had to be killed: let \
                 it end when it is told to"
            )
        }
        Err(ExternalError::Halted) => ok("asked to stop in the middle of a round, it ends", began)?,
        Err(error) => return Err(words(error)).context("hold"),
        Ok(_) => say("not seen: a round was done before it could be asked to stop; try more --rows\n")?,
    }
    let began = Instant::now();
    let third =
        train(&second, 3, &|_| false).map_err(words).context("the third round, after it was stopped")?.parameters;
    ok("started anew, it does the round", began)?;
    // what it was writing into its state then may be half of something
    own.abruptly(true);
    let began = Instant::now();
    let killed = match train(&third, 4, &|_| began.elapsed() > middle) {
        Err(ExternalError::Halted) => true,
        Err(error) => return Err(words(error)).context("kill"),
        Ok(_) => false,
    };
    own.abruptly(false);
    train(&third, 4, &|_| false).map_err(words).context("the fourth round, after it was killed in the middle of it")?;
    match killed {
        true => ok("killed in the middle of a round, it does that round when it is started again", began)?,
        false => say("not seen: a round was done before it could be killed; try more --rows\n")?,
    }
    own.logits(&third, &validation, None).map_err(words)?;
    say("the trainer does all that the worker will ask of it\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_ml_worker::external::pack;

    #[test]
    fn code_is_put_with_a_note_that_it_is_meant_for_others_and_only_whole_code_is_unpacked() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("mine")).unwrap();
        fs::write(at("mine/trainer.py"), "x = 1\n").unwrap();
        let archive = pack(&at("mine")).unwrap();
        fs::write(at("trainer.tar"), &archive).unwrap();
        let blobs = at("blobs");
        act(&Trainer::Put { file: at("trainer.tar"), blobs: blobs.clone() }).unwrap();
        let root = NamedFile::of(&archive).root;
        assert_eq!(fs::read(blobs.join(&root)).unwrap(), archive);
        assert!(blobs.join(format!("{root}.attachment")).is_file());
        // once more, as one does who put it there before there were notes
        fs::remove_file(blobs.join(format!("{root}.attachment"))).unwrap();
        act(&Trainer::Put { file: at("trainer.tar"), blobs: blobs.clone() }).unwrap();
        assert!(blobs.join(format!("{root}.attachment")).is_file());
        // what else is in the store has none
        let other = Blobs::open(&blobs).unwrap().put(b"an update").unwrap();
        assert!(!blobs.join(format!("{other:x}.attachment")).exists());

        let unpacked = |root: &str, out: &str| {
            act(&Trainer::Unpack { root: root.into(), blobs: blobs.clone(), out: at(out) })
                .map_err(|e| format!("{e:#}"))
        };
        unpacked(&root, "out").unwrap();
        assert_eq!(fs::read_to_string(at("out/trainer.py")).unwrap(), "x = 1\n");
        let refused = |root: &str, out: &str| unpacked(root, out).unwrap_err();
        assert!(refused(&root, "out").contains("is there already"));
        for wrong in ["../trainer.tar", &root[1..], &root.to_uppercase()] {
            assert!(refused(wrong, "wrong").contains("is no BLAKE3 hash"), "{wrong}");
        }
        assert!(refused(&"0".repeat(64), "wrong").contains("the courier brings it"));
        assert!(refused(&format!("{other:x}"), "wrong").contains("no tar archive") && !at("wrong").exists());
        fs::write(blobs.join(&root), b"damaged").unwrap();
        assert!(refused(&root, "damaged").contains("it is damaged") && !at("damaged").exists());
    }
}
