//! A study's trainer at one site: its folder, and the jobs that it is given there.

mod model;

use super::{
    confine::Place,
    files::{expect, numbers, put_bytes, put_rows, read, Kept, Raw},
    process::{self, Running},
    roots::{listed, mount_points},
    unpack, ExternalError, RoundRows, Update,
};
use crate::{data::Rows, learn::Halt, random::key, site::TrainerSettings};
use consilium_aggregation::Layout;
use consilium_study::{roles, External, NamedFile, Role, StudySpec};
use parking_lot::Mutex;
use safetensors::{Dtype, SafeTensors};
use serde_json::{json, Value};
use std::{
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A header's share of a file's length, at most.
const HEADER: u64 = 4 << 20;
/// What a site keeps of the tensors that it does not share.
const LOCAL: &str = "local.safetensors";
/// Where these stay as each round's training has left them.
const BY_ROUND: &str = "local";

/// One study's trainer at one site: its folder, and its process once there is one.
pub struct Trainer {
    spec: StudySpec,
    external: External,
    layout: Layout,
    /// Tensors that the site keeps for itself, as the initial file has them.
    local: Vec<Kept>,
    folder: PathBuf,
    place: Place,
    settings: TrainerSettings,
    gpu: Option<usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// The site's folders that it sees, where the study's rows are files.
    roots: Vec<PathBuf>,
    /// Hash of the model that lies in its folder.
    model: Option<[u8; 32]>,
    jobs: u64,
    /// When it last began a job.
    worked: Option<Instant>,
    /// Whether the last one that was to end had to be killed.
    stubborn: bool,
    /// Whether the next one that is to end is killed.
    abrupt: bool,
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trainer({})", self.folder.display())
    }
}

impl Trainer {
    /// A trainer in this folder, which is made if need be. Its process starts with its first job.
    ///
    /// # Errors
    /// The site does not allow this code; this machine has no way to hold it as asked; files that are not those that the
    /// specification names.
    pub fn new(
        spec: &StudySpec,
        folder: &Path,
        (settings, gpu): (&TrainerSettings, Option<usize>),
        (code, initial): (&[u8], &[u8]),
    ) -> Result<Self, ExternalError> {
        let refuse = |problem: String| ExternalError::Refused(problem);
        let external = spec.model.external().ok_or_else(|| refuse("the study has no model.external".into()))?.clone();
        if settings.code != external.code.root {
            return Err(refuse(format!(
                "trainer.code in sites.toml is {}, and the study names {}: this site allows another code than was signed",
                settings.code, external.code.root
            )));
        }
        if settings.command.is_empty() {
            return Err(refuse("trainer.command in sites.toml names no program".into()));
        }
        let place = Place::of(settings)?;
        if NamedFile::of(code) != external.code {
            return Err(ExternalError::Schema("the code at hand is not the one that the study names".into()));
        }
        let schema = |error: consilium_study::SpecError| ExternalError::Schema(error.to_string());
        consilium_study::starting_parameters(spec, Some(initial)).map_err(schema)?;
        let file = SafeTensors::deserialize(initial).map_err(|error| ExternalError::Schema(error.to_string()))?;
        let mut local = Vec::new();
        for (name, role) in roles(spec, &file).map_err(schema)? {
            if let (Role::Local, Ok(tensor)) = (role, file.tensor(&name)) {
                local.push((name, tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()));
            }
        }
        let layout = spec.layout().map_err(|error| ExternalError::Schema(error.to_string()))?;
        let make = |path: &Path, mode| {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            // whatever the umask says
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        };
        // others reach nothing in it: the folders above are this worker's alone
        make(folder, 0o755)?;
        for own in ["rows", "in"] {
            make(&folder.join(own), 0o755)?;
        }
        for theirs in ["out", "state"] {
            make(&folder.join(theirs), 0o700)?;
            place.give(&folder.join(theirs))?;
        }
        let there = folder.join("code");
        if there.exists() {
            fs::remove_dir_all(&there)?;
        }
        unpack(code, &there).map_err(|error| ExternalError::Schema(format!("{error:#}")))?;
        let start = folder.join("initial.safetensors");
        if fs::read(&start).ok().as_deref() != Some(initial) {
            put_bytes(&start, initial)?;
        }
        Ok(Self {
            spec: spec.clone(),
            external,
            layout,
            local,
            folder: folder.to_path_buf(),
            place,
            settings: settings.clone(),
            gpu,
            state: Mutex::default(),
        })
    }

    /// Whether this trainer is what a site's settings ask for.
    pub fn fits(&self, settings: &TrainerSettings, gpu: Option<usize>) -> bool {
        self.settings == *settings && self.gpu == gpu
    }

