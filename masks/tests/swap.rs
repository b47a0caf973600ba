//! What those who act together learn of two sites whose sum is the same: nothing.
//!
//! Seven sites, of which two act together and one is lost after its deal. In every second round two honest sites' numbers are x + δ and
//! y − δ in the place of x and y. The coalition has all masked files, everything that is published, its own secrets and shares, and takes
//! off every mask that it can. A classifier that has seen 2,000 such rounds, and knows of each which it was, is asked about 2,000 others. The
//! control leaves out the masks that two sites have in common: then it must know each time.
#![allow(clippy::unwrap_used)]

use consilium_masks::{
    deal_hash, mask_streams, open_deal, pair_key, reveal, self_key, unmask_streams, Entropy, Id, KeyList, Kind, Opened,
    Pairing, Partner, Partners, Secrets, Sharing, Sign, Streams, Which,
};
use rand_core::RngCore;

const SITES: usize = 7;
/// Those who act together.
const COLLUDERS: [usize; 2] = [1, 4];
/// Dealt, sent its file to everybody, and is not in the sum.
const LOST: usize = 6;
/// The two honest sites between which δ moves, and the other honest ones in the sum.
const HONEST: [usize; 4] = [0, 2, 3, 5];
const WORDS: usize = 8;
/// What moves between the two, large beside the sites' own numbers, and small beside the ring.
const DELTA: u32 = 1 << 24;
const MINIMUM: usize = 3;

fn id(site: usize) -> Id {
    [site as u8 + 1; 32]
}

/// What the coalition can compute of one round, as numbers between −1 and 1.
fn seen(number: u64, moved: bool, pairs: bool) -> Vec<f64> {
    let mut key = [9; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    let mut chance = Entropy::new(&key, b"swap");
    let (genesis, agreement) = ([1; 32], [2; 32]);
    let pairing = Pairing {
        genesis: &genesis,
        study: 1,
        agreement: &agreement,
        kind: Kind::Model,
        round: 2,
        pairing: number as u32,
    };
    let context = pairing.context();
    let secrets: Vec<Secrets> = (0..SITES).map(|_| Secrets::draw(&mut chance)).collect();
    let list = KeyList::new(
        context,
        secrets.iter().enumerate().map(|(site, own)| (id(site), own.public_keys(&context, &id(site)))).collect(),
    )
    .unwrap();
    let deals: Vec<Vec<u8>> = secrets
        .iter()
        .enumerate()
        .map(|(site, own)| Sharing::new(own, &list).deal(own, &id(site), &list).unwrap())
        .collect();
    let partner = |(site, deal): (usize, &Vec<u8>)| Partner { id: id(site), deal: deal_hash(deal), weight: 10 };
    let partners = Partners::new(list.clone(), deals.iter().enumerate().map(partner).collect()).unwrap();
    let root = *partners.root();

    let mut numbers: Vec<Vec<u32>> =
        (0..SITES).map(|_| (0..WORDS).map(|_| (chance.next_u32() % 2_048).wrapping_sub(1_024)).collect()).collect();
    if moved {
        numbers[HONEST[0]].iter_mut().for_each(|word| *word = word.wrapping_add(DELTA));
        numbers[HONEST[1]].iter_mut().for_each(|word| *word = word.wrapping_sub(DELTA));
    }
    let files: Vec<Vec<u32>> = (0..SITES)
        .map(|site| {
            let mut words = numbers[site].clone();
            let streams = match pairs {
                true => mask_streams(&secrets[site], &id(site), &partners).unwrap(),
                false => Streams::new([(self_key(&part(&secrets[site], 2), &id(site), &root), Sign::Add)]),
            };
            streams.add(0, &mut words);
            words
        })
        .collect();

    let used: Vec<usize> = (0..SITES).filter(|site| *site != LOST).collect();
    let ids: Vec<Id> = used.iter().map(|site| id(*site)).collect();
    let set = partners.set_of(&ids).unwrap();
    let reveals: Vec<_> = used
        .iter()
        .map(|site| (id(*site), reveal(&secrets[*site], &id(*site), &partners, set, MINIMUM, &deals).unwrap().0))
        .collect();
    let opened = Opened::new(&partners, set, &reveals).unwrap();
    if pairs {
        let mut sum = vec![0; WORDS];
        used.iter().for_each(|site| add(&mut sum, &files[*site]));
        unmask_streams(&partners, &opened).unwrap().add(0, &mut sum);
        let mut expected = vec![0; WORDS];
        used.iter().for_each(|site| add(&mut expected, &numbers[*site]));
        assert_eq!(sum, expected, "the sum is that of the numbers");
    }

    // of each honest file all masks are taken off that the coalition knows
    let left: Vec<Vec<u32>> = HONEST
        .iter()
        .map(|site| {
            let (own, public) = (id(*site), list.keys(&id(*site)).unwrap().pair);
            let mut known = vec![(self_key(opened.secret(*site).unwrap(), &own, &root), Sign::Subtract)];
            let mut pair = |secret: &[u8; 32], other: usize| {
                let key = pair_key(secret, &public, &own, &id(other), &root);
                known.push((key, Sign::of_pair(&own, &id(other)).opposite()));
            };
            if pairs {
                COLLUDERS.iter().for_each(|other| pair(&part(&secrets[*other], 1), *other));
                pair(opened.secret(LOST).unwrap(), LOST);
            }
            let mut words = files[*site].clone();
            Streams::new(known).add(0, &mut words);
            words
        })
        .collect();
    let mut all = left.concat();
    let with =
        |combine: fn(u32, u32) -> u32| left[0].iter().zip(&left[1]).map(|(a, b)| combine(*a, *b)).collect::<Vec<u32>>();
    all.extend(with(u32::wrapping_add));
    all.extend(with(u32::wrapping_sub));
    HONEST.iter().chain([&LOST]).for_each(|site| all.extend(&files[*site]));
    for colluder in COLLUDERS {
        for site in HONEST.into_iter().chain([LOST]) {
            let shares = open_deal(&secrets[colluder], &id(colluder), &list, &id(site), &deals[site]).unwrap();
            all.extend([Which::Seed, Which::Pair].map(|which| first_word(shares.of(which))));
        }
    }
    for (_, reveal) in &reveals {
        all.extend((0..SITES).filter_map(|place| reveal.share(place)).map(first_word));
    }
    all.into_iter().map(|word| f64::from(word as i32) / f64::from(1u32 << 31)).collect()
}

/// One of a site's secrets: 0 the seal, 1 the pair secret, 2 the seed.
fn part(secrets: &Secrets, place: usize) -> [u8; 32] {
    secrets.to_bytes()[32 * place..32 * (place + 1)].try_into().unwrap()
}

fn first_word(bytes: &[u8; 32]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn add(sum: &mut [u32], words: &[u32]) {
    sum.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
}

/// So many rounds from a number on, every second one with δ moved.
fn rounds(first: u64, count: u64, pairs: bool) -> Vec<(Vec<f64>, bool)> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || every(threads, first + thread, first + count, pairs)))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Every so many-th round of a span.
fn every(step: u64, first: u64, end: u64, pairs: bool) -> Vec<(Vec<f64>, bool)> {
    let numbers = (first..end).step_by(step as usize);
    numbers.map(|number| (seen(number, number % 2 == 1, pairs), number % 2 == 1)).collect()
}

