//! Swarm, local-only and central side by side: which round counts, what central means, and who loses by joining.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    compare::{Arm, Choice, Comparison, Inputs, Verdict},
    data::{own_statistics, read_table, Rows, Scaler, Split, Table},
    learn::{
        figures::Figures, initial_parameters, logits_of, loss_micro, metrics::validated_cut, objective, Net,
        OptimizerState, Seeds, Session,
    },
    random::key,
    simulate::{run, site_group_key, Outcome, Site, Swarm},
};
use consilium_primitives::InstitutionId;
use consilium_study::{Loss, Metric, Scaling, StudyFile, StudySpec};
use std::{fmt::Write, fs};

/// A network that learns its few rows by heart.
const STUDY: &str = "title = \"t\"\n[data]\nfeatures = { columns = [\"a\", \"b\", \"c\", \"d\"] }\nlabel = \"ill\"\n\
    positive = \"1\"\nnegative = \"0\"\nscaling = \"swarm\"\nmissing = \"mean\"\n[model.dense]\nhidden = [24]\nactivation = \"relu\"\n\
    [training]\noptimizer = { adam = { learning_rate = 0.02 } }\nbatch_size = 8\nepochs = 2\n[evaluation]\n\
    validation_share = 0.4\n[rules]\nrounds = 12\ntraining_seconds = 1\n";

/// Rows of which `a` says a little of the label, and nothing else says anything; `shift` is a site's own scale.
fn rows(seed: u64, count: usize, shift: f64) -> String {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut text = String::from("a,b,c,d,ill\n");
    for n in 0..count {
        let ill = n % 2;
        let mut x = || 2.0 * (next() + next() + next()) - 3.0;
        let (a, b, c, d) = (x() + ill as f64, x(), x(), x());
        writeln!(text, "{},{},{c},{d},{ill}", a + shift, b * (1.0 + shift)).unwrap();
    }
    text
}

fn table(spec: &StudySpec, secret: &[u8; 32], text: &str) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, text).unwrap();
    read_table(&path, &spec.data, &site_group_key(spec, secret).unwrap()).unwrap()
}

fn site(spec: &StudySpec, n: u8, text: &str) -> Site {
    let secret = [n; 32];
    let table = table(spec, &secret, text);
    Site { name: format!("{n}"), id: InstitutionId([n; 32]), secret, samples: 10, table }
}

struct Lab {
    spec: StudySpec,
    sites: Vec<Site>,
    outcome: Outcome,
    held_out: Table,
    /// No site has one.
    tests: Vec<Option<Table>>,
}

impl Lab {
    fn new(spec: StudySpec, texts: &[String]) -> Self {
        let rules = StudyFile::parse(STUDY).unwrap().rules(2_000, texts.len() as u32).unwrap();
        let sites: Vec<Site> = texts.iter().zip(1u8..).map(|(text, n)| site(&spec, n, text)).collect();
        let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss).unwrap();
        let held_out = table(&spec, &[9; 32], &rows(99, 60, 0.0));
        let tests = vec![None; sites.len()];
        Self { spec, sites, outcome, held_out, tests }
    }

    fn compare(&self) -> Comparison {
        self.with(self.outcome.swarm())
    }

    fn with(&self, swarm: Swarm<'_>) -> Comparison {
        self.inputs(swarm).compare().unwrap()
    }

    fn inputs<'a>(&'a self, swarm: Swarm<'a>) -> Inputs<'a> {
        Inputs {
            engine: &consilium_ml_worker::external::Engine::NONE,
            spec: &self.spec,
            rounds: 12,
            sites: &self.sites,
            splits: &self.outcome.splits,
            tests: &self.tests[..self.sites.len()],
            held_out: Some(&self.held_out),
            swarm,
            statistics: self.outcome.statistics.as_ref(),
        }
    }

    /// The models of all rounds of an arm that trains on these rows.
    fn arm(&self, training: &Rows, validation: &Rows, secret: &[u8; 32]) -> Vec<Vec<f32>> {
        let mut models = vec![initial_parameters(&self.spec).unwrap()];
        for round in 1..=12 {
            let seeds = Seeds::new(secret, &self.spec.hash().unwrap().0, round);
            let base = models.last().unwrap();
            let fresh = OptimizerState::default();
            let session = Session::new(&self.spec, base, training, Some(validation), &fresh, &seeds);
            models.push(session.train(&|_| false).unwrap().parameters);
        }
        models
    }

    fn logits(&self, model: &[f32], rows: &Rows) -> Vec<f32> {
        logits_of(&Net::new(self.spec.architecture().unwrap()).unwrap(), model, rows).unwrap()
    }

    /// Figures at .5, and at the cut that these rows choose if they are enough.
    fn figures(&self, model: &[f32], rows: &Rows, validation: &Rows) -> Option<Figures> {
        let goal = objective(&self.spec, None);
        let cuts = match validation.len() < 20 {
            true => Vec::new(),
            false => vec![validated_cut(&self.logits(model, validation), &validation.positive())],
        };
        Figures::of(&goal, &self.logits(model, rows), rows.labels(), &cuts)
    }

    /// The round with the lowest figure, of equal ones the latest: looked for over all rounds.
    fn best(&self, models: &[Vec<f32>], validation: &Rows) -> usize {
        let loss = |round: &usize| loss_micro(&self.spec, &models[*round], validation).unwrap().unwrap();
        (1..models.len()).rev().min_by_key(loss).unwrap()
    }
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.rows()).collect()
}

