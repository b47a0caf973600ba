//! A study of two sites that has run in this process, as the files that it leaves.

use super::{program, says};
use consilium_aggregation::ModelFile;
use consilium_ml_worker::{
    data::{read_table, Scaler, Table},
    learn::{logits_of, Net},
    simulate::{run, site_group_key, Outcome, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::{StudyFile, StudySpec};
use serde_json::Value;
use std::{fmt::Write, fs, path::PathBuf};

pub const STUDY: &str =
    "title = \"t\"\n[data]\nfeatures = { columns = [\"a\", \"b\"] }\nlabel = \"ill\"\npositive = \"1\"\n\
    negative = \"0\"\ngroup = \"patient\"\nmissing = \"mean\"\nscaling = \"SCALING\"\n[model.dense]\nhidden = [12]\n\
    activation = \"relu\"\n[training]\noptimizer = { adam = { learning_rate = 0.05 } }\nbatch_size = 8\nepochs = 3\n\
    [evaluation]\nvalidation_share = 0.4\n[rules]\nrounds = 6\ntraining_seconds = 1\n";

/// Rows of patients, two of each; one in five is ill.
pub fn rows(seed: u64, patients: usize) -> String {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut text = String::from("patient,sex,a,b,ill\n");
    for p in 0..patients {
        let ill = p.is_multiple_of(5);
        for visit in 0..2 {
            let a = 40.0 + 10.0 * (next() + next() + next()) + if ill { 8.0 } else { 0.0 };
            let b = if (p + visit) % 7 == 0 { String::new() } else { format!("{}", next()) };
            writeln!(text, "P{seed}-{p},{},{a},{b},{}", ["f", "m"][p % 2], u8::from(ill)).unwrap();
        }
    }
    text
}

/// A study of two sites that has run in this process, as files.
pub struct Study {
    pub folder: tempfile::TempDir,
    pub spec: StudySpec,
    pub sites: Vec<Site>,
    pub outcome: Outcome,
}

impl Study {
    pub fn new(scaling: &str) -> Self {
        Self::of(scaling, STUDY)
    }

    /// By this study file, in which `SCALING` is to be replaced.
    pub fn of(scaling: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = StudyFile::parse(&text.replace("SCALING", scaling)).unwrap();
        let spec = file.spec();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let sites: Vec<Site> = (1u8..3)
            .map(|n| {
                let (secret, name) = ([n; 32], format!("{n}.csv"));
                write(&name, rows(u64::from(n), 150).as_bytes());
                write(&format!("{n}.secret"), hex::encode(secret).as_bytes());
                let key = site_group_key(&spec, &secret).unwrap();
                let table = read_table(&folder.path().join(&name), &spec.data, &key).unwrap();
                Site { name, id: InstitutionId([n; 32]), secret, samples: 10, table }
            })
            .collect();
        let outcome = run(&spec, &file.rules(2_000, 2).unwrap(), &sites, &|_, _, loss| loss).unwrap();
        write("spec.json", &spec.canonical().unwrap());
        let model = ModelFile { layout: spec.layout().unwrap(), duty: None, data: outcome.model.clone() };
        write("model.safetensors", &model.encode().unwrap());
        if let Some(statistics) = &outcome.statistics {
            write("statistics.safetensors", &statistics.encode(None).unwrap());
        }
        write("new.csv", rows(77, 60).as_bytes());
        Self { folder, spec, sites, outcome }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn arguments(&self, line: &str) -> Vec<String> {
        let word = |word: &str| match word.strip_prefix("./") {
            Some(file) => self.path(file).display().to_string(),
            None => word.to_owned(),
        };
        line.split(' ').map(word).collect()
    }

    pub fn run(&self, line: &str) -> String {
        String::from_utf8(says(&self.arguments(line))).unwrap()
    }

    pub fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(line)).unwrap()
    }

    pub fn fails(&self, line: &str) -> String {
        let output = program(&self.arguments(line));
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn pack(&self) -> String {
        let statistics = match self.outcome.statistics {
            Some(_) => " --statistics ./statistics.safetensors",
            None => "",
        };
        format!("pack --spec ./spec.json --model ./model.safetensors --out ./packed{statistics}")
    }

    pub fn logits(&self, scaler: &Scaler, table: &Table, rows: &[usize]) -> Vec<f32> {
        let net = Net::new(self.spec.architecture().unwrap()).unwrap();
        logits_of(&net, &self.outcome.model, &scaler.apply(table, rows).unwrap()).unwrap()
    }

    pub fn table(&self, name: &str) -> Table {
        read_table(&self.path(name), &self.spec.data, &[0; 32]).unwrap()
    }
}
