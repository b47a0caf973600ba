//! Both ledgers of a site, played together: the one that its worker keeps and refuses by, and the one that this chain keeps. Studies,
//! rounds, refusals, kills, lost disks, and blocks that are taken back, in a thousand random orders: at no moment does a worker's ledger
//! hold less than the chain's, or less than what has left the worker, and none is ever above its limit. Ledgers that are kept wrongly
//! are found out by the same play.

use super::budgets::{declare, enrol_private, privacy, set};
use crate::{mock::*, orders::Asked, *};
use consilium_primitives::{
    duty::HELD_BASE, round::Event as RoundEvent, Duty, DutyKind, FailureCode, Hash, Privacy, StudyId, StudyRules, Vote,
    VoteBody,
};
use consilium_privacy::{seed_hash, spend, sum, Ask, Ledger, Mechanism, Refused, Spend, Unit};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::LazyLock,
};

/// Sites of a play.
const SITES: u8 = 3;
/// What happens in one, one after the other.
const MOVES: u32 = 90;
/// Rate, 1024·σ and steps of studies' rounds: about ε 1, .4 and 1.3 for the first one.
const KINDS: [(u32, u32, u32); 3] = [(250_000, 3_072, 8), (1_000_000, 10_240, 1), (100_000, 1_536, 12)];

static PRIVACY: LazyLock<[Privacy; 3]> = LazyLock::new(|| {
    KINDS.map(|(rate_ppm, sigma_1024, steps)| {
        let spend = spend(&Mechanism { rate_ppm, sigma_1024 }, steps.into());
        Privacy { rate_ppm, sigma_1024, steps, spend, ..privacy() }
    })
});

/// How workers keep their ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Book {
    /// As they must.
    Kept,
    /// Wrongly: the line is written when the update is out.
    Afterwards,
    /// Wrongly: what the chain takes back is struck out.
    GivesBack,
    /// Wrongly: a training costs once, whatever seed it draws from.
    SeedForgotten,
    /// Wrongly: nobody looks at the limit.
    NoLimit,
}

/// What plays came to.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Updates that were charged.
    charged: u32,
    /// Refusals of workers.
    by_worker: u32,
    /// Refusals of the chain.
    by_chain: u32,
    /// Trainings that left a worker a second time, with another seed.
    again: u32,
    /// Charges that went with blocks that were taken back.
    taken_back: u32,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            charged: self.charged + other.charged,
            by_worker: self.by_worker + other.by_worker,
            by_chain: self.by_chain + other.by_chain,
            again: self.again + other.again,
            taken_back: self.taken_back + other.taken_back,
        }
    }
}

/// Numbers by a linear congruence, good enough to shuffle events.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(n)) as u32
    }
}

/// What a worker has on its disk, and what has left it.
#[derive(Default)]
struct Worker {
    /// What may be spent, as its `sites.toml` says.
    limit_micro: u32,
    /// The file of its ledger.
    file: Vec<u8>,
    /// Seeds of trainings.
    seeds: BTreeMap<Hash, [u8; 32]>,
    /// Trainings whose result is there.
    trained: BTreeSet<Hash>,
    /// Costs of all that has left, by training and seed.
    left: BTreeMap<(Hash, [u8; 32]), Spend>,
}

impl Worker {
    fn reserve(&mut self, book: Book, duty: &Duty, seed: &[u8; 32], cost: Spend) -> Result<(), Refused> {
        // every reservation reads the file anew, as after a restart
        let (mut ledger, whole) = Ledger::read(&self.file).unwrap();
        let ask = Ask {
            time: 1_700_000_000,
            agreement: duty.agreement.0,
            study: duty.study,
            round: duty.round,
            duty: duty.hash().0,
            unit: Unit::Record,
            delta_exp: privacy().delta_exp,
            spend: cost,
            seed: seed_hash(if book == Book::SeedForgotten { &[0; 32] } else { seed }),
        };
        let limit_micro = if book == Book::NoLimit { u32::MAX } else { self.limit_micro };
        if let Some(line) = ledger.reserve(&ask, limit_micro)? {
            // a line that was being written when power went is no line
            self.file.truncate(whole);
            self.file.extend_from_slice(line.as_bytes());
        }
        Ok(())
    }
}