#[test]
fn every_arm_takes_the_round_that_its_own_validation_rows_choose_and_shows_the_last_one_beside_it() {
    let spec = StudyFile::parse(STUDY).unwrap().spec();
    let lab = Lab::new(spec, &[rows(1, 60, 0.0), rows(2, 70, 0.0), rows(3, 40, 0.0)]);
    let compared = lab.compare();
    let mut earlier = 0;
    for (n, site) in lab.sites.iter().enumerate() {
        let (training, validation) = lab.outcome.splits[n].rows(&site.table);
        let scaler = Scaler::standard(&own_statistics(&site.table, &training).unwrap());
        let rows = |rows: &[usize]| scaler.apply(&site.table, rows).unwrap();
        let (training, validation) = (rows(&training), rows(&validation));
        let models = lab.arm(&training, &validation, &site.secret);
        let held_out = scaler.apply(&lab.held_out, &all(&lab.held_out)).unwrap();
        let arm = &compared.local[n];
        assert_eq!(arm.last.as_ref().unwrap().held_out, lab.figures(&models[12], &held_out, &validation));
        // sixteen rows are too few to choose by
        let too_few = validation.len() < 20;
        assert_eq!(too_few, n == 2);
        let round = if too_few { 12 } else { lab.best(&models, &validation) };
        let choice = Choice { round: round as u32, rounds: 12, validation_rows: validation.len(), too_few };
        assert_eq!(arm.choice, choice);
        assert_eq!(arm.chosen.held_out, lab.figures(&models[round], &held_out, &validation));
        earlier += usize::from(round < 12);
    }
    assert!(earlier > 0, "with 12 rounds this network learns its rows by heart");
    assert!(compared.central.choice.round < 12 && !compared.central.choice.too_few);
    assert_ne!(compared.central.last.as_ref().unwrap(), &compared.central.chosen);

    let swarm = &compared.swarm;
    assert_eq!(swarm.choice.round, lab.outcome.canonical);
    assert!(!swarm.choice.too_few, "two of three sites report");
    let scaler = Scaler::standard(lab.outcome.statistics.as_ref().unwrap());
    let held_out = scaler.apply(&lab.held_out, &all(&lab.held_out)).unwrap();
    let mut validation = Rows::new(4, 1);
    for (site, split) in lab.sites.iter().zip(&lab.outcome.splits) {
        validation.append(&scaler.apply(&site.table, &split.rows(&site.table).1).unwrap());
    }
    assert_eq!(swarm.chosen.held_out, lab.figures(&lab.outcome.model, &held_out, &validation));
    assert_eq!(swarm.last.as_ref().unwrap().held_out, lab.figures(&lab.outcome.last, &held_out, &validation));
    let at = |arm: &Arm| arm.chosen.held_out.as_ref().unwrap().binary().unwrap().at_cut.clone();
    assert!(at(swarm).is_some() && at(&compared.local[0]).is_some() && at(&compared.local[2]).is_none());
    // on validation rows, which chose it, no cut is measured; on a site's TEST rows the one that its validation rows chose
    let own = |figures: &Option<Figures>| figures.as_ref().unwrap().binary().unwrap().at_cut.clone();
    assert!(compared.swarm.chosen.sites.iter().all(|(_, figures)| own(figures).is_none()));
    let tests = [Some(lab.held_out.clone()), None, None];
    let compared = Inputs { tests: &tests, ..lab.inputs(lab.outcome.swarm()) }.compare().unwrap();
    let own_rows = scaler.apply(&lab.sites[0].table, &lab.outcome.splits[0].rows(&lab.sites[0].table).1).unwrap();
    let cut = validated_cut(&lab.logits(&lab.outcome.model, &own_rows), &own_rows.positive());
    assert_eq!(own(&compared.swarm.chosen.sites[0].1).map(|at| at.cut), cut);
    // a last model that is not there any more leaves a gap and no other's figures
    let gone = lab.with(Swarm { chosen: &lab.outcome.model, round: 5, last: None });
    assert_eq!((gone.swarm.choice.round, gone.swarm.last), (5, None));
}

