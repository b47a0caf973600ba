//! After a study: a site's own model beside the study's, by the site itself.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::blob_hash;
use consilium_ml_worker::{
    compare::{Comparison, Inputs},
    data::{read_table, Table},
    simulate::site_group_key,
};
use consilium_study::{FiguresFile, MeasuredOn};
use std::fs;
use support::finished::Study;

#[test]
fn one_site_alone_gets_the_figures_that_a_comparison_of_all_sites_has_of_it() {
    let study = Study::new("swarm");
    let rounds = study.outcome.rounds.len() - 1;
    let line = format!(
        "own-arm --spec ./spec.json --model ./model.safetensors --statistics ./statistics.safetensors --rounds {rounds} --canonical {} \
         --data ./1.csv --secret ./1.secret",
        study.outcome.canonical
    );
    let file = FiguresFile::read(study.run(&line).as_bytes()).unwrap();
    assert_eq!(file.spec, hex::encode(study.spec.hash().unwrap()));
    assert_eq!(file.model, hex::encode(blob_hash(&fs::read(study.path("model.safetensors")).unwrap())));
    assert_eq!(file.signed, None);
    // with the site's own key, as its worker reads them
    let key = site_group_key(&study.spec, &study.sites[0].secret).unwrap();
    let later = read_table(&study.path("new.csv"), &study.spec.data, &key).unwrap();
    let inputs = |tests: &[Option<Table>]| {
        let inputs = Inputs {
            engine: &consilium_ml_worker::external::Engine::NONE,
            spec: &study.spec,
            rounds: rounds as u32,
            sites: &study.sites,
            splits: &study.outcome.splits,
            tests,
            held_out: None,
            swarm: study.outcome.swarm(),
            statistics: study.outcome.statistics.as_ref(),
        };
        inputs.compare().unwrap()
    };
    let all = inputs(&[None, None]);
    // of all rows together, and how many the others have, a site by itself knows nothing
    let known = |name: &str, compared: &Comparison| {
        let mut figures = compared.figures.iter().find(|(site, _)| site == name).unwrap().1.clone();
        (figures.central, figures.swarm.training_rows) = (None, None);
        figures
    };
    assert_eq!(file.figures, known("1.csv", &all));
    let figures = &file.figures;
    assert_eq!((figures.on, figures.cut.is_some(), figures.at_cut), (MeasuredOn::Validation, true, None));
    // what the tables say of the same
    let joining = all.joining.iter().find(|joining| joining.site == "1.csv").unwrap();
    assert_eq!((figures.rows as usize, figures.groups as usize), (joining.rows, joining.difference.groups));
    assert_eq!(figures.difference.unwrap().value, joining.difference.difference);
    assert_eq!(figures.difference.unwrap().interval, joining.difference.interval);
    assert_eq!((figures.verdict(), figures.swarm.metric), (joining.verdict, Some(joining.difference.first)));
    // the own arm's rounds, of which the lowest is its model's
    let alone = &figures.alone;
    let lowest = alone.by_round.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(alone.by_round.len(), rounds);
    assert_eq!(alone.by_round[alone.round as usize - 1], Some(lowest));
    assert!(figures.swarm.by_round.is_empty() && figures.swarm.curves.is_none(), "24 of 120 rows are positive");

    // with rows of their own the cut is measured, too
    let file = FiguresFile::read(study.run(&format!("{line} --test ./new.csv")).as_bytes()).unwrap();
    let of_both = inputs(&[Some(later), None]);
    assert_eq!((file.figures.on, &file.figures), (MeasuredOn::TestFile, &known("1.csv", &of_both)));
    assert!(file.figures.at_cut.unwrap().sensitivity.is_some() && file.figures.central.is_none());

    // another site's rows, files of another study, a round that there was not
    let mixed = line.replace("./1.csv", "./new.csv");
    assert!(study.run(&mixed).contains("figures"), "a worker's folder that is not there cannot know them");
    let said = study.fails(&line.replace(&format!("--canonical {}", study.outcome.canonical), "--canonical 99"));
    assert!(said.contains("--canonical 99"), "{said}");
    let said = study.fails(&line.replace(" --statistics ./statistics.safetensors", ""));
    assert!(said.contains("--statistics"), "{said}");
    let said = study.fails(&line.replace("./spec.json", "./1.csv"));
    assert!(said.contains("no specification"), "{said}");
    let said = study.fails(&format!("{line} --test ./1.csv"));
    assert!(said.contains("1.csv"), "{said}");
}