/// A chain, its sites, and chance.
struct Play {
    draws: Draws,
    book: Book,
    workers: Vec<Worker>,
    chain_limits: Vec<u32>,
    /// Lengths of the ledgers' files when each block that can be taken back began.
    blocks: Vec<Vec<usize>>,
    seen: Seen,
}

impl Play {
    fn train(&mut self, n: u8, asked: &Asked) -> Option<VoteBody> {
        let duty = &asked.order.duty;
        let refused = VoteBody::Failure(FailureCode::Refused);
        // its node asks no worker for what the chain would refuse; one that asks all the same is refused later
        if self.draws.below(2) == 0 && !Swarm::affordable(asked) {
            self.seen.by_chain += 1;
            return Some(refused);
        }
        let cost = info(duty.study).state.rules.privacy.unwrap().spend;
        let (mishap, fresh) = (self.draws.below(16), [0; 32].map(|_: u8| self.draws.below(256) as u8));
        let worker = &mut self.workers[usize::from(n)];
        if mishap < 2 {
            // seeds and results are lost; the ledger is not
            worker.seeds.clear();
            worker.trained.clear();
        }
        let name = duty.hash();
        let seed = *worker.seeds.entry(name).or_insert(fresh);
        if !worker.trained.contains(&name) {
            match mishap {
                // killed between the seed and its line, and within the line
                2 => return None,
                3 => {
                    worker.file.extend_from_slice(b"{\"time\":17");
                    return None;
                }
                _ => {}
            }
            if self.book != Book::Afterwards && worker.reserve(self.book, duty, &seed, cost).is_err() {
                self.seen.by_worker += 1;
                return Some(refused);
            }
            if mishap == 4 {
                return None; // killed in its training: the line stands
            }
            worker.trained.insert(name);
        }
        let root = Hash::from(sp_io::hashing::blake2_256(&[name.as_bytes(), &seed[..]].concat()));
        Some(VoteBody::Update { root, len: 1_000, metric: None })
    }

    /// A site answers all that the chain asks of it now.
    fn act(&mut self, n: u8) {
        for asked in Swarm::asked(&id(n)) {
            let duty = asked.order.duty;
            let body = match duty.kind {
                // the same inputs give everybody the same model
                DutyKind::Init | DutyKind::Merge => {
                    let of = [&duty.study.to_le_bytes()[..], &duty.round.to_le_bytes()[..], duty.base.as_bytes()];
                    VoteBody::Root(Hash::from(sp_io::hashing::blake2_256(&of.concat())))
                }
                DutyKind::Evaluate => VoteBody::Metric(None),
                DutyKind::Acknowledge => VoteBody::Held(duty.base),
                DutyKind::Present => VoteBody::Present { held: HELD_BASE },
                DutyKind::Train => match self.train(n, &asked) {
                    Some(body) => body,
                    None => continue,
                },
                other => panic!("{other:?} is not asked in these studies"),
            };
            let vote = Vote {
                study: duty.study,
                round: duty.round,
                attempt: asked.attempt,
                resumed: asked.resumed,
                kind: duty.kind,
                institution: id(n),
                duty: duty.hash(),
                body,
            };
            self.send(n, &duty, vote);
        }
    }

