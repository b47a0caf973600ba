//! Masked rounds that were made by independent Python (`data/mask_reference.py`), to the byte: one with everybody, and with losses
//! before the deal, before the update, before the files are fetched and at the reveal.
#![allow(clippy::unwrap_used)]

use blake2::{digest::consts::U32, Blake2b, Blake2b512, Digest};
use consilium_masks::{
    check_deal, check_deals, check_key_list, check_partners, check_reveal, check_used, deal_hash, mask_streams,
    open_deal, reveal, threshold, unmask_streams, Error, Id, KeyList, Kind, Opened, Pairing, Partner, Partners,
    PublicKeys, Reveal, Secrets, Shares, Sharing, Which, FIGURES,
};
use rand_core::{CryptoRng, RngCore};
use serde::Deserialize;
use std::collections::VecDeque;

const SCALE: i32 = 28;
const HEAD: i32 = 30;

#[derive(Deserialize)]
struct Golden {
    scale: i32,
    head: i32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    case: String,
    t: usize,
    context: String,
    keys_root: String,
    partners_root: String,
    base: Vec<f32>,
    sites: Vec<Site>,
    sum: Vec<i32>,
    tail: [u64; FIGURES],
    model: Vec<f32>,
}

#[derive(Deserialize)]
struct Site {
    id: String,
    seal: String,
    pair: String,
    seed: String,
    keys: String,
    deal: Option<String>,
    weight: Option<u32>,
    update: Option<Vec<f32>>,
    loss_rows: Option<(u64, u64)>,
    masked: Option<String>,
    used: bool,
    reveal: Option<String>,
}

