//! Rounds from keys to the sum, with losses and with liars. Each lie ends with the name of who told it.
use consilium_masks::{
    check_deals, check_key_list, check_partners, check_reveal, check_used, deal_hash, least_used, mask_streams,
    open_deal, pair_key, reveal, threshold, unmask_streams, Entropy, Error, Id, KeyList, Kind, Opened, Pairing,
    Partner, Partners, PublicKeys, Reveal, Secrets, Sharing, Which, FIGURES, KEYS_LEN, PART_LEN,
};
use proptest::prelude::*;

const MINIMUM: usize = 3;

fn id(site: usize) -> Id {
    [site as u8 + 1; 32]
}

fn context() -> [u8; 32] {
    let (genesis, agreement) = ([1; 32], [2; 32]);
    Pairing { genesis: &genesis, study: 1, agreement: &agreement, kind: Kind::Model, round: 2, pairing: 3 }.context()
}

fn secrets(site: usize) -> Secrets {
    Secrets::draw(&mut Entropy::new(&[7; 32], &[site as u8]))
}

fn keys(site: usize) -> PublicKeys {
    secrets(site).public_keys(&context(), &id(site))
}

fn list(sites: usize) -> KeyList {
    KeyList::new(context(), (0..sites).map(|site| (id(site), keys(site))).collect()).unwrap()
}

fn deal(site: usize, list: &KeyList) -> Vec<u8> {
    let secrets = secrets(site);
    Sharing::new(&secrets, list).deal(&secrets, &id(site), list).unwrap()
}

/// A pairing whose partners are known.
struct World {
    partners: Partners,
    deals: Vec<Vec<u8>>,
}

impl World {
    /// Of so many sites, those that dealt, and what they dealt.
    fn new(list: KeyList, deals: Vec<(usize, Vec<u8>)>) -> Self {
        let partner = |(site, deal): &(usize, Vec<u8>)| Partner { id: id(*site), deal: deal_hash(deal), weight: 10 };
        let partners = Partners::new(list, deals.iter().map(partner).collect()).unwrap();
        Self { partners, deals: deals.into_iter().map(|(_, deal)| deal).collect() }
    }

    /// All of so many sites dealt, and honestly.
    fn honest(sites: usize) -> Self {
        let list = list(sites);
        let deals = (0..sites).map(|site| (site, deal(site, &list))).collect();
        Self::new(list, deals)
    }

    fn set(&self, sites: &[usize]) -> u64 {
        self.partners.set_of(&sites.iter().map(|site| id(*site)).collect::<Vec<Id>>()).unwrap()
    }

    fn reveal(&self, site: usize, used: u64) -> (Id, Reveal) {
        let (reveal, _) = reveal(&secrets(site), &id(site), &self.partners, used, MINIMUM, &self.deals).unwrap();
        check_reveal(&reveal, &id(site), &self.partners, used, &self.deals).unwrap();
        (id(site), reveal)
    }

    /// The sum of the masked numbers of `used`, with what is left of masks taken off.
    fn sum(&self, used: &[usize], opened: &Opened, words: usize) -> (Vec<u32>, [u64; FIGURES]) {
        let (mut sum, mut figures) = (vec![0_u32; words], [0_u64; FIGURES]);
        for site in used {
            let (mut numbers, mut own) = plain(*site, words);
            let streams = mask_streams(&secrets(*site), &id(*site), &self.partners).unwrap();
            streams.add(0, &mut numbers);
            streams.add_figures(words as u64, &mut own);
            add(&mut sum, &mut figures, &numbers, &own);
        }
        let streams = unmask_streams(&self.partners, opened).unwrap();
        streams.add(0, &mut sum);
        streams.add_figures(words as u64, &mut figures);
        (sum, figures)
    }
}

/// A site's numbers without masks.
fn plain(site: usize, words: usize) -> (Vec<u32>, [u64; FIGURES]) {
    let word = |place: usize| (place as u32 + 1).wrapping_mul(0x9e37_79b9).wrapping_mul(site as u32 + 3);
    ((0..words).map(word).collect(), [u64::from(word(7)), site as u64, 1])
}

fn add(sum: &mut [u32], figures: &mut [u64; FIGURES], words: &[u32], own: &[u64; FIGURES]) {
    for (sum, word) in sum.iter_mut().zip(words) {
        *sum = sum.wrapping_add(*word);
    }
    for (sum, figure) in figures.iter_mut().zip(own) {
        *sum = sum.wrapping_add(*figure);
    }
}