#[test]
fn where_every_set_is_scaled_by_itself_the_central_model_sees_one_set_and_not_one_for_each_site() {
    let mut spec = StudyFile::parse(STUDY).unwrap().spec();
    spec.data.scaling = Scaling::Transductive;
    // two scanners: each site's rows for themselves have mean 0, all together have not
    let texts = [rows(1, 60, 0.0), rows(2, 60, 3.0)];
    let lab = Lab::new(spec, &texts);
    let compared = lab.compare();
    // all rows in one table, as one that was never parted
    let whole = table(&lab.spec, &[7; 32], &format!("{}{}", texts[0], texts[1].split_once('\n').unwrap().1));
    let side = |validation: bool| -> Vec<usize> {
        let of = |n: usize| {
            let (training, rest) = lab.outcome.splits[n].rows(&lab.sites[n].table);
            let rows = if validation { rest } else { training };
            rows.into_iter().map(|row| row + 60 * n).collect::<Vec<_>>()
        };
        [of(0), of(1)].concat()
    };
    let set = |rows: &[usize]| Scaler::transductive().apply(&whole, rows).unwrap();
    let (training, validation) = (set(&side(false)), set(&side(true)));
    let models = lab.arm(&training, &validation, &key("consilium/central/1", &[&[1; 32][..], &[2; 32]]));
    let held_out = Scaler::transductive().apply(&lab.held_out, &all(&lab.held_out)).unwrap();
    let close = |a: &Option<Figures>, b: &Option<Figures>| {
        let auc = |f: &Option<Figures>| f.as_ref().unwrap().binary().unwrap().auc.unwrap();
        let loss = |f: &Option<Figures>| f.as_ref().unwrap().log_loss();
        // the mean of parts has other last bits than that of the whole
        assert!((auc(a) - auc(b)).abs() < 0.01 && (loss(a) - loss(b)).abs() < 0.01, "{a:?} {b:?}");
    };
    close(&compared.central.last.as_ref().unwrap().held_out, &lab.figures(&models[12], &held_out, &validation));
    assert_eq!(compared.central.choice.round as usize, lab.best(&models, &validation));
    // what was called central before: other rows, and another model
    let mut apart = Rows::new(4, 1);
    for (n, site) in lab.sites.iter().enumerate() {
        let rows = lab.outcome.splits[n].rows(&site.table).0;
        apart.append(&Scaler::transductive().apply(&site.table, &rows).unwrap());
    }
    let far = training.features().unwrap().iter().zip(apart.features().unwrap()).any(|(a, b)| (a - b).abs() > 0.3);
    assert!(far, "scaled for each site they are other numbers");
    assert_eq!(compared.notes, Vec::<String>::new());

    let mut spec = lab.spec.clone();
    spec.data.scaling = Scaling::Site;
    let compared = Lab::new(spec, &texts).compare();
    assert!(compared.notes[0].contains("each site's rows are scaled by that site's own mean"), "{:?}", compared.notes);
}