fn golden() -> Golden {
    let golden: Golden = serde_json::from_str(include_str!("data/mask_golden.json")).unwrap();
    assert_eq!((golden.scale, golden.head, golden.cases.len()), (SCALE, HEAD, 4));
    golden
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// BLAKE2b-256 of a text.
fn blake(text: &str) -> [u8; 32] {
    Blake2b::<U32>::digest(text.as_bytes()).into()
}

/// Hands out what was put into it, 64 bytes at a time: the hashes of labels that the Python makes its scalars of.
struct Labels(VecDeque<[u8; 64]>);

impl Labels {
    fn new(labels: impl IntoIterator<Item = String>) -> Self {
        Self(labels.into_iter().map(|label| Blake2b512::digest(label.as_bytes())[..].try_into().unwrap()).collect())
    }
}

impl RngCore for Labels {
    fn next_u32(&mut self) -> u32 {
        unreachable!("only bytes are drawn")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("only bytes are drawn")
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let next = self.0.pop_front().expect("as many are drawn as were put in");
        bytes.copy_from_slice(&next[..bytes.len()]);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Labels {}

impl Site {
    fn id(&self) -> Id {
        bytes(&self.id)
    }

    fn secrets(&self) -> Secrets {
        Secrets::from_parts(bytes(&self.seal), bytes(&self.pair), bytes(&self.seed), [0; 32]).unwrap()
    }

    /// The letter that the site's id and secrets were made of.
    fn name(&self) -> char {
        ('a'..='h').find(|name| blake(&format!("institution{name}")) == self.id()).unwrap()
    }

    /// The polynomials of the Python.
    fn sharing(&self, list: &KeyList) -> Sharing {
        let name = self.name();
        let labels =
            (0..2).flat_map(|which| (1..list.threshold()).map(move |k| format!("test coefficient {which} {k}{name}")));
        let mut rng = Labels::new(labels);
        let sharing = Sharing::draw(&self.secrets(), list, &mut rng);
        assert!(rng.0.is_empty());
        sharing
    }

    /// What this site was dealt. Its own shares come from the Python's polynomials and not from what its secrets would give.
    fn shares(&self, list: &KeyList, dealer: &Site) -> Shares {
        if dealer.id() == self.id() {
            return self.sharing(list).shares(list.place(&self.id()).unwrap());
        }
        let deal = hex::decode(dealer.deal.as_ref().unwrap()).unwrap();
        open_deal(&self.secrets(), &self.id(), list, &dealer.id(), &deal).unwrap()
    }

    /// The masked words and figures of the file.
    fn masked(&self) -> (Vec<u32>, [u64; FIGURES]) {
        let file = hex::decode(self.masked.as_ref().unwrap()).unwrap();
        let (words, figures) = file.split_at(file.len() - 8 * FIGURES);
        let words = words.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let figures: Vec<u64> = figures.as_chunks::<8>().0.iter().map(|figure| u64::from_le_bytes(*figure)).collect();
        (words, figures.try_into().unwrap())
    }
}

/// One case, as everybody sees it.
struct Play {
    case: Case,
    partners: Partners,
    deals: Vec<Vec<u8>>,
    used: u64,
    reveals: Vec<(Id, Reveal)>,
}

impl Play {
    fn new(case: Case) -> Self {
        let context = bytes(&case.context);
        let keys = |site: &Site| (site.id(), PublicKeys::from_bytes(&bytes(&site.keys)));
        let list = KeyList::new(context, case.sites.iter().map(keys).collect()).unwrap();
        let dealers: Vec<&Site> = case.sites.iter().filter(|site| site.deal.is_some()).collect();
        let deals: Vec<Vec<u8>> =
            dealers.iter().map(|site| hex::decode(site.deal.as_ref().unwrap()).unwrap()).collect();
        let partners = dealers
            .iter()
            .zip(&deals)
            .map(|(site, deal)| Partner { id: site.id(), deal: deal_hash(deal), weight: site.weight.unwrap() })
            .collect();
        let partners = Partners::new(list, partners).unwrap();
        let ids: Vec<Id> = case.sites.iter().filter(|site| site.used).map(Site::id).collect();
        let used = partners.set_of(&ids).unwrap();
        let reveals = case
            .sites
            .iter()
            .filter_map(|site| Some((site.id(), hex::decode(site.reveal.as_ref()?).unwrap())))
            .map(|(id, bytes)| {
                let reveal = Reveal::from_bytes(&bytes, &partners).unwrap();
                assert_eq!(reveal.to_bytes(), bytes);
                (id, reveal)
            })
            .collect();
        Self { case, partners, deals, used, reveals }
    }

    fn list(&self) -> &KeyList {
        self.partners.list()
    }

    /// The sites that are partners, in order.
    fn dealers(&self) -> impl Iterator<Item = &Site> {
        self.case.sites.iter().filter(|site| site.deal.is_some())
    }

    fn in_set(&self) -> impl Iterator<Item = &Site> {
        self.case.sites.iter().filter(|site| site.used)
    }
}

fn plays() -> Vec<Play> {
    golden().cases.into_iter().map(Play::new).collect()
}

#[test]
fn contexts_and_roots_are_those_of_the_python() {
    let (genesis, agreement) = (blake("genesis"), blake("agreement"));
    let pairing =
        Pairing { genesis: &genesis, study: 7, agreement: &agreement, kind: Kind::Model, round: 3, pairing: 5 };
    for play in plays() {
        assert_eq!(hex::encode(pairing.context()), play.case.context);
        assert_eq!(hex::encode(play.list().root()), play.case.keys_root);
        assert_eq!(hex::encode(play.partners.root()), play.case.partners_root);
        assert_eq!(play.list().threshold(), play.case.t);
        assert_eq!(threshold(play.case.sites.len()), play.case.t);
    }
}

#[test]
fn secrets_and_keys_are_those_of_the_python() {
    for play in plays() {
        for site in &play.case.sites {
            let secrets = site.secrets();
            let keys = secrets.public_keys(play.list().context(), &site.id());
            assert_eq!(hex::encode(keys.to_bytes()), site.keys);

            let name = site.name();
            let labels = ["seal", "pair", "seed", "the rest"].map(|what| format!("test secret {what}{name}"));
            let drawn = Secrets::draw(&mut Labels::new(labels));
            assert_eq!(drawn.to_bytes()[..96], secrets.to_bytes()[..96]);
        }
    }
}

#[test]
fn deals_are_those_of_the_python() {
    for play in plays() {
        check_deals(&play.partners, &play.deals).unwrap();
        for (site, deal) in play.dealers().zip(&play.deals) {
            let made = site.sharing(play.list()).deal(&site.secrets(), &site.id(), play.list()).unwrap();
            assert_eq!(hex::encode(&made), hex::encode(deal), "{}: {}", play.case.case, site.id);
            check_deal(play.list(), deal).unwrap();
        }
    }
}

#[test]
fn reveals_are_those_of_the_python() {
    for play in plays() {
        for (id, revealed) in &play.reveals {
            check_reveal(revealed, id, &play.partners, play.used, &play.deals).unwrap();
            let site = play.in_set().find(|site| site.id() == *id).unwrap();
            for (place, dealer) in play.dealers().enumerate() {
                let which = if dealer.used { Which::Seed } else { Which::Pair };
                assert_eq!(revealed.share(place), Some(site.shares(play.list(), dealer).of(which)));
            }

            // as a worker makes it, but for its own shares, which are not of its own making here
            let (made, missing) = reveal(&site.secrets(), id, &play.partners, play.used, 3, &play.deals).unwrap();
            assert_eq!(missing, [Error::WrongShare { dealer: *id, holder: *id, which: Which::Seed }]);
            let own = play.partners.place(id).unwrap();
            for place in (0..play.partners.count()).filter(|place| *place != own) {
                assert_eq!(made.share(place), revealed.share(place));
            }
            assert_eq!((made.share(own), made.set()), (None, play.partners.all() & !(1 << own)));
        }
    }
}

fn weights<'a>(partners: impl Iterator<Item = &'a Partner>) -> f64 {
    f64::from(partners.map(|partner| partner.weight).sum::<u32>())
}

/// The numbers that a site would have sent without masks: its weighted step on the grid, and its figures.
fn encoded(play: &Play, site: &Site) -> (Vec<u32>, [u64; FIGURES]) {
    let part = f64::from(site.weight.unwrap()) / weights(play.partners.partners().iter());
    let bound = (part * 2_f64.powi(HEAD)).floor();
    let step = |(x, w): (&f32, &f32)| {
        let value = part * (f64::from(*x) - f64::from(*w)) * 2_f64.powi(SCALE);
        value.round_ties_even().clamp(-bound, bound) as i32 as u32
    };
    let mut words: Vec<u32> = site.update.as_ref().unwrap().iter().zip(&play.case.base).map(step).collect();
    words.resize(words.len().next_multiple_of(2), 0);
    let (loss, rows) = site.loss_rows.unwrap();
    (words, [loss * rows, rows, 1])
}

#[test]
fn masked_files_are_those_of_the_python() {
    for play in plays() {
        for site in play.dealers().filter(|site| site.masked.is_some()) {
            let (mut words, mut figures) = encoded(&play, site);
            let streams = mask_streams(&site.secrets(), &site.id(), &play.partners).unwrap();
            assert_eq!(streams.len(), play.partners.count());
            streams.add(0, &mut words);
            streams.add_figures(words.len() as u64, &mut figures);
            assert_eq!((words, figures), site.masked(), "{}: {}", play.case.case, site.id);
        }
    }
}

#[test]
fn sums_and_models_are_those_of_the_python_whoever_reveals() {
    for play in plays() {
        // the first that revealed, the last, and all of them in another order
        let t = play.case.t;
        let mut backwards = play.reveals.clone();
        backwards.reverse();
        let last = play.reveals[play.reveals.len() - t..].to_vec();
        for reveals in [play.reveals[..t].to_vec(), last, backwards] {
            let opened = Opened::new(&play.partners, play.used, &reveals).unwrap();
            for (place, dealer) in play.dealers().enumerate() {
                let secret = if dealer.used { &dealer.seed } else { &dealer.pair };
                assert_eq!(opened.secret(place), Some(&bytes(secret)));
            }

            let parameters = play.case.base.len();
            let mut sum = vec![0_u32; parameters.next_multiple_of(2)];
            let mut tail = [0_u64; FIGURES];
            for site in play.in_set() {
                let (words, figures) = site.masked();
                sum.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
                tail.iter_mut().zip(figures).for_each(|(sum, figure)| *sum = sum.wrapping_add(figure));
            }
            let streams = unmask_streams(&play.partners, &opened).unwrap();
            streams.add(0, &mut sum);
            streams.add_figures(sum.len() as u64, &mut tail);
            let signed: Vec<i32> = sum.iter().map(|word| *word as i32).collect();
            assert_eq!(signed[..parameters], play.case.sum, "{}", play.case.case);
            assert!(signed[parameters..].iter().all(|padding| *padding == 0));
            assert_eq!(tail, play.case.tail);

            let share = weights(play.partners.of_set(play.used)) / weights(play.partners.partners().iter());
            for ((s, w), x) in signed.iter().zip(&play.case.base).zip(&play.case.model) {
                let merged = f64::from(*w) + f64::from(*s) * 2_f64.powi(-SCALE) / share + 0.0;
                assert_eq!((merged as f32).to_bits(), x.to_bits());
            }
        }
        let few = Opened::new(&play.partners, play.used, &play.reveals[..play.case.t - 1]);
        let whose = play.dealers().map(Site::id).collect();
        assert_eq!(few.unwrap_err(), Error::Unrecoverable { whose, threshold: play.case.t });
    }
}

#[test]
fn workers_of_these_rounds_may_answer() {
    for play in plays() {
        for site in play.in_set() {
            check_key_list(play.list(), &site.secrets(), &site.id(), 3).unwrap();
            check_partners(&play.partners, &site.id()).unwrap();
            check_used(&play.partners, &site.id(), play.used, 3).unwrap();
        }
        for site in play.dealers().filter(|site| !site.used) {
            assert_eq!(check_used(&play.partners, &site.id(), play.used, 3), Err(Error::NotInSet));
            let refused = reveal(&site.secrets(), &site.id(), &play.partners, play.used, 3, &play.deals);
            assert_eq!(refused.unwrap_err(), Error::NotInSet);
        }
    }
}
