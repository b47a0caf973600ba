//! Sites as their workers answer in pairings, whatever their nodes say, and an adversary that chooses what each of them sees.

use super::{
    site::{Answered, Rule, Site, Source, Summed, Update},
    *,
};
use std::{collections::btree_map::Entry, rc::Rc};

/// Whose secret: of which key list, by whom, and which of both.
type Secret = (Hash, u8, u8);

/// Chains that may fork, sites that obey their rules, and what has left them.
pub(super) struct Game {
    pub chains: Vec<Rc<Shell>>,
    sites: Vec<Site>,
    colluders: Mask,
    least: u32,
    /// Whose training gives the same again on the same model.
    pub again: Mask,
    pub rule: Rule,
    /// Whether liars send words that make sums useless, and sites lose the newest model.
    pub mishaps: bool,
    /// Up to which block the one chain is final; none where finality is broken, and sites believe whatever they are shown.
    pub last_final: Option<u32>,
    /// Whose shares of a secret are known to everybody.
    outside: BTreeMap<Secret, Mask>,
    /// Key lists, as masks and numbers of members.
    lists: BTreeMap<Hash, Mask>,
    /// The trained update that a site has masked for partners.
    masked: BTreeMap<(u8, Hash), Update>,
    /// Partners, their key list and a set that somebody has revealed for.
    revealed: BTreeSet<(Hash, Hash, Mask, Mask)>,
    random: u64,
    /// Refusals by the sites' own rules.
    pub refused: u32,
    /// Shares that honest sites gave for a sum while one of other sites, with the same numbers of theirs, was open.
    pub broken: u32,
    /// Rounds of which nothing came, and returns to an earlier model.
    pub voids: u32,
    pub fell_back: u32,
}

fn once<T: PartialEq>(slot: &mut Option<T>, value: T) -> bool {
    match slot {
        Some(before) => *before == value,
        None => {
            *slot = Some(value);
            true
        }
    }
}

fn posts(member: u8, shell: &Shell, bytes: Vec<u8>) -> Option<Event> {
    let hash = Hash::from(sp_crypto_hashing::blake2_256(&bytes));
    let vote = shell.answer(member, VoteBody::Posted { hash, len: bytes.len() as u32 })?;
    Some(Event::Post { vote, bytes })
}

/// A study in its first round.
fn begun(least: u32, members: u8) -> Shell {
    Shell::masking(StudyRules { min_participants: least, max_rounds: 50, ..masked() }, members)
}