fn plain_sum(used: &[usize], words: usize) -> (Vec<u32>, [u64; FIGURES]) {
    let (mut sum, mut figures) = (vec![0; words], [0; FIGURES]);
    for site in used {
        let (numbers, own) = plain(*site, words);
        add(&mut sum, &mut figures, &numbers, &own);
    }
    (sum, figures)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sites are lost at any stage: before the deal (0), before the update or while files are fetched (1), at the reveal (2). Either the
    /// sum is that of exactly the sites in the set, or it is refused or stays closed because too few are left.
    #[test]
    fn sums_are_those_of_the_survivors(fates in prop::collection::vec(0_u8..14, 3..=8), words in 0_usize..40) {
        let list = list(fates.len());
        let t = threshold(fates.len());
        let with = |least: u8| fates.iter().enumerate().filter(move |(_, fate)| **fate >= least).map(|(site, _)| site);
        let deals: Vec<_> = with(1).map(|site| (site, deal(site, &list))).collect();
        prop_assume!(!deals.is_empty());
        let world = World::new(list, deals);
        for site in with(1) {
            prop_assert_eq!(check_partners(&world.partners, &id(site)).is_ok(), world.partners.count() >= t);
        }
        let used: Vec<usize> = with(2).collect();
        let set = world.set(&used);
        for site in &used {
            let allowed = check_used(&world.partners, &id(*site), set, MINIMUM);
            prop_assert_eq!(allowed.is_ok(), used.len() >= least_used(t, MINIMUM));
        }
        if used.len() < least_used(t, MINIMUM) {
            return Ok(());
        }
        let reveals: Vec<_> = with(3).map(|site| world.reveal(site, set)).collect();
        match Opened::new(&world.partners, set, &reveals) {
            Ok(opened) => {
                prop_assert!(reveals.len() >= t);
                prop_assert_eq!(world.sum(&used, &opened, words), plain_sum(&used, words));
            }
            Err(error) => {
                prop_assert!(reveals.len() < t);
                let whose = world.partners.partners().iter().map(|partner| partner.id).collect();
                prop_assert_eq!(error, Error::Unrecoverable { whose, threshold: t });
            }
        }
    }
}

/// Without what is left of masks taken off, the sum is not the sum; and where the secrets of another set are opened, neither.
#[test]
fn a_sum_can_be_read_over_the_fixed_set_only() {
    let world = World::honest(4);
    let all = world.partners.all();
    let reveals: Vec<_> = (0..3).map(|site| world.reveal(site, all)).collect();
    let opened = Opened::new(&world.partners, all, &reveals).unwrap();
    assert_eq!(world.sum(&[0, 1, 2, 3], &opened, 20), plain_sum(&[0, 1, 2, 3], 20));
    let (fewer, _) = world.sum(&[0, 1, 2], &opened, 20);
    let (plain, _) = plain_sum(&[0, 1, 2], 20);
    assert!(fewer.iter().zip(&plain).all(|(masked, plain)| masked != plain));
}

#[test]
fn a_worker_that_is_started_again_deals_and_reveals_the_same() {
    let (four, five) = (list(4), list(5));
    assert_eq!(deal(1, &four), deal(1, &four));
    let parts = |deal: &[u8]| deal[..4 * PART_LEN].to_vec();
    assert_ne!(parts(&deal(1, &four)), parts(&deal(1, &five)));
    let world = World::honest(4);
    assert_eq!(world.reveal(2, world.partners.all()), world.reveal(2, world.partners.all()));
}

#[test]
fn a_wrong_share_is_named() {
    let world = World::honest(4);
    let used = world.set(&[0, 1, 3]);
    let (holder, honest) = world.reveal(1, used);
    for (dealer, which) in [(0, Which::Seed), (1, Which::Seed), (2, Which::Pair), (3, Which::Seed)] {
        let mut bytes = honest.to_bytes();
        bytes[8 + 32 * dealer + 5] ^= 1;
        let lie = Reveal::from_bytes(&bytes, &world.partners).unwrap();
        let found = check_reveal(&lie, &holder, &world.partners, used, &world.deals);
        assert_eq!(found, Err(Error::WrongShare { dealer: id(dealer), holder, which }));
    }
    // the same shares from somebody else, and for another set
    assert!(check_reveal(&honest, &id(0), &world.partners, used, &world.deals).is_err());
    assert!(check_reveal(&honest, &holder, &world.partners, world.partners.all(), &world.deals).is_err());
    let outside = check_reveal(&honest, &id(2), &world.partners, used, &world.deals);
    assert_eq!(outside, Err(Error::RevealOutsideSet { who: id(2) }));
}

