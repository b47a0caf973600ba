//! Several classes and several labels, from end to end; and the tables that people read.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    compare::{Comparison, Inputs, Verdict},
    data::read_table,
    learn::{
        figures::Figures,
        metrics::{AucBound, Metrics},
    },
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::StudyFile;
use std::{fmt::Write, fs};

const STUDY: &str =
    "title = \"t\"\n[data]\nfeatures = { columns = [\"x\"] }\nDATA\
    missing = \"mean\"\nscaling = \"swarm\"\ncategorical = [{ column = \"s\", levels = [\"f\", \"m\"] }]\n[model.logistic]\n[training]\n\
    optimizer = { sgd = { learning_rate = 0.5 } }\nbatch_size = 8\nepochs = 2\n[evaluation]\nvalidation_share = 0.3\n\
    [rules]\nrounds = 3\ntraining_seconds = 1\n";

/// A comparison of two sites with the same table, one of which has a table of its own to measure on.
fn compared(data: &str, text: &str) -> Comparison {
    let file = StudyFile::parse(&STUDY.replace("DATA", data)).unwrap();
    let spec = file.spec();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, text).unwrap();
    let sites: Vec<Site> = (1u8..3)
        .map(|n| {
            let secret = [n; 32];
            let table = read_table(&path, &spec.data, &site_group_key(&spec, &secret).unwrap()).unwrap();
            Site { name: format!("site {n}"), id: InstitutionId([n; 32]), secret, samples: 10, table }
        })
        .collect();
    let outcome = run(&spec, &file.rules(2_000, 2).unwrap(), &sites, &|_, _, loss| loss).unwrap();
    let loss = |round: usize| outcome.rounds[round].losses.iter().map(|(_, loss)| *loss).sum::<u32>();
    assert!(loss(3) < loss(0), "{:?}", outcome.rounds);
    assert_eq!(outcome.statistics.as_ref().unwrap().count.len(), 1);
    Inputs {
        engine: &consilium_ml_worker::external::Engine::NONE,
        spec: &spec,
        rounds: 3,
        sites: &sites,
        splits: &outcome.splits,
        tests: &[None, Some(sites[0].table.clone())],
        held_out: Some(&sites[0].table),
        swarm: outcome.swarm(),
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
    .unwrap()
}

fn rows(header: &str, row: impl Fn(usize) -> String) -> String {
    let mut text = format!("{header}\n");
    for n in 0..240usize {
        writeln!(text, "{}.{n},{},{}", 5 * (n % 3), ["f", "m"][n % 2], row(n)).unwrap();
    }
    text
}

#[test]
fn several_classes_are_trained_on_and_have_a_table() {
    let data = "label = \"l\"\nclasses = [\"mild\", \"grave\", \"none\"]\n";
    let compared = compared(data, &rows("x,s,l", |n| ["mild", "grave", "none"][n % 3].into()));
    let text = compared.to_string();
    let Some(Figures::Classes(swarm)) = &compared.swarm.chosen.held_out else { panic!("{text}") };
    assert!(
        text.contains("On 240 rows of 3 classes held out from everyone; the answer is the likeliest class"),
        "{text}"
    );
    let line = text.lines().find(|l| l.starts_with("swarm ")).unwrap();
    for figure in [swarm.auc_macro.mean.unwrap(), swarm.log_loss.unwrap(), swarm.accuracy.unwrap(), swarm.mcc.unwrap()]
    {
        assert!(line.contains(&format!("{figure:.4}")), "{figure}: {line}");
    }
    let class = text.lines().find(|l| l.starts_with("  grave ")).unwrap();
    let grave = &swarm.per_class[1];
    for figure in [grave.precision.unwrap(), grave.recall.unwrap(), grave.f1.unwrap(), grave.auc.unwrap()] {
        assert!(class.contains("80") && class.contains(&format!("{figure:.4}")), "{figure}: {class}");
    }
    let Some(Figures::Classes(own)) = &compared.swarm.chosen.sites[0].1 else { panic!("{text}") };
    assert!(text.contains(&format!("site 1: validation, {} rows of 3 classes", own.rows)), "{text}");
    assert!(text.contains("site 2: of its TEST file, 240 rows of 3 classes"), "{text}");
    assert!(!text.contains("nothing to measure on") && !text.contains("null"), "{text}");
    assert_eq!(compared.joining.len(), 2);
}

