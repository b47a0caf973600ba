//! Swarm, local-only and central side by side, of a study of which some tensors stay at the sites.

use super::*;
use consilium_ml_worker::{
    compare::Inputs,
    data::{demo, read_table, Split},
    external::Engine,
    simulate::{site_group_key, Site, Swarm},
};
use consilium_primitives::InstitutionId;
use std::sync::Arc;

#[test]
fn a_model_is_measured_at_each_site_with_the_tensors_that_stay_there() {
    let spec = study("steps = 3\nshift = 0.01", true);
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    demo::write(1, &at("data")).unwrap();
    let table = |name: &str, secret: &[u8; 32]| {
        read_table(&at("data").join(name), &spec.data, &site_group_key(&spec, secret).unwrap()).unwrap()
    };
    let site = |n: u8| {
        let (name, secret) = (demo::SITES[usize::from(n)].0, [n; 32]);
        let table = table(&format!("{name}.csv"), &secret);
        Site { name: name.into(), id: InstitutionId([n; 32]), secret, samples: 10, table }
    };
    let sites = [site(2), site(3)];
    let splits: Vec<Split> = sites.iter().map(|site| Split::of(&site.table, 0.3)).collect();
    let held_out = table("held-out.csv", &[9; 32]);

    let (trainer, initial) = (Arc::new(at_a_desk(scratch.path(), &spec)), initial(true));
    let counter =
        |count: i64| Some(tensors(&[("rounds", safetensors::Dtype::I64, vec![1], count.to_le_bytes().to_vec())]));
    let compare = |at_sites| {
        let engine = Engine {
            initial: Some(Arc::new(initial.clone())),
            trainer: Some(trainer.clone()),
            at_sites: Some(at_sites),
        };
        let zeros = [0.0; 31];
        Inputs {
            engine: &engine,
            spec: &spec,
            rounds: 1,
            sites: &sites,
            splits: &splits,
            tests: &[None, None],
            held_out: Some(&held_out),
            swarm: Swarm { chosen: &zeros, round: 1, last: None },
            statistics: None,
        }
        .compare()
        .unwrap()
    };
    // the swarm's model itself says nothing: all that it says of a row is what the counter at that site says
    let compared = compare(vec![counter(1_000), counter(-1_000)]);
    let found = |n: usize| compared.swarm.chosen.sites[n].1.as_ref().unwrap().binary().unwrap().sensitivity;
    assert_eq!((found(0), found(1)), (Some(1.0), Some(0.0)));
    let nowhere = compared.swarm.chosen.held_out.as_ref().unwrap().log_loss();
    assert!((nowhere - std::f64::consts::LN_2).abs() < 1e-6, "with the initial file's: {nowhere}");
    // the other arms have their own
    for arm in compared.local.iter().chain([&compared.central]) {
        let loss = arm.chosen.held_out.as_ref().unwrap().log_loss();
        assert!(loss < std::f64::consts::LN_2, "{}: {loss}", arm.name);
    }
    assert!(compared.notes.iter().any(|note| note.contains("that stay at that site")), "{:?}", compared.notes);
    assert!(compared.notes.iter().all(|note| !note.contains("not at hand")), "{:?}", compared.notes);
    // where one is not known, the initial file's stands in, and that is said
    let compared = compare(vec![counter(1_000), None]);
    let loss = compared.swarm.chosen.sites[1].1.as_ref().unwrap().log_loss();
    assert!((loss - std::f64::consts::LN_2).abs() < 1e-6, "{loss}");
    let said = format!("initial file stand in: {}", demo::SITES[3].0);
    assert!(compared.notes.iter().any(|note| note.ends_with(&said)), "{:?}", compared.notes);
}