/// A dealer seals rubbish to one site, and commits to rubbish for another. Both leave its share out. Where the others' shares
/// suffice, nothing is lost; where they do not, the dealer is named.
#[test]
fn rubbish_in_a_deal_is_left_out() {
    let list = list(5);
    let mut lie = deal(3, &list);
    lie[PART_LEN + 70] ^= 1;
    let one = lie.clone();
    lie[2 * PART_LEN + 40] ^= 1;
    assert_eq!(open_deal(&secrets(1), &id(1), &list, &id(3), &lie).unwrap_err(), Error::Sealed { dealer: id(3) });
    let wrong = Error::WrongShare { dealer: id(3), holder: id(2), which: Which::Pair };
    assert_eq!(open_deal(&secrets(2), &id(2), &list, &id(3), &lie).unwrap_err(), wrong);
    assert!(open_deal(&secrets(0), &id(0), &list, &id(3), &lie).is_ok());
    let cut = open_deal(&secrets(0), &id(0), &list, &id(3), &lie[1..]);
    assert!(matches!(cut.unwrap_err(), Error::Length { found: 719, expected: 720, .. }));

    let all = [0, 1, 2, 3, 4];
    let with = |lie: Vec<u8>| {
        let mut deals: Vec<_> = all.map(|site| (site, deal(site, &list))).to_vec();
        deals[3].1 = lie;
        World::new(list.clone(), deals)
    };

    // four shares are needed: of the dealer's, sites 0, 2, 3, 4 give theirs
    let world = with(one);
    let used = world.partners.all();
    let reveals: Vec<_> = all.map(|site| world.reveal(site, used)).to_vec();
    let opened = Opened::new(&world.partners, used, &reveals).unwrap();
    assert_eq!(world.sum(&all, &opened, 9), plain_sum(&all, 9));

    let world = with(lie);
    let (made, missing) = reveal(&secrets(2), &id(2), &world.partners, used, MINIMUM, &world.deals).unwrap();
    assert_eq!((missing, made.set()), (vec![wrong], 0b1_0111));
    assert_eq!((made.share(3), made.share(4).is_some(), made.share(64)), (None, true, None));
    let reveals: Vec<_> = all.map(|site| world.reveal(site, used)).to_vec();
    let few = Opened::new(&world.partners, used, &reveals);
    assert_eq!(few.unwrap_err(), Error::Unrecoverable { whose: vec![id(3)], threshold: 4 });
}

/// Two kinds of bad deals, of which every single share is right: shares of other secrets, and of polynomials of too high a degree.
#[test]
fn a_bad_deal_is_named_in_the_set_and_outside() {
    let (four, many) = (list(4), list(9));
    let (own, other) = (secrets(2), secrets(8));
    let foreign = Sharing::new(&other, &four).deal(&own, &id(2), &four).unwrap();
    let steep = Sharing::new(&own, &many).deal(&own, &id(2), &four).unwrap();
    for bad in [foreign, steep] {
        let deals = [0, 1, 3].map(|site| (site, deal(site, &four)));
        let mut deals = deals.to_vec();
        deals.insert(2, (2, bad));
        let world = World::new(four.clone(), deals);
        for used in [world.set(&[0, 1, 3]), world.partners.all()] {
            let reveals: Vec<_> = [0, 1, 3].map(|site| world.reveal(site, used)).to_vec();
            let found = Opened::new(&world.partners, used, &reveals);
            assert_eq!(found.unwrap_err(), Error::BadDeal { who: vec![id(2)] });
        }
    }
}

/// A key of small order has the same secret in common with everybody. It is used as it comes.
#[test]
fn a_key_of_zeros_is_used_as_it_comes() {
    let one = pair_key(&[3; 32], &[0; 32], &id(0), &id(1), &[9; 32]);
    let other = pair_key(&[5; 32], &[0; 32], &id(1), &id(0), &[9; 32]);
    assert_eq!(one.as_bytes(), other.as_bytes());

    let mut keys: Vec<_> = (0..4).map(|site| (id(site), keys(site))).collect();
    keys[3].1 = PublicKeys::from_bytes(&[0; KEYS_LEN]);
    let list = KeyList::new(context(), keys).unwrap();
    let deals = (0..4).map(|site| (site, deal(site, &list))).collect();
    let world = World::new(list, deals);
    assert_eq!(mask_streams(&secrets(0), &id(0), &world.partners).unwrap().len(), 4);
}