    /// A vote, as the call takes it once its signature was looked at.
    fn send(&mut self, n: u8, duty: &Duty, vote: Vote) {
        let before = spent(n);
        let taken = Swarm::apply(vote.study, RoundEvent::Vote(vote));
        if !matches!(vote.body, VoteBody::Update { .. }) {
            return;
        }
        if let Err(error) = taken {
            assert_eq!(error, Error::<Test>::OverBudget.into(), "nothing else is wrong with it");
            assert_eq!(spent(n), before, "what was refused is not charged");
            self.seen.by_chain += 1;
            let says = VoteBody::Failure(FailureCode::Refused);
            Swarm::apply(vote.study, RoundEvent::Vote(Vote { body: says, ..vote })).unwrap();
            return;
        }
        self.seen.charged += u32::from(spent(n) != before);
        let cost = info(vote.study).state.rules.privacy.unwrap().spend;
        let killed = self.draws.below(5) == 0;
        let worker = &mut self.workers[usize::from(n)];
        let seed = worker.seeds[&vote.duty];
        let known = worker.left.keys().any(|(training, _)| *training == vote.duty);
        if worker.left.insert((vote.duty, seed), cost).is_none() && known {
            self.seen.again += 1;
        }
        if self.book == Book::Afterwards && !killed {
            let _ = worker.reserve(self.book, duty, &seed, cost);
        }
    }

    /// A study that all sites enrol in whose budgets let them.
    fn found(&mut self) {
        if Running::<Test>::get().len() >= 4 {
            return;
        }
        let study = NextStudy::<Test>::get();
        let promised = PRIVACY[self.draws.below(3) as usize];
        register(0, StudyRules { privacy: Some(promised), max_rounds: 9, ..rules() }).unwrap();
        (0..SITES).for_each(|n| self.enrol(n, study));
        if Swarm::start(signed(0), study).is_err() {
            Swarm::abort(signed(0), study).unwrap();
        }
    }

    fn enrol(&mut self, n: u8, study: StudyId) {
        let enrolled = enrol_private(n, study, set(n));
        self.seen.by_chain += u32::from(enrolled == Err(Error::<Test>::OverBudget.into()));
    }

    /// A site leaves a study, and comes back to it.
    fn leave(&mut self, n: u8) {
        let running = Running::<Test>::get();
        let chosen = self.draws.below(4) as usize;
        let Some((study, _)) = running.get(chosen).copied() else { return };
        // the last who leaves ends it
        if Swarm::withdraw(signed(n), study).is_ok() && Running::<Test>::get().iter().any(|(runs, _)| *runs == study) {
            self.enrol(n, study);
        }
    }

    /// So many blocks, which can be taken back together.
    fn pass(&mut self, blocks: u32) {
        sp_io::storage::start_transaction();
        self.blocks.push(self.workers.iter().map(|worker| worker.file.len()).collect());
        to_block(System::block_number() + blocks);
    }

    /// The last blocks are taken back, with all that the chain has charged in them.
    fn take_back(&mut self) {
        for _ in 0..=self.draws.below(3) {
            let Some(lengths) = self.blocks.pop() else { return };
            let before: Vec<Spend> = (0..SITES).map(spent).collect();
            sp_io::storage::rollback_transaction();
            self.seen.taken_back += (0..SITES).zip(before).filter(|(n, before)| spent(*n) != *before).count() as u32;
            if self.book == Book::GivesBack {
                self.workers.iter_mut().zip(lengths).for_each(|(worker, length)| worker.file.truncate(length));
            }
        }
    }

    fn next(&mut self) {
        let n = self.draws.below(SITES.into()) as u8;
        match self.draws.below(16) {
            0..9 => self.act(n),
            9..12 => self.pass(1),
            12 => {
                // somebody is waited for in vain; a pause is longer than anybody waits here
                let now = System::block_number();
                let deadlines = Studies::<Test>::iter_values().filter_map(|info| info.state.deadline());
                let wait = deadlines.map(|at| at.saturating_sub(now)).filter(|wait| *wait < 100).min();
                self.pass(wait.unwrap_or(1).max(1));
            }
            13 => self.take_back(),
            14 => {
                for (study, _) in Running::<Test>::get() {
                    // one that is not paused has nothing to go on with
                    let _ = Swarm::resume(signed(0), study);
                }
                self.found();
            }
            _ => self.leave(n),
        }
    }