#[test]
fn several_labels_are_trained_on_and_have_a_table() {
    let data = "labels = [\"effusion\", \"mass\"]\npositive = \"a\"\nnegative = \"b\"\n";
    let label = |of: bool| if of { "a" } else { "b" };
    let compared =
        compared(data, &rows("x,s,effusion,mass", |n| format!("{},{}", label(n % 3 == 0), label(n % 4 == 0))));
    let text = compared.to_string();
    let Some(Figures::Labels(swarm)) = &compared.swarm.chosen.held_out else { panic!("{text}") };
    assert!(
        text.contains("On 240 rows with 2 labels held out from everyone; a label holds from p >= 0.5 on"),
        "{text}"
    );
    let line = text.lines().find(|l| l.starts_with("swarm ")).unwrap();
    for figure in [swarm.auc_macro.mean.unwrap(), swarm.log_loss, swarm.hamming_loss.unwrap()] {
        assert!(line.contains(&format!("{figure:.4}")), "{figure}: {line}");
    }
    let label = text.lines().find(|l| l.starts_with("  mass (60) ")).unwrap();
    assert!(label.contains(&format!("{:.4}", swarm.per_label[1].as_ref().unwrap().auc.unwrap())), "{label}");
    assert!(text.contains("site 1: validation, 72 rows with 2 labels"), "{text}");
    assert!(!text.contains("nothing to measure on") && !text.contains("null"), "{text}");
}

#[test]
fn two_classes_show_numbers_of_both_the_round_that_counts_and_a_word_on_joining() {
    let data = "label = \"l\"\npositive = \"ill\"\nnegative = \"well\"\n";
    let mut compared = compared(data, &rows("x,s,l", |n| if n % 3 == 0 { "ill".into() } else { "well".into() }));
    let text = compared.to_string();
    assert!(text.contains("On 240 rows: 80 ill, 160 well held out from everyone; ill is the positive class"), "{text}");
    assert!(text.contains("site 2: of its TEST file, 240 rows: 80 ill, 160 well"), "{text}");
    let Some(Figures::Binary(m)) = &mut compared.swarm.chosen.held_out else { panic!("{text}") };
    // what an AUC of 1 has in place of an interval
    (m.auc, m.auc_interval, m.auc_bound) = (Some(1.0), None, Some(AucBound::AtLeast { bound: 0.9632 }));
    compared.swarm.choice.round = 2;
    compared.local[0].choice.too_few = true;
    compared.joining[0].verdict = Verdict::Worse;
    compared.joining[0].difference.groups = 30;
    compared.notes.push("central: so and so".into());
    let text = compared.to_string();
    let after = |name: &str| text.lines().skip_while(|l| !l.starts_with(name)).take(3).collect::<Vec<_>>().join("|");
    assert!(
        after("swarm, round 2 ").contains("1.0000  0.9632 or more") && after("swarm, round 2 ").contains("|  round 3 "),
        "{text}"
    );
    // on each site's own rows, too
    let own = text.split("On each site's own rows").nth(1).unwrap();
    assert!(own.contains("\n  swarm, round 2 ") && own.contains("\n    round 3 "), "{own}");
    assert!(
        text.contains("Too few validation rows to choose by, and so the last round: only site 1.\ncentral: so and so."),
        "{text}"
    );
    let joining = text.lines().find(|l| l.ends_with(": worse")).unwrap();
    assert!(joining.starts_with("site 1") && joining.contains("rows of 30 groups"), "{text}");
    compared.swarm.last = None;
    assert!(compared.to_string().contains("round 3: its model is not kept any more"));
    compared.joining.remove(0);
    compared.swarm.chosen.sites[0].1 = None;
    let text = compared.to_string();
    assert!(text.contains("site 1: no validation rows, nothing to measure on"), "{text}");
    assert!(text.contains(&format!("{:27} not measured: no rows", "site 1")) && !text.contains("null"), "{text}");
}

#[test]
fn figures_at_a_cut_of_its_own_stand_below_those_at_a_half() {
    let data = "label = \"l\"\npositive = \"ill\"\nnegative = \"well\"\n";
    let mut compared = compared(data, &rows("x,s,l", |n| if n % 3 == 0 { "ill".into() } else { "well".into() }));
    let m = Metrics::with_cut(&[-1.0, 0.5, -0.25, -2.0], &[true, true, false, false], Some(0.3)).unwrap();
    compared.swarm.chosen.held_out = Some(Figures::Binary(Box::new(m)));
    let text = compared.to_string();
    let at = text.lines().skip_while(|l| !l.starts_with("swarm")).nth(1).unwrap();
    assert!(
        at.starts_with("  at its cut, 0.3000") && at.ends_with("0.5000   0.5000   0.5000   0.5000   0.5000"),
        "{text}"
    );
}