#[test]
fn postings_are_read_to_the_byte() {
    let world = World::honest(4);
    let (_, made) = world.reveal(0, world.partners.all());
    let bytes = made.to_bytes();
    assert_eq!(bytes.len(), 8 + 4 * 32);
    assert_eq!(Reveal::from_bytes(&bytes, &world.partners), Ok(made));
    let what = "a reveal";
    for length in [0, 7, 8, 135, 137] {
        let mut cut = bytes.clone();
        cut.resize(length, 0);
        let expected = if length < 8 { 8 } else { 136 };
        assert_eq!(Reveal::from_bytes(&cut, &world.partners), Err(Error::Length { what, found: length, expected }));
    }
    let mut beyond = bytes.clone();
    beyond[0] = 0b1_0111;
    assert_eq!(Reveal::from_bytes(&beyond, &world.partners), Err(Error::SetTooLong { set: 0b1_0111, partners: 4 }));
    let none = Reveal::from_bytes(&[0; 8], &world.partners).unwrap();
    assert_eq!((none.set(), none.share(0)), (0, None));
}

#[test]
fn who_reveals_is_in_the_set_and_reveals_once() {
    let world = World::honest(4);
    let used = world.set(&[0, 1, 3]);
    let mut reveals: Vec<_> = [0, 1, 3].map(|site| world.reveal(site, used)).to_vec();
    reveals.push(reveals[1].clone());
    let found = Opened::new(&world.partners, used, &reveals);
    assert_eq!(found.unwrap_err(), Error::RevealedTwice { who: id(1) });
    reveals[3].0 = id(2);
    let found = Opened::new(&world.partners, used, &reveals);
    assert_eq!(found.unwrap_err(), Error::RevealOutsideSet { who: id(2) });
}

/// A worker answers no order that its rules forbid.
#[test]
fn what_the_rules_forbid_is_refused() {
    let four = list(4);
    assert_eq!(check_key_list(&four, &secrets(0), &id(0), 3), Ok(()));
    assert_eq!(check_key_list(&four, &secrets(0), &id(0), 5), Err(Error::TooFewKeys { found: 4, least: 5 }));
    assert_eq!(check_key_list(&list(2), &secrets(0), &id(0), 2), Err(Error::TooFewKeys { found: 2, least: 3 }));
    assert_eq!(check_key_list(&four, &secrets(1), &id(0), 3), Err(Error::ForeignKeys));
    assert_eq!(check_key_list(&four, &secrets(6), &id(6), 3), Err(Error::NotInKeyList { who: id(6) }));

    let deals = (0..2).map(|site| (site, deal(site, &four))).collect();
    let few = World::new(four, deals);
    assert_eq!(check_partners(&few.partners, &id(0)), Err(Error::TooFewPartners { found: 2, least: 3 }));

    let world = World::honest(5);
    let three = world.set(&[0, 1, 2]);
    let ask = |site: usize, used: u64, minimum: usize, deals: &[Vec<u8>]| {
        reveal(&secrets(site), &id(site), &world.partners, used, minimum, deals).map(drop)
    };
    assert_eq!(ask(0, three, 3, &world.deals), Err(Error::TooFewInSet { found: 3, least: 4 }));
    let four = world.set(&[0, 1, 2, 3]);
    assert_eq!(ask(0, four, 3, &world.deals), Ok(()));
    assert_eq!(ask(0, four, 5, &world.deals), Err(Error::TooFewInSet { found: 4, least: 5 }));
    assert_eq!(ask(4, four, 3, &world.deals), Err(Error::NotInSet));
    assert_eq!(ask(6, four, 3, &world.deals), Err(Error::NotAPartner { who: id(6) }));
    assert_eq!(ask(0, four | (1 << 5), 3, &world.deals), Err(Error::SetTooLong { set: 0b10_1111, partners: 5 }));
    assert_eq!(ask(0, four, 3, &world.deals[1..]), Err(Error::DealsMissing { found: 4, partners: 5 }));
    let mut changed = world.deals.clone();
    changed[2][0] ^= 1;
    assert_eq!(ask(0, four, 3, &changed), Err(Error::ForeignDeal { dealer: id(2) }));
    assert_eq!(check_deals(&world.partners, &world.deals), Ok(()));
}