/// For each number what it says of whether δ was moved: the difference of its means, in squares of its deviation.
fn learned(rounds: &[(Vec<f64>, bool)]) -> Vec<f64> {
    let numbers = rounds[0].0.len();
    (0..numbers)
        .map(|k| {
            let of = |wanted: bool| {
                let values: Vec<f64> =
                    rounds.iter().filter(|(_, moved)| *moved == wanted).map(|(values, _)| values[k]).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let spread = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
                (mean, spread)
            };
            let ((one, spread), (other, as_wide)) = (of(true), of(false));
            (one - other) / (spread + as_wide).max(1e-30)
        })
        .collect()
}

/// Area under the ROC curve of what was learned, on other rounds.
fn auc(weights: &[f64], rounds: &[(Vec<f64>, bool)]) -> f64 {
    let mut scores: Vec<(f64, bool)> = rounds
        .iter()
        .map(|(values, moved)| (values.iter().zip(weights).map(|(x, weight)| x * weight).sum(), *moved))
        .collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0usize, 0usize);
    for (_, moved) in &scores {
        if *moved {
            pairs += below;
        } else {
            below += 1;
        }
    }
    pairs as f64 / (below * (scores.len() - below)) as f64
}

#[test]
fn two_updates_with_the_same_sum_are_the_same_to_those_who_act_together() {
    let weights = learned(&rounds(0, 2_000, true));
    let found = auc(&weights, &rounds(2_000, 2_000, true));
    // the standard error is .013
    assert!((0.45..=0.55).contains(&found), "the coalition tells them apart: AUC {found}");
}

#[test]
fn without_the_masks_between_two_sites_it_is_told_each_time() {
    let weights = learned(&rounds(0, 200, false));
    assert_eq!(auc(&weights, &rounds(200, 200, false)), 1.0);
}