#[test]
fn who_loses_by_joining_is_said_in_one_of_three_words_by_the_agreed_metric_with_an_interval() {
    // labels that follow a clearly, and at the second site the other way round: only one of them can be right
    let turned = |text: &str| {
        let turn = |line: &str| match line.strip_suffix(",1") {
            Some(rest) => format!("{rest},0\n"),
            None => line.strip_suffix(",0").map_or(format!("{line}\n"), |rest| format!("{rest},1\n")),
        };
        text.lines().map(turn).collect::<String>()
    };
    let clear = |seed, count| -> String {
        let text = rows(seed, count, 0.0);
        let move_ = |line: &str| match line.strip_suffix(",1") {
            Some(rest) => {
                let (a, rest) = rest.split_once(',').unwrap();
                format!("{},{rest},1\n", a.parse::<f64>().unwrap() + 4.0)
            }
            None => format!("{line}\n"),
        };
        text.lines().map(move_).collect()
    };
    let texts = [clear(1, 400), turned(&clear(2, 120)), clear(3, 60)];
    for squared in [false, true] {
        let mut spec = StudyFile::parse(STUDY).unwrap().spec();
        if squared {
            spec.training.loss = Loss::SquaredError;
            spec.evaluation.metric = Metric::Brier;
        }
        let lab = Lab::new(spec, &texts);
        let compared = lab.compare();
        let [_, second, _] = &compared.joining[..] else { panic!("{:?}", compared.joining) };
        assert_eq!(second.metric, lab.spec.evaluation.metric);
        assert_eq!(second.verdict, Verdict::Worse, "{second:?}");
        assert!(compared.losing.contains(&"2".to_owned()));
        let (low, high) = second.difference.interval.unwrap();
        assert!(0.0 < low && low < second.difference.difference && second.difference.difference < high);
        // the figures themselves: the mean of the agreed metric on the site's own rows
        let own = |arm: &Arm| match &arm.chosen.sites[1].1 {
            Some(figures) if squared => figures.binary().unwrap().brier,
            figures => figures.as_ref().unwrap().log_loss(),
        };
        assert!((second.difference.first - own(&compared.swarm)).abs() < 1e-12);
        assert!((second.difference.second - own(&compared.local[1])).abs() < 1e-12);
        let auc = second.auc.as_ref().unwrap();
        assert!(auc.second > 0.9 && auc.first < 0.5 && auc.difference < -0.4, "{auc:?}");
        assert_eq!(serde_json::to_value(second).unwrap()["verdict"], "worse");
    }
    let word = |interval| serde_json::to_value(Verdict::of(interval)).unwrap();
    assert_eq!(word(Some((-0.2, -0.1))), "better");
    assert_eq!(word(Some((0.1, 0.2))), "worse");
    assert_eq!((word(Some((-0.1, 0.2))), word(None)), ("cannot tell".into(), "cannot tell".into()));
    // alike models cannot be told apart
    let spec = StudyFile::parse(STUDY).unwrap().spec();
    let mut lab = Lab::new(spec, &texts);
    lab.sites.truncate(1);
    let (training, validation) = lab.outcome.splits[0].rows(&lab.sites[0].table);
    let scaler = Scaler::standard(&own_statistics(&lab.sites[0].table, &training).unwrap());
    let rows = |rows: &[usize]| scaler.apply(&lab.sites[0].table, rows).unwrap();
    let (training, validation) = (rows(&training), rows(&validation));
    let models = lab.arm(&training, &validation, &lab.sites[0].secret);
    let best = lab.best(&models, &validation);
    lab.outcome.statistics = Some(
        own_statistics(&lab.sites[0].table, &Split::of(&lab.sites[0].table, 0.4).rows(&lab.sites[0].table).0).unwrap(),
    );
    let same = lab.with(Swarm { chosen: &models[best], round: best as u32, last: None });
    assert_eq!((same.joining[0].verdict, same.losing.len()), (Verdict::CannotTell, 0));
    assert_eq!((same.joining[0].difference.difference, same.joining[0].difference.interval), (0.0, None));
}