    /// What must hold at every moment.
    fn check(&self) -> Result<(), String> {
        for ((n, worker), limit) in (0..SITES).zip(&self.workers).zip(&self.chain_limits) {
            let (ledger, _) = Ledger::read(&worker.file).map_err(|error| error.to_string())?;
            let budget = Budgets::<Test>::get(id(n), set(n)).unwrap();
            let own = ledger.spent();
            let out = worker.left.values().fold([0; 16], |all, cost| sum(&all, cost));
            let less = |than: &Spend| own.iter().zip(than).any(|(own, than)| own < than);
            let wrong = [
                (less(&out), "the worker's ledger holds less than what left it"),
                (less(budget.spent()), "the worker's ledger holds less than the chain's"),
                (ledger.epsilon_micro() > u64::from(worker.limit_micro), "the worker's ledger is above its limit"),
                (budget.epsilon_micro() > u64::from(*limit), "the chain's ledger is above its limit"),
            ];
            if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
                return Err(format!("site {n}: {what}"));
            }
        }
        Ok(())
    }
}

fn spent(n: u8) -> Spend {
    *Budgets::<Test>::get(id(n), set(n)).unwrap().spent()
}

/// One sequence. What does not hold, in words.
fn play(sequence: u64, book: Book) -> Result<Seen, String> {
    chain().execute_with(|| {
        let mut draws = Draws(sequence);
        let mut limits = || (0..SITES).map(|_| 500_000 + draws.below(6_000_000)).collect::<Vec<u32>>();
        let (limits, chain_limits) = (limits(), limits());
        let workers = limits.into_iter().map(|limit_micro| Worker { limit_micro, ..Worker::default() }).collect();
        (0..SITES).zip(&chain_limits).for_each(|(n, limit)| declare(n, *limit));
        let mut play = Play { draws, book, workers, chain_limits, blocks: Vec::new(), seen: Seen::default() };
        play.found();
        for _ in 0..MOVES {
            play.next();
            play.check()?;
        }
        play.blocks.iter().for_each(|_| sp_io::storage::commit_transaction());
        Swarm::do_try_state().map_err(|error| format!("{error:?}"))?;
        Ok(play.seen)
    })
}

/// Sequences in as many threads as there are processors: what each came to, or which went wrong and how.
fn plays(sequences: Range<u64>, book: Book) -> Vec<Result<Seen, String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one = |sequence: u64| {
        let played = std::panic::catch_unwind(|| play(sequence, book)).unwrap_or_else(|_| Err("see above".into()));
        played.map_err(|why| format!("sequence {sequence}: {why}"))
    };
    let of = |first: usize| sequences.clone().skip(first).step_by(threads).map(one).collect::<Vec<_>>();
    let of = &of;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || of(first))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn in_a_thousand_random_sequences_the_workers_ledger_holds_all_that_left_and_all_that_the_chain_charged() {
    let seen = plays(0..1_000, Book::Kept).into_iter().map(|played| played.unwrap_or_else(|why| panic!("{why}")));
    let all = seen.fold(Seen::default(), Seen::and);
    println!("{all:?}");
    // that nothing was found says something only where all of this did happen
    assert!(all.charged > 3_000 && all.by_worker > 300 && all.by_chain > 300, "{all:?}");
    assert!(all.again > 30 && all.taken_back > 300, "{all:?}");
}

#[test]
fn ledgers_that_are_kept_wrongly_are_found_out() {
    for (book, finds) in [
        (Book::Afterwards, "holds less than what left it"),
        (Book::GivesBack, "holds less than what left it"),
        (Book::SeedForgotten, "holds less than what left it"),
        (Book::NoLimit, "the worker's ledger is above its limit"),
    ] {
        let found = plays(0..200, book).into_iter().filter_map(Result::err).filter(|why| why.ends_with(finds)).count();
        println!("{book:?}: {found} of 200");
        assert!(found > 0, "{book:?}");
    }
}
