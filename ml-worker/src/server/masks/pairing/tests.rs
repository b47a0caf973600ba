//! The rules that a worker keeps whatever its node says: one list, one set of partners, one set of files for each pairing.
#![allow(clippy::unwrap_used)]

mod sums;

use super::*;
use consilium_masks::{mask_streams, unmask_streams, Opened, Reveal};

const STUDY: StudyKey = StudyKey { agreement: Hash::repeat_byte(7), study: 3 };
const CONTEXT: [u8; 32] = [9; 32];
const DUTY: Hash = Hash::repeat_byte(0xd0);
const WORK: Source = Source { work: Hash::repeat_byte(0xe0), again: None };

/// One institution with a folder of its own.
struct Site {
    dir: tempfile::TempDir,
    home: Home,
    id: Id,
}

impl Site {
    fn new(n: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("home")).unwrap();
        Self { dir, home, id: [n; 32] }
    }

    /// As a worker finds its folder that is started again.
    fn again(&self) -> Home {
        Home::open(&self.dir.path().join("home")).unwrap()
    }

    fn pair<'a>(&self, home: &'a Home, number: u32) -> Pair<'a> {
        Pair { home, study: STUDY, number, context: CONTEXT, own: self.id, minimum: 3 }
    }

    fn keys(&self, number: u32) -> PublicKeys {
        self.pair(&self.home, number).keys(crate::site::random).unwrap()
    }

    /// The masked file that it would make.
    fn file(&self) -> Hash {
        Hash::repeat_byte(self.id[0])
    }

    /// Masks, as far as this is noted.
    fn mask(&self, number: u32, partners: &Partners) -> Result<(), Unanswered> {
        self.mask_of(number, partners, WORK)
    }

    fn mask_of(&self, number: u32, partners: &Partners, source: Source) -> Result<(), Unanswered> {
        let pair = self.pair(&self.home, number);
        pair.may_mask(partners, &DUTY, &source)?;
        pair.masked(partners, DUTY, source, self.file())
    }

    fn reveal(&self, number: u32, all: &All, used: u64) -> Result<Vec<u8>, Unanswered> {
        self.pair(&self.home, number).reveal(&all.partners, (used, &self.file()), &all.dealt_to(&self.id))
    }
}

/// A pairing of some sites, up to the partners.
struct All {
    partners: Partners,
    deals: Vec<Vec<u8>>,
}

impl All {
    fn of(sites: &[&Site], number: u32) -> Self {
        let keys = sites.iter().map(|site| (site.id, site.keys(number))).collect();
        let list = KeyList::new(CONTEXT, keys).unwrap();
        let deals: Vec<_> = sites.iter().map(|site| site.pair(&site.home, number).deal(&list).unwrap()).collect();
        let partner = |(site, deal): (&&Site, &Vec<u8>)| Partner { id: site.id, deal: deal_hash(deal), weight: 10 };
        let partners = Partners::new(list, sites.iter().zip(&deals).map(partner).collect()).unwrap();
        Self { partners, deals }
    }

    /// What each partner has dealt to one of them.
    fn dealt_to(&self, who: &Id) -> Vec<Vec<u8>> {
        let place = self.partners.list().place(who).unwrap();
        self.deals.iter().map(|deal| deal[PART_LEN * place..PART_LEN * (place + 1)].to_vec()).collect()
    }
}

