//! The attack bench's own definitions, against numbers worked out by hand.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../examples/attacks/attack.rs"]
mod attack;
#[path = "../examples/attacks/robust.rs"]
mod robust;

use attack::{Attack, Trains};
use consilium_study::random::Stream;
use robust::{bulyan, centred_clipping};

fn forged(attack: Attack, honest: &[&[f32]], own: &[f32]) -> Vec<f32> {
    attack.forged(&[1.0, 1.0], honest, own, &mut Stream::new([7; 32]))
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, expected {expected:?}");
}

#[test]
fn a_flipped_or_scaled_step_is_the_own_step_times_the_factor() {
    assert_eq!(forged(Attack::Times(-1.0), &[&[2.0, 2.0]], &[3.0, 0.5]), [-1.0, 1.5]);
    assert_eq!(forged(Attack::Times(-10.0), &[&[2.0, 2.0]], &[3.0, 0.5]), [-19.0, 6.0]);
    assert_eq!(forged(Attack::Times(10.0), &[&[2.0, 2.0]], &[3.0, 0.5]), [21.0, -4.0]);
}

#[test]
fn a_little_is_enough_and_inner_products_come_from_mean_and_deviation_of_the_honest_steps() {
    // steps (0, 1), (1, 1), (2, 4): means 1 and 2, deviations of the sample 1 and √3
    let honest: [&[f32]; 3] = [&[1.0, 2.0], &[2.0, 2.0], &[3.0, 5.0]];
    let alie = forged(Attack::Alie(1.5), &honest, &[9.0, 9.0]);
    assert_eq!(alie, [0.5, (3.0 - 1.5 * 3f64.sqrt()) as f32]);
    assert_eq!(forged(Attack::Ipm(0.5), &honest, &[9.0, 9.0]), [0.5, 0.0]);
    // of one honest step there is no deviation
    assert_eq!(forged(Attack::Alie(3.0), &[&[2.0, 4.0]], &[9.0, 9.0]), [2.0, 4.0]);
}

#[test]
fn noise_is_ten_mean_honest_steps_long() {
    // lengths 5 and 13
    let honest: [&[f32]; 2] = [&[4.0, 5.0], &[6.0, 13.0]];
    let noise = forged(Attack::Noise, &honest, &[1.0, 1.0]);
    let length = noise.iter().map(|x| (f64::from(*x) - 1.0).powi(2)).sum::<f64>().sqrt();
    assert!((length - 90.0).abs() < 1e-3, "{length}");
}

#[test]
fn what_is_trained_wrongly_is_sent_as_it_is() {
    for attack in [Attack::LabelFlip, Attack::InflatedCount, Attack::Backdoor] {
        assert_eq!(forged(attack, &[&[2.0, 2.0]], &[3.0, 0.5]), [3.0, 0.5]);
    }
    assert_eq!(Attack::LabelFlip.trains(), Trains::Flipped);
    assert_eq!(Attack::Backdoor.trains(), Trains::Poisoned);
    assert_eq!((Attack::InflatedCount.samples(70), Attack::LabelFlip.samples(70)), (7000, 70));
}

#[test]
fn names_of_attacks_differ() {
    let mut names: Vec<String> = Attack::ALL.iter().map(|attack| attack.name()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), Attack::ALL.len());
}

#[test]
fn bulyan_of_seven_numbers() {
    // n = 7, f = 1: five are chosen, three of them are averaged. Krum looks at 4 neighbours, then 3, 2, 1, 1.
    // of 0 1 2 3 4 5 100: scores 30 15 10 10 15 30 …: takes 2 (the first of equals); of 0 1 3 4 5 100: 26 14 9 11 21 …:
    // takes 3; of 0 1 4 5 100: 17 10 10 17 …: takes 1; of 0 4 5 100: 16 1 1 …: takes 4; of 0 5 100: 25 25 …: takes 0.
    // chosen 0 1 2 3 4, median 2, nearest 2 1 3
    let points: Vec<Vec<f64>> = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 100.0].iter().map(|x| vec![*x]).collect();
    near(&bulyan(&points, 1), &[2.0]);
    // without liars it is the mean
    near(&bulyan(&points[..6], 0), &[2.5]);
}

#[test]
fn clipping_shortens_what_is_further_than_the_median() {
    // from 0: distances 1, 2, 30, median 2; steps 1, 2, 2; a third of their sum
    let points = [vec![1.0, 0.0], vec![0.0, 2.0], vec![0.0, 30.0]];
    near(&centred_clipping(&points, vec![0.0, 0.0], 1), &[1.0 / 3.0, 4.0 / 3.0]);
    // of equal points it arrives where they are
    let same = [vec![3.0], vec![3.0], vec![3.0]];
    near(&centred_clipping(&same, vec![0.0], 3), &[3.0]);
    near(&centred_clipping(&same, vec![1.0], 0), &[1.0]);
}