    /// A round's training from `base`, whose numbers are in the order of the model file. `halt` is told the share that is done
    /// (0 to 1), and asked some ten times a second.
    ///
    /// # Errors
    /// What the trainer did instead.
    pub fn train(
        &self,
        rows: &RoundRows<'_>,
        base: &[f32],
        (secret, round): (&[u8; 32], u32),
        halt: Halt<'_>,
    ) -> Result<Update, ExternalError> {
        let mut state = self.state.lock();
        let (training, validation) = (format!("{}-training", rows.name), format!("{}-validation", rows.name));
        let sides = [("training", &training[..], rows.training), ("validation", &validation[..], rows.validation)];
        let mut job = self.told(&mut state, &sides)?;
        let hash = self.spec.hash().map_err(|error| ExternalError::Schema(error.to_string()))?;
        let seed = key("consilium/external/1", &[secret, &hash.0, &round.to_le_bytes()]);
        // below 2^53, so that every reader of JSON gets it right
        let seed = u64::from_le_bytes([seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], 0]) >> 3;
        job.extend([("kind".into(), "train".into()), ("round".into(), round.into()), ("seed".into(), seed.into())]);
        let done = self.job(&mut state, base, halt, job)?;
        let mut expected: Vec<_> =
            self.layout.tensors().iter().map(|t| (t.name.as_str(), Dtype::F32, t.shape.clone())).collect();
        expected.extend(self.local.iter().map(|(name, dtype, shape, _)| (name.as_str(), *dtype, shape.clone())));
        let local: usize = self.local.iter().map(|(.., bytes)| bytes.len()).sum();
        let bytes = read(&self.output(), (self.layout.elements() * 4 + local) as u64 + HEADER)?;
        let mut found = expect("update", &bytes, &expected)?.into_iter();
        let mut parameters = Vec::with_capacity(self.layout.elements());
        for tensor in self.layout.tensors() {
            let begin = parameters.len();
            numbers(found.next().unwrap_or_default(), &mut parameters);
            if let Some(at) = parameters[begin..].iter().position(|number| !number.is_finite()) {
                let number = parameters[begin + at];
                return Err(ExternalError::NotFinite(format!(
                    "the trainer's update: {} holds {number} at {at}",
                    tensor.name
                )));
            }
        }
        let kept = self.local.iter().zip(found);
        let kept: Vec<Raw<'_>> = kept.map(|((n, d, s, _), bytes)| (&n[..], *d, &s[..], bytes)).collect();
        if !kept.is_empty() {
            self.stay(&kept, round)?;
            state.model = None;
        }
        Ok(Update { parameters, loss: done.loss.unwrap_or(f64::NAN) })
    }

    /// Logits of rows, `outputs` of the study's task each. `name` as in [`RoundRows`]; none: they stay under no name.
    ///
    /// # Errors
    /// What the trainer did instead.
    pub fn logits(&self, model: &[f32], rows: &Rows, name: Option<&str>) -> Result<Vec<f32>, ExternalError> {
        let outputs = self.spec.data.task().outputs();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut state = self.state.lock();
        state.jobs += 1;
        let once = name.is_none().then(|| format!("once-{}", state.jobs));
        let mut job = self.told(&mut state, &[("predict", name.or(once.as_deref()).unwrap_or_default(), rows)])?;
        job.insert("kind".into(), "predict".into());
        let done = self.job(&mut state, model, &|_| false, job);
        if let Some(once) = &once {
            self.forget(|file| file.starts_with(&format!("{once}.")))?;
        }
        done?;
        let bytes = read(&self.output(), (rows.len() * outputs * 4) as u64 + HEADER)?;
        let mut logits = Vec::new();
        for part in expect("logits", &bytes, &[("logits", Dtype::F32, vec![rows.len(), outputs])])? {
            numbers(part, &mut logits);
        }
        if let Some(at) = logits.iter().position(|z| !z.is_finite()) {
            let said = format!("the trainer's logits: {} of row {}", logits[at], at / outputs + 1);
            return Err(ExternalError::NotFinite(said));
        }
        Ok(logits)
    }

    /// Whether it has had no job for so long.
    pub fn unused(&self, time: Duration) -> bool {
        // one that works is used
        self.state.try_lock().is_some_and(|state| state.worked.is_some_and(|worked| worked.elapsed() >= time))
    }

    /// Whether it had to be killed when it was asked to end in the middle of the last job.
    pub fn stubborn(&self) -> bool {
        self.state.lock().stubborn
    }

    /// From now on has it killed in the middle of a job, as where the machine loses its power, in place of asking it to end; or no more.
    pub fn abruptly(&self, kill: bool) {
        self.state.lock().abrupt = kill;
    }

    fn output(&self) -> PathBuf {
        self.folder.join("out/output.safetensors")
    }

    /// Has rows written, unless they are, and says where they lie in the folder: sides of a job, each with the name under which its
    /// rows stay. Of rows that are files, where the trainer sees each of them.
    fn told(
        &self,
        state: &mut State,
        sides: &[(&str, &str, &Rows)],
    ) -> Result<serde_json::Map<String, Value>, ExternalError> {
        let (mut places, mut lists) = (serde_json::Map::new(), serde_json::Map::new());
        for (side, name, rows) in sides {
            let place = format!("rows/{name}.safetensors");
            let path = self.folder.join(&place);
            if !path.is_file() {
                put_rows(&path, rows, &self.spec.data.input_shape())?;
            }
            places.insert((*side).to_owned(), place.into());
            if self.spec.data.files() {
                let before = state.roots.len();
                let list = listed(rows, &self.settings, &self.place, &mut state.roots)?;
                // it goes on seeing what it saw when it was started
                if let Some(mut running) = state.running.take_if(|_| state.roots.len() > before) {
                    running.end();
                }
                let place = format!("rows/{name}.files.json");
                put_bytes(&self.folder.join(&place), Value::from(list).to_string().as_bytes())?;
                lists.insert((*side).to_owned(), place.into());
            }
        }
        let mut told = serde_json::Map::from_iter([("rows".to_owned(), Value::from(places))]);
        if !lists.is_empty() {
            told.insert("files".into(), lists.into());
        }
        Ok(told)
    }

    /// Forgets all that was kept of trainings so far: state, rows, tensors that stay at the site.
    ///
    /// # Errors
    /// What the file system says.
    pub fn fresh(&self) -> Result<(), ExternalError> {
        let mut state = self.state.lock();
        if let Some(mut running) = state.running.take() {
            running.end();
        }
        state.model = None;
        let there = |done: io::Result<()>| match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let own = self.folder.join("state");
        there(fs::remove_dir_all(&own))?;
        there(fs::remove_file(self.folder.join(LOCAL)))?;
        there(fs::remove_dir_all(self.folder.join(BY_ROUND)))?;
        fs::DirBuilder::new().mode(0o700).create(&own)?;
        self.place.give(&own)?;
        self.forget(|_| true)
    }

    /// Forgets rows that are not of these names.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_rows(&self, name: &str) -> Result<(), ExternalError> {
        self.forget(|file| !file.starts_with(name))
    }

    /// Removes rows by their files' names.
    fn forget(&self, which: impl Fn(&str) -> bool) -> Result<(), ExternalError> {
        for entry in fs::read_dir(self.folder.join("rows"))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|file| which(&file.to_string_lossy())) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn job(
        &self,
        state: &mut State,
        model: &[f32],
        halt: Halt<'_>,
        mut job: serde_json::Map<String, Value>,
    ) -> Result<process::Done, ExternalError> {
        state.worked = Some(Instant::now());
        let name = self.put_model(state, model)?;
        let task = self.spec.data.task();
        let more = json!({
            "version": 1,
            "initial": "initial.safetensors",
            "model": "in/model.safetensors",
            "model_name": name,
            "output": "out/output.safetensors",
            "state": "state",
            "merged": self.layout.tensors().iter().map(|t| &t.name).collect::<Vec<_>>(),
            "local": self.local.iter().map(|(name, ..)| name).collect::<Vec<_>>(),
            "inputs": self.spec.data.input_shape(),
            "outputs": task.outputs(),
            "task": format!("{task:?}").split('(').next().unwrap_or_default().to_lowercase(),
            "loss": self.spec.training.loss,
            "training": self.spec.training,
            "settings": self.external.settings,
        });
        if let Value::Object(more) = more {
            job.extend(more);
        }
        match fs::remove_file(self.output()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExternalError::Schema(format!("{}: {error}", self.output().display())))
            }
            _ => {}
        }
        let told = serde_json::to_vec_pretty(&job).map_err(|error| ExternalError::Failed(error.to_string()))?;
        put_bytes(&self.folder.join("in/job.json"), &told)?;
        if state.running.is_none() {
            mount_points(&self.folder, &state.roots)?;
            let seen = (self.folder.as_path(), &state.roots[..]);
            state.running = Some(Running::start(&self.place, seen, &self.settings, self.gpu)?);
        }
        let abrupt = state.abrupt;
        let Some(running) = &mut state.running else { return Err(ExternalError::Halted) };
        running.abrupt = abrupt;
        let done = running.work(&self.settings, halt);
        if done.is_err() {
            state.stubborn = running.stubborn;
            // whatever state it is in, the next job finds a new one
            state.running = None;
        }
        done
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        if let Some(mut running) = self.state.get_mut().running.take() {
            running.end();
        }
    }
}