fn sites(count: u8) -> Vec<Site> {
    (1..=count).map(Site::new).collect()
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(answer: Result<T, Unanswered>, why: &str) {
    match answer {
        Err(Unanswered::Refused(said)) => assert!(said.contains(why), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_silent<T: std::fmt::Debug>(answer: Result<T, Unanswered>) {
    assert!(matches!(answer, Err(Unanswered::Silent(_))), "{answer:?}");
}

impl std::fmt::Debug for Maskable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Maskable({:?})", self.before)
    }
}

#[test]
fn the_same_duty_has_the_same_bytes_also_after_a_restart_and_the_sum_opens() {
    let sites = sites(4);
    let all = All::of(&sites.iter().collect::<Vec<_>>(), 1);
    let list = all.partners.list();
    for site in &sites {
        let again = site.again();
        assert_eq!(
            site.pair(&again, 1).keys(|| panic!("nothing is drawn again")).unwrap(),
            *list.keys(&site.id).unwrap()
        );
        let deal = site.pair(&again, 1).deal(list).unwrap();
        assert!(all.deals.contains(&deal));
        site.mask(1, &all.partners).unwrap();
        let before = site.pair(&again, 1).may_mask(&all.partners, &DUTY, &WORK).unwrap().before;
        assert_eq!(before, Some(site.file()), "what it has made it makes again, and nothing else");
    }
    // all masks together are none: words of zeros stay so
    let mut sum = vec![0u32; 100];
    for site in &sites[..3] {
        let secrets = site.pair(&site.home, 1).may_mask(&all.partners, &DUTY, &WORK).unwrap().secrets;
        mask_streams(&secrets, &site.id, &all.partners).unwrap().add(0, &mut sum);
    }
    let used = 0b0111;
    let reveals: Vec<_> = sites[..3]
        .iter()
        .map(|site| {
            let bytes = site.reveal(1, &all, used).unwrap();
            assert_eq!(site.reveal(1, &all, used).unwrap(), bytes);
            assert_eq!(
                site.pair(&site.again(), 1).reveal(&all.partners, (used, &site.file()), &[]).unwrap(),
                bytes,
                "nothing is opened anew"
            );
            (site.id, Reveal::from_bytes(&bytes, &all.partners).unwrap())
        })
        .collect();
    let opened = Opened::new(&all.partners, used, &reveals).unwrap();
    unmask_streams(&all.partners, &opened).unwrap().add(0, &mut sum);
    assert_eq!(sum, vec![0; 100]);
}

#[test]
fn a_second_set_for_one_pairing_is_refused_and_stays_refused_after_a_restart() {
    let sites = sites(4);
    let four: Vec<_> = sites.iter().collect();
    let all = All::of(&four, 1);
    let one = &sites[0];
    one.mask(1, &all.partners).unwrap();
    one.reveal(1, &all, 0b1111).unwrap();
    for used in [0b0111, 0b1011, 0b1101] {
        is_refused(one.reveal(1, &all, used), "another set");
        let again = one.again();
        let asked = one.pair(&again, 1).reveal(&all.partners, (used, &one.file()), &all.dealt_to(&one.id));
        is_refused(asked, "another set");
    }
    // nor does it forget when later pairings have come and gone
    for number in 2..15 {
        let all = All::of(&four, number);
        let work = Source { work: Hash::repeat_byte(number as u8), again: None };
        let pair = one.pair(&one.home, number);
        pair.may_mask(&all.partners, &DUTY, &work).unwrap();
        pair.masked(&all.partners, DUTY, work, one.file()).unwrap();
        one.reveal(number, &all, 0b1111).unwrap();
    }
    let again = one.again();
    is_refused(one.pair(&again, 1).keys(crate::site::random), "is over");
    is_silent(one.pair(&again, 1).reveal(&all.partners, (0b0111, &one.file()), &all.dealt_to(&one.id)));
    is_refused(
        one.pair(&again, 8).reveal(&all.partners, (0b0111, &one.file()), &all.dealt_to(&one.id)),
        "other partners",
    );
}

#[test]
fn a_second_list_or_other_partners_for_one_pairing_are_refused() {
    let sites = sites(5);
    let four: Vec<_> = sites[..4].iter().collect();
    let all = All::of(&four, 1);
    let one = &sites[0];
    one.mask(1, &all.partners).unwrap();
    // the chain was taken back, and the keys of another one came in time
    let keys = sites.iter().map(|site| (site.id, site.keys(1))).collect();
    let other = KeyList::new(CONTEXT, keys).unwrap();
    let pair = one.pair(&one.home, 1);
    is_refused(pair.deal(&other), "another list");
    // one partner less, or another weight
    let list = all.partners.list().clone();
    let three = Partners::new(list.clone(), all.partners.partners()[..3].to_vec()).unwrap();
    is_refused(pair.may_mask(&three, &DUTY, &WORK), "other partners");
    let mut heavier = all.partners.partners().to_vec();
    heavier[1].weight += 1;
    is_refused(pair.may_mask(&Partners::new(list, heavier).unwrap(), &DUTY, &WORK), "other partners");
    // another model under the same masks would show the difference of the two
    is_refused(pair.may_mask(&all.partners, &Hash::repeat_byte(1), &WORK), "another update");
    is_refused(pair.reveal(&three, (0b111, &one.file()), &all.dealt_to(&one.id)[..3]), "other partners");
    // another round under the same number
    let elsewhere = Pair { context: [8; 32], ..pair };
    is_refused(elsewhere.keys(crate::site::random), "something else");
    is_refused(elsewhere.deal(all.partners.list()), "something else");
}

#[test]
fn lists_partners_and_sets_that_are_too_small_are_refused() {
    let sites = sites(5);
    let pair = |site: &Site| Pair { minimum: 4, ..site.pair(&site.home, 1) }.deal(&few(&sites[..3], 1));
    is_refused(pair(&sites[0]), "needs 4");
    let two = sites[0].pair(&sites[0].home, 2).deal(&few(&sites[..2], 2));
    is_refused(two, "needs 3");

    let all = All::of(&sites.iter().collect::<Vec<_>>(), 3);
    let one = &sites[0];
    let at = one.pair(&one.home, 3);
    // of five keys four must have dealt
    let three = Partners::new(all.partners.list().clone(), all.partners.partners()[..3].to_vec()).unwrap();
    is_refused(at.may_mask(&three, &DUTY, &WORK), "only 3 sites dealt");
    let without = Partners::new(all.partners.list().clone(), all.partners.partners()[1..].to_vec()).unwrap();
    is_refused(at.may_mask(&without, &DUTY, &WORK), "not a partner");
    let mut others = all.partners.partners().to_vec();
    others[0].deal[0] ^= 1;
    let others = Partners::new(all.partners.list().clone(), others).unwrap();
    is_refused(at.may_mask(&others, &DUTY, &WORK), "not the one that it made");

    one.mask(3, &all.partners).unwrap();
    for (used, why) in [(0b00111, "a sum over 3 sites"), (0b111_111, "names more"), (0, "not in the set")] {
        is_refused(one.reveal(3, &all, used), why);
    }
    let agreed = Pair { minimum: 5, ..at }.reveal(&all.partners, (0b01111, &one.file()), &all.dealt_to(&one.id));
    is_refused(agreed, "a sum over 4 sites");
    // somebody else's file stands for it
    let foreign = at.reveal(&all.partners, (0b11111, &Hash::repeat_byte(0xff)), &all.dealt_to(&one.id));
    is_refused(foreign, "not the one that it made");
    one.reveal(3, &all, 0b01111).unwrap();
}

fn few(sites: &[Site], number: u32) -> KeyList {
    KeyList::new(CONTEXT, sites.iter().map(|site| (site.id, site.keys(number))).collect()).unwrap()
}

#[test]
fn who_is_not_in_the_set_never_opens_its_seed() {
    let sites = sites(4);
    let all = All::of(&sites.iter().collect::<Vec<_>>(), 1);
    sites.iter().for_each(|site| site.mask(1, &all.partners).unwrap());
    is_refused(sites[3].reveal(1, &all, 0b0111), "not in the set");
    let posted: Vec<_> = sites[..3].iter().map(|site| site.reveal(1, &all, 0b0111).unwrap()).collect();
    // nobody has given a share of its seed, and each one of its pair secret; of the others it is the other way round
    for (site, bytes) in sites.iter().zip(&posted) {
        let reveal = Reveal::from_bytes(bytes, &all.partners).unwrap();
        assert_eq!(reveal.set(), 0b1111);
        for (place, other) in sites.iter().enumerate() {
            let list = all.partners.list();
            let deal = &all.deals[place];
            let commitments = PART_LEN * list.place(&site.id).unwrap();
            let which = if place < 3 { 0u8 } else { 1 };
            let share = reveal.share(place).unwrap();
            let said = [&b"consilium/share/1"[..], list.root(), &other.id, &site.id, &[which], share].concat();
            let committed = &deal[commitments + 32 * usize::from(which)..][..32];
            assert_eq!(sp_crypto_hashing::blake2_256(&said), committed);
        }
    }
}

#[test]
fn what_was_sealed_wrongly_is_left_out_and_the_rest_is_given() {
    let sites = sites(4);
    let all = All::of(&sites.iter().collect::<Vec<_>>(), 1);
    let one = &sites[0];
    one.mask(1, &all.partners).unwrap();
    let mut dealt = all.dealt_to(&one.id);
    dealt[2][100] ^= 1;
    dealt[3].pop();
    let bytes = one.pair(&one.home, 1).reveal(&all.partners, (0b1111, &one.file()), &dealt).unwrap();
    assert_eq!((&bytes[..8], bytes.len()), (&0b0011u64.to_le_bytes()[..], 8 + 2 * 32));
}

#[test]
fn restored_from_an_earlier_day_a_site_is_silent() {
    let sites = sites(4);
    let four: Vec<_> = sites.iter().collect();
    let one = &sites[0];
    let earlier = tempfile::tempdir().unwrap();
    let all = All::of(&four, 1);
    sites.iter().for_each(|site| site.mask(1, &all.partners).unwrap());
    // its folder has nothing of this pairing
    let home = Home::open(&earlier.path().join("home")).unwrap();
    let pair = one.pair(&home, 1);
    is_silent(pair.deal(all.partners.list()));
    is_silent(pair.may_mask(&all.partners, &DUTY, &WORK));
    is_silent(pair.reveal(&all.partners, (0b1111, &one.file()), &all.dealt_to(&one.id)));
    // asked for keys once more, it has made others: these are not those in the list
    pair.keys(crate::site::random).unwrap();
    is_silent(pair.deal(all.partners.list()));
    is_silent(pair.may_mask(&all.partners, &DUTY, &WORK));
    is_silent(pair.reveal(&all.partners, (0b1111, &one.file()), &all.dealt_to(&one.id)));
    assert!(home.pairings(&STUDY).unwrap() == [1]);
}

#[test]
fn an_update_in_an_opened_sum_is_never_masked_again_and_one_in_none_may_be() {
    let sites = sites(4);
    let four: Vec<_> = sites.iter().collect();
    let one = &sites[0];
    // the first pairing was given up before anything was opened: the same update under other masks
    let (first, second, third) = (All::of(&four, 1), All::of(&four, 2), All::of(&four, 3));
    one.mask(1, &first.partners).unwrap();
    one.mask(2, &second.partners).unwrap();
    one.reveal(2, &second, 0b1111).unwrap();
    is_refused(one.mask(3, &third.partners), "the sum of pairing 2");
    let pair = one.pair(&one.home, 3);
    pair.may_mask(&third.partners, &DUTY, &Source { work: Hash::repeat_byte(1), again: None }).unwrap();
    // and of those before, no secret is left
    for number in [1, 2] {
        assert_eq!(one.home.pairing(&STUDY, number).unwrap().unwrap().secrets, None);
    }
    assert!(one.home.pairing(&STUDY, 3).unwrap().unwrap().secrets.is_some());
    is_silent(one.pair(&one.home, 1).deal(first.partners.list()));
}
