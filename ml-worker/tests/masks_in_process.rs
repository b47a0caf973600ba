//! The demo's study with masks beside the same without, in one process. Masks cancel to the bit; what is left is a rounding to 2⁻²⁸.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    data::read_table,
    over_seeds::{OverSeeds, Source},
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::StudyFile;

const DEMO: &str = include_str!("../../examples/breast-cancer/study.toml");

fn masked() -> StudyFile {
    StudyFile::parse(&DEMO.replace("[rules]\n", "[rules]\nmasked = true\n")).unwrap()
}

#[test]
fn masks_change_no_auc_of_the_demo() {
    let seeds = 1..=20;
    let of = |file: &StudyFile| OverSeeds::of(file, Source::Demo, seeds.clone(), &mut |_, _| Ok(())).unwrap().rows;
    let (plain, masked) = (of(&StudyFile::parse(DEMO).unwrap()), of(&masked()));
    assert_eq!((plain.len(), masked.len()), (20, 20));
    for (plain, masked) in plain.iter().zip(&masked) {
        // the last round's models: with masks another figure chooses among rounds
        let (with, without) = (masked.last.swarm.auc, plain.last.swarm.auc);
        assert!((with - without).abs() <= 0.0005, "seed {}: {with} with masks, {without} without", plain.seed);
        // neither has the other arms any masks
        assert!((masked.last.central.auc - plain.last.central.auc).abs() <= 0.0005, "seed {}", plain.seed);
    }
}

/// Nobody sees a site's own statistics, so that a site need not have twenty rows to add to them: all sites together need thirty.
#[test]
fn four_sites_of_fifteen_patients_train_with_swarm_wide_scaling_under_masks_alone() {
    let folder = tempfile::tempdir().unwrap();
    let study = |rules: &str| {
        StudyFile::parse(&format!(
            "title = \"Small\"\n[data]\nfeatures = {{ columns = [\"a\", \"b\"] }}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \
             \"no\"\ngroup = \"patient\"\nscaling = \"swarm\"\n[model.logistic]\n[training]\noptimizer = {{ adam = {{ learning_rate = \
             0.1 }} }}\nbatch_size = 8\nepochs = 2\n[evaluation]\nvalidation_share = 0.25\n[rules]\nrounds = 3\ntraining_seconds = \
             1\n{rules}\n"
        ))
        .unwrap()
    };
    let played = |file: &StudyFile| {
        let (spec, rules) = (file.spec(), file.rules(2_000, 4).unwrap());
        let sites: Vec<Site> = (0..4u8)
            .map(|site| {
                let mut text = "patient,a,b,ill\n".to_owned();
                for n in 0..15u32 {
                    let (a, b) = ((n * 7 + u32::from(site)) % 15, (n * 4) % 15);
                    text += &format!("{site}-{n},{a},{b}.5,{}\n", if a > b { "yes" } else { "no" });
                }
                let path = folder.path().join(format!("{site}.csv"));
                std::fs::write(&path, text).unwrap();
                let secret = [site + 1; 32];
                let table = read_table(&path, &spec.data, &site_group_key(&spec, &secret).unwrap()).unwrap();
                Site { name: format!("site {site}"), id: InstitutionId([site + 1; 32]), secret, samples: 11, table }
            })
            .collect();
        run(&spec, &rules, &sites, &|_, _, loss| loss)
    };
    let outcome = played(&study("masked = true")).unwrap();
    let statistics = outcome.statistics.unwrap();
    assert!(statistics.count.iter().all(|count| *count >= 30.0), "{statistics:?}");
    assert!(outcome.model.iter().any(|weight| *weight != 0.0));
    let refused = played(&study("")).err().unwrap().to_string();
    assert!(refused.contains("no site has 20 known values"), "{refused}");
}