impl Game {
    pub fn new(members: u8, colluders: Mask, least: u32, finality: bool, seed: u64) -> Self {
        Self {
            chains: vec![Rc::new(begun(least, members))],
            sites: vec![Site::default(); usize::from(members)],
            colluders,
            least,
            again: 0,
            rule: Rule::Whole,
            mishaps: false,
            last_final: finality.then_some(0),
            outside: BTreeMap::new(),
            lists: BTreeMap::new(),
            masked: BTreeMap::new(),
            revealed: BTreeSet::new(),
            random: seed,
            refused: 0,
            broken: 0,
            voids: 0,
            fell_back: 0,
        }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % bound as u64) as usize
    }

    fn colludes(&self, member: u8) -> bool {
        self.colluders & bit(member) != 0
    }

    fn step(&mut self, chain: usize, event: Event) {
        let shell = Rc::make_mut(&mut self.chains[chain]);
        if let Ok(effects) = shell.study.step(&shell.world, event) {
            for effect in &effects {
                shell.keep(effect);
                self.voids += u32::from(matches!(effect, Effect::Voided(_)));
                self.fell_back += u32::from(matches!(effect, Effect::FellBack { .. }));
            }
            shell.log.clear();
        }
        assert!(shell.study.masks_are_sound());
    }

    pub fn tick(&mut self, chain: usize, to_deadline: bool) {
        let shell = Rc::make_mut(&mut self.chains[chain]);
        let next = shell.world.now + 1;
        shell.world.now = shell.study.deadline().filter(|_| to_deadline).unwrap_or(next).max(next);
        self.step(chain, Event::Tick);
    }

    pub fn resume(&mut self, chain: usize) {
        let who = if self.below(4) == 0 { Event::Abandon { who: id(1) } } else { Event::Resume { who: id(1) } };
        self.step(chain, who);
    }

    /// The adversary shows two sites different chains from here on.
    pub fn fork(&mut self, chain: usize) {
        if self.chains.len() < 4 {
            let other = self.chains[chain].clone();
            self.chains.push(other);
        }
    }

    /// One chain is final: nobody believes another one any more.
    pub fn finalise(&mut self, chain: usize) {
        if self.last_final.is_some() {
            let kept = self.chains.swap_remove(chain);
            self.last_final = Some(kept.world.now);
            self.chains = vec![kept];
            // what comes is in later blocks
            self.tick(0, false);
        }
    }

    /// A site loses its disk, and comes back from a backup without any of this.
    pub fn restore(&mut self, member: u8) {
        let site = &mut self.sites[usize::from(member)];
        site.pairings.clear();
        site.restored += 1;
    }

    /// The same specification is registered once more, and the same sites are in it: it begins with the same model.
    pub fn second_study(&mut self) {
        let mut shell = begun(self.least, self.sites.len() as u8);
        shell.world.study = self.chains[0].world.study + 1;
        self.chains = vec![Rc::new(shell)];
        self.last_final = self.last_final.map(|_| 0);
    }

    /// A member does what it is asked for on a chain, as far as its own rules let it.
    pub fn act(&mut self, chain: usize, member: u8) {
        let shell = self.chains[chain].clone();
        let event = self.answer(member, &shell);
        // a chain that nobody else looks at is not copied
        drop(shell);
        if let Some(event) = event {
            self.step(chain, event);
        }
    }

    fn answer(&mut self, member: u8, shell: &Shell) -> Option<Event> {
        let who = shell.member_id(member);
        let open = shell.study.open_duty(&shell.world, &who)?;
        let said = match open.duty.kind {
            DutyKind::Keys => Some(VoteBody::Keys(self.keys(member, &who, shell))),
            DutyKind::Deal => return self.deal(member, shell),
            DutyKind::Mask => self.mask(member, shell),
            DutyKind::Gather => Some(VoteBody::Held(open.duty.base)),
            DutyKind::Reveal => return self.reveal(member, shell),
            DutyKind::Merge => Some(match (self.useless(member, shell), self.colludes(member), self.below(3)) {
                (true, ..) | (_, true, 0) => VoteBody::Void(VoidReason::OutOfRange),
                _ => VoteBody::Summed { root: hash(&format!("sum of {}", open.duty.base)), pooled: None },
            }),
            DutyKind::Present => {
                let newest = open.duty.round;
                let lost = self.mishaps && self.below(4) > 0;
                let held = if lost { held_bit(newest, newest.saturating_sub(1)) } else { HELD_BASE };
                Some(VoteBody::Present { held })
            }
            _ => None,
        };
        said.and_then(|body| shell.answer(member, body)).map(Event::Vote)
    }

    fn keys(&mut self, member: u8, who: &InstitutionId, shell: &Shell) -> MaskKeys {
        let (study, pair) = (shell.world.study, shell.pair());
        let context = shell.study.context(&shell.world, pair);
        let site = &mut self.sites[usize::from(member)];
        let keys = keys_of(&hash(&format!("{context} {}", site.restored)), who);
        let (keys_root, partners_root, source, set) = (None, None, None, None);
        let new = Answered { study, number: pair.number, keys, keys_root, partners_root, source, set };
        match site.pairings.entry(context) {
            Entry::Occupied(known) => known.get().keys,
            Entry::Vacant(none) => none.insert(new).keys,
        }
    }

    /// The site's file of the pairing that a chain has open, where its keys are those in the list.
    fn known(&mut self, member: u8, shell: &Shell) -> Option<&mut Answered> {
        let pair = shell.pair();
        let context = shell.study.context(&shell.world, pair);
        let listed = pair.keys.iter().find(|(index, _)| *index == member).map(|(_, keys)| *keys);
        self.sites[usize::from(member)].pairings.get_mut(&context).filter(|file| Some(file.keys) == listed)
    }

    fn deal(&mut self, member: u8, shell: &Shell) -> Option<Event> {
        let (pair, who) = (shell.pair().clone(), shell.member_id(member));
        if !self.colludes(member) {
            let least = self.least;
            let fits = pair.keys.len() as u32 >= least.max(3);
            let may = fits && self.known(member, shell).is_some_and(|file| once(&mut file.keys_root, pair.keys_root));
            if !may {
                self.refused += 1;
                return None;
            }
        }
        self.lists.insert(pair.keys_root, pair.keyed());
        // colluders hold a share of each secret, and give it to everybody
        for which in [0, 1] {
            let held = self.outside.entry((pair.keys_root, member, which)).or_default();
            *held |= self.colluders & pair.keyed();
        }
        let bytes = dealt(&pair.keys_root, &who, &shell.study.key_list(&pair));
        posts(member, shell, bytes)
    }

    fn mask(&mut self, member: u8, shell: &Shell) -> Option<VoteBody> {
        let pair = shell.pair().clone();
        let work = shell.study.open_work(&shell.world, &shell.member_id(member))?.duty.hash();
        let again = self.again & bit(member) != 0 && pair.kind == Kind::Model;
        let (study, source) = (shell.world.study, Source { work, again: again.then_some(shell.study.base) });
        if !self.colludes(member) {
            let fits = pair.deals.len() as u32 >= pair.threshold();
            let dealt = self.known(member, shell).is_some_and(|file| file.keys_root == Some(pair.keys_root));
            let may = fits && dealt && self.may_mask(member, study, &pair, source);
            let file = self.known(member, shell).filter(|_| may);
            let first = |file: &mut Answered| {
                once(&mut file.partners_root, pair.partners_root) && once(&mut file.source, source)
            };
            if !file.is_some_and(first) {
                self.refused += 1;
                return None;
            }
        }
        self.masked.insert((member, pair.partners_root), Update { study, source });
        let root = hash(&format!("{work} masked by {member} for {}", pair.partners_root));
        Some(VoteBody::Update { root, len: shell.study.rules.part_len(pair.kind), metric: None })
    }

    fn reveal(&mut self, member: u8, shell: &Shell) -> Option<Event> {
        let (pair, set) = (shell.pair().clone(), shell.fixed());
        let authors = set.authors();
        if !self.colludes(member) {
            let is_final = self.last_final.is_none_or(|last| set.fixed_at <= last);
            let enough = authors.count_ones() >= pair.threshold().max(self.least).max(3);
            let inside = authors & bit(member) != 0 && authors & !pair.dealt() == 0;
            let may = is_final && enough && inside && self.may_reveal(member, shell, &pair, authors);
            let may = may && self.known(member, shell).is_some_and(|file| once(&mut file.set, authors));
            if !may {
                self.refused += 1;
                return None;
            }
            let update = self.masked.get(&(member, pair.partners_root)).copied();
            self.broken += u32::from(update.is_some_and(|update| self.open_elsewhere(member, update, authors)));
        }
        for (dealer, _) in &pair.deals {
            let which = if authors & bit(*dealer) != 0 { 0 } else { 1 };
            *self.outside.entry((pair.keys_root, *dealer, which)).or_default() |= bit(member);
        }
        self.revealed.insert((pair.partners_root, pair.keys_root, pair.dealt(), authors));
        let bytes = shell.shares_of(member, 0);
        posts(member, shell, bytes)
    }

    /// Whether it puts an update under the masks of these partners, as far as other sums go.
    fn may_mask(&mut self, member: u8, study: StudyId, pair: &Pairing, source: Source) -> bool {
        let rule = self.rule;
        let site = &mut self.sites[usize::from(member)];
        if rule == Rule::Whole {
            site.note_unseen(study, &source);
        }
        let all = Some(pair.dealt());
        let tells_nothing = |summed: &Summed| summed.source.work != source.work && summed.set == all;
        rule == Rule::OfOnePairing || site.others_with(study, pair.number, source).all(tells_nothing)
    }

    /// Whether it gives shares for the sum over these sites, as far as other sums go; then this one is noted.
    fn may_reveal(&mut self, member: u8, shell: &Shell, pair: &Pairing, authors: Mask) -> bool {
        let (study, rule) = (shell.world.study, self.rule);
        let file = self.known(member, shell).filter(|file| file.partners_root == Some(pair.partners_root));
        let Some((source, opened)) = file.and_then(|file| Some((file.source?, file.set.is_some()))) else {
            return false;
        };
        let site = &mut self.sites[usize::from(member)];
        let same = |summed: &Summed| summed.set == Some(authors);
        if opened || rule == Rule::OfOnePairing {
            return true;
        }
        let may = site.others_with(study, pair.number, source).all(same);
        if may {
            site.note(study, Summed { pairing: pair.number, source, set: Some(authors) });
        }
        may
    }

    /// Whether the sum that is open cannot be used. Who computes it notes that it is in it, before it knows that.
    fn useless(&mut self, member: u8, shell: &Shell) -> bool {
        let (pairing, study, set) = (shell.pair().number, shell.world.study, shell.fixed());
        let authors = set.authors();
        if let Some(source) =
            self.known(member, shell).and_then(|file| file.source).filter(|_| authors & bit(member) != 0)
        {
            self.sites[usize::from(member)].note(study, Summed { pairing, source, set: Some(authors) });
        }
        self.mishaps && authors & self.colluders != 0 && set.inputs_root.as_bytes()[0] % 3 == 0
    }

    /// Whether a sum of other sites is open that has these numbers of a site in it, where it trains the same again. After it was made anew
    /// from a backup it cannot know; the page says so.
    fn open_elsewhere(&self, member: u8, update: Update, authors: Mask) -> bool {
        let knows = update.source.again.is_some() && self.sites[usize::from(member)].restored == 0;
        let same = |(site, other): &(u8, Update)| *site == member && other.numbers() == update.numbers();
        knows && self.sums().iter().any(|(set, updates)| *set != authors && updates.iter().any(same))
    }

    fn open(&self, secret: &Secret) -> bool {
        let needed = self.lists.get(&secret.0).map_or(u32::MAX, |list| masks::threshold(list.count_ones()));
        self.outside.get(secret).is_some_and(|held| held.count_ones() >= needed)
    }

    /// Whether what is promised is promised for a key list: with so many in it that work together.
    fn promised(&self, list: Mask) -> bool {
        let (k, bad) = (list.count_ones(), (list & self.colluders).count_ones());
        let t = masks::threshold(k);
        match self.last_final {
            Some(_) => bad < t,
            None => k + bad < 2 * t,
        }
    }

    /// Partners of whom both secrets are open: each would be seen.
    pub fn seen(&self) -> Vec<(Hash, u8)> {
        let dealers: BTreeSet<(Hash, u8)> = self.outside.keys().map(|(root, dealer, _)| (*root, *dealer)).collect();
        let promised = |root: &Hash| self.lists.get(root).is_some_and(|list| self.promised(*list));
        let both = |(root, dealer): &(Hash, u8)| self.open(&(*root, *dealer, 0)) && self.open(&(*root, *dealer, 1));
        let honest = dealers.into_iter().filter(|(root, dealer)| !self.colludes(*dealer) && promised(root));
        honest.filter(both).collect()
    }

    /// Sums that everybody can compute: the set, and the trained updates of honest sites in it.
    pub fn sums(&self) -> Vec<(Mask, Vec<(u8, Update)>)> {
        let mut sums = Vec::new();
        for (partners_root, keys_root, partners, set) in &self.revealed {
            let open = |dealer: u8| self.open(&(*keys_root, dealer, if set & bit(dealer) != 0 { 0 } else { 1 }));
            let mut dealers = (0..64).filter(|dealer| partners & bit(*dealer) != 0);
            let promised = self.lists.get(keys_root).is_some_and(|list| self.promised(*list));
            if promised && dealers.all(open) {
                let honest = (0..64).filter(|site| set & bit(*site) != 0 && !self.colludes(*site));
                let updates = honest.filter_map(|site| Some((site, *self.masked.get(&(site, *partners_root))?)));
                sums.push((*set, updates.collect()));
            }
        }
        sums
    }

    /// Honest sites with the same numbers in sums of different sites, and these. Where only some train the same again, or one was made anew
    /// from a backup, others may open such a sum of numbers that come out the same: these are left out then.
    pub fn twice(&self) -> Vec<(u8, BTreeSet<Mask>)> {
        let mut sets: BTreeMap<(u8, Update), BTreeSet<Mask>> = BTreeMap::new();
        for (set, updates) in self.sums() {
            for (site, update) in updates {
                sets.entry((site, update.numbers())).or_default().insert(set);
            }
        }
        let alike = |(n, site): (u8, &Site)| (self.again | self.colluders) & bit(n) != 0 && site.restored == 0;
        let alike = (0..).zip(&self.sites).all(alike);
        let promised = |update: &Update| alike || update.source.again.is_none();
        let twice = sets.into_iter().filter(|((_, update), sets)| sets.len() > 1 && promised(update));
        twice.map(|((site, _), sets)| (site, sets)).collect()
    }
}
