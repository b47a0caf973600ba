//! Sites as their workers answer in pairings, whatever their nodes say, and an adversary that chooses what each of them sees.

use super::*;
use std::{collections::btree_map::Entry, rc::Rc};

/// What a site keeps of one pairing, by its context: written before anything of it is answered.
#[derive(Clone)]
struct Answered {
    keys: MaskKeys,
    keys_root: Option<Hash>,
    partners_root: Option<Hash>,
    set: Option<Mask>,
}

/// One site's folder.
#[derive(Clone, Default)]
struct Site {
    pairings: BTreeMap<Hash, Answered>,
    /// How often it was made anew from a backup that had none of this: secrets are drawn anew then.
    restored: u32,
}

/// Whose secret: of which key list, by whom, and which of both.
type Secret = (Hash, u8, u8);

/// Chains that may fork, sites that obey their rules, and what has left them.
pub(super) struct Game {
    pub chains: Vec<Rc<Shell>>,
    sites: Vec<Site>,
    colluders: Mask,
    least: u32,
    /// Up to which block the one chain is final; none where finality is broken, and sites believe whatever they are shown.
    pub last_final: Option<u32>,
    /// Whose shares of a secret are known to everybody.
    outside: BTreeMap<Secret, Mask>,
    /// Key lists, as masks and numbers of members.
    lists: BTreeMap<Hash, Mask>,
    /// The trained update that a site has masked for partners.
    masked: BTreeMap<(u8, Hash), Hash>,
    /// Partners, their key list and a set that somebody has revealed for.
    revealed: BTreeSet<(Hash, Hash, Mask, Mask)>,
    random: u64,
    /// Refusals by the sites' own rules.
    pub refused: u32,
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

impl Game {
    pub fn new(members: u8, colluders: Mask, least: u32, finality: bool, seed: u64) -> Self {
        let rules = StudyRules { min_participants: least, max_rounds: 50, ..masked() };
        Self {
            chains: vec![Rc::new(Shell::masking(rules, members))],
            sites: vec![Site::default(); usize::from(members)],
            colluders,
            least,
            last_final: finality.then_some(0),
            outside: BTreeMap::new(),
            lists: BTreeMap::new(),
            masked: BTreeMap::new(),
            revealed: BTreeSet::new(),
            random: seed,
            refused: 0,
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
            effects.iter().for_each(|effect| shell.keep(effect));
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
            DutyKind::Keys => Some(VoteBody::Keys(self.keys(member, &who, open.duty.base))),
            DutyKind::Deal => return self.deal(member, shell),
            DutyKind::Mask => self.mask(member, shell),
            DutyKind::Gather => Some(VoteBody::Held(open.duty.base)),
            DutyKind::Reveal => return self.reveal(member, shell),
            DutyKind::Merge => Some(match (self.colludes(member), self.below(3)) {
                (true, 0) => VoteBody::Void(VoidReason::OutOfRange),
                _ => VoteBody::Summed { root: hash(&format!("sum of {}", open.duty.base)), pooled: None },
            }),
            DutyKind::Present => Some(VoteBody::Present { held: HELD_BASE }),
            _ => None,
        };
        said.and_then(|body| shell.answer(member, body)).map(Event::Vote)
    }

    fn keys(&mut self, member: u8, who: &InstitutionId, context: Hash) -> MaskKeys {
        let site = &mut self.sites[usize::from(member)];
        let drawn = keys_of(&hash(&format!("{context} {}", site.restored)), who);
        let new = Answered { keys: drawn, keys_root: None, partners_root: None, set: None };
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
        if !self.colludes(member) {
            let fits = pair.deals.len() as u32 >= pair.threshold();
            let file = self.known(member, shell).filter(|file| file.keys_root == Some(pair.keys_root));
            if !fits || !file.is_some_and(|file| once(&mut file.partners_root, pair.partners_root)) {
                self.refused += 1;
                return None;
            }
        }
        let work = shell.study.open_work(&shell.world, &shell.member_id(member))?.duty.hash();
        self.masked.insert((member, pair.partners_root), work);
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
            let file = self.known(member, shell).filter(|file| file.partners_root == Some(pair.partners_root));
            let may = is_final && enough && inside && file.is_some_and(|file| once(&mut file.set, authors));
            if !may {
                self.refused += 1;
                return None;
            }
        }
        for (dealer, _) in &pair.deals {
            let which = if authors & bit(*dealer) != 0 { 0 } else { 1 };
            *self.outside.entry((pair.keys_root, *dealer, which)).or_default() |= bit(member);
        }
        self.revealed.insert((pair.partners_root, pair.keys_root, pair.dealt(), authors));
        let bytes = shell.shares_of(member, 0);
        posts(member, shell, bytes)
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
    pub fn sums(&self) -> Vec<(Mask, Vec<(u8, Hash)>)> {
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
}
