//! What is read of the chain, and how little of it when little has changed.

use super::*;
use crate::courier::chain::{Ask, Reader};
use consilium_primitives::{Change, MaskedBlobs, MergedBlob, RoundUpdates, StudyBlobs, StudyId};
use consilium_runtime::opaque::Block;
use sp_blockchain::Info;
use sp_core::H256;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

/// The study that has masked files.
const MASKED: StudyId = 66;

/// What is said of them at a count.
fn masked_round(count: u64) -> RoundUpdates {
    let updates = vec![(site(1), Hash::repeat_byte(0xc0 + count as u8))];
    RoundUpdates { round: count as u32, members: vec![site(1), site(2)], wanted: true, len: 10, updates }
}

/// A block of a chain that is made up: what it says, and what tells whether it has changed.
#[derive(Clone)]
struct Made {
    number: u32,
    parent: H256,
    /// By the version of the runtime.
    tells: bool,
    members: u8,
    /// Studies, each with its count; what is said of one follows from `salt` and the count.
    studies: Vec<(StudyId, u64)>,
    salt: u8,
}

#[derive(Default)]
struct Fake {
    blocks: BTreeMap<H256, Made>,
    asked: RefCell<Vec<String>>,
    /// Studies whose specifications were read, and what those name: the way and the number of the study.
    specs: RefCell<Vec<StudyId>>,
}

impl Fake {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.borrow_mut())
    }

    fn says(&self, at: H256, study: StudyId) -> StudyBlobs {
        let block = &self.blocks[&at];
        let count = block.studies.iter().find(|(of, _)| *of == study).unwrap().1;
        let blob = BlobRef { root: Hash::repeat_byte(block.salt), len: count + 1 };
        let merged = vec![MergedBlob { round: count as u32, blob, holders: vec![site(1)], wanted: true }];
        StudyBlobs { study, ended: None, members: vec![site(1), site(block.members)], merged, rounds: Vec::new() }
    }

    fn tell(&self, what: impl Into<String>) {
        self.asked.borrow_mut().push(what.into());
    }
}

impl Ask for Fake {
    type Error = Infallible;

    fn change(&self, at: H256) -> Result<Option<Change>, Infallible> {
        let block = &self.blocks[&at];
        let change = Change { members: H256::repeat_byte(block.members), studies: block.studies.clone() };
        Ok(block.tells.then_some(change))
    }
    fn institutions(&self, at: H256) -> Result<Vec<InstitutionNotice>, Infallible> {
        self.tell("institutions");
        let peer_id = Some(peer(self.blocks[&at].members).to_bytes());
        Ok(vec![InstitutionNotice {
            id: site(1),
            name: Default::default(),
            peer_id,
            validator: true,
            participant: true,
        }])
    }
    fn blobs(&self, at: H256) -> Result<Vec<StudyBlobs>, Infallible> {
        self.tell("blobs");
        Ok(self.blocks[&at].studies.iter().map(|(study, _)| self.says(at, *study)).collect())
    }
    fn blobs_of(&self, at: H256, study: StudyId) -> Result<Option<StudyBlobs>, Infallible> {
        self.tell(format!("blobs of {study}"));
        Ok(Some(self.says(at, study)))
    }
    fn masked(&self, at: H256) -> Result<Vec<MaskedBlobs>, Infallible> {
        // of one study, and none of the others
        let masked = self.blocks[&at].studies.iter().filter(|(study, _)| *study == MASKED);
        Ok(masked.map(|(study, count)| MaskedBlobs { study: *study, rounds: vec![masked_round(*count)] }).collect())
    }
    fn spec(&self, at: H256, study: StudyId) -> Result<Option<Vec<u8>>, Infallible> {
        self.specs.borrow_mut().push(study);
        let root = hex::encode([self.blocks[&at].salt; 32]);
        let spec = format!("{{\"initial\":{{\"len\":{},\"root\":\"{root}\"}}}}", study + 1);
        Ok((study != 9).then(|| spec.into_bytes()))
    }
    fn ended(&self, _: H256, study: StudyId) -> Result<Option<u32>, Infallible> {
        self.tell(format!("end of {study}"));
        Ok(Some(1))
    }
    fn parent(&self, of: H256) -> Option<H256> {
        Some(self.blocks[&of].parent)
    }
}

/// A block's hash: its number, and which way of several the chain took.
fn block(number: u32, way: u8) -> H256 {
    let mut hash = H256::repeat_byte(way);
    hash.0[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

struct Story {
    chain: Fake,
    reader: Reader,
    held: BTreeSet<StudyId>,
}

impl Story {
    fn new() -> Self {
        Self { chain: Fake::default(), reader: Reader::default(), held: BTreeSet::new() }
    }

    /// Adds a block on a way; its parent is the one before it there, or on the first way.
    fn add(&mut self, number: u32, way: u8, members: u8, studies: &[(StudyId, u64)]) {
        let parent = Some(block(number - 1, way)).filter(|hash| self.chain.blocks.contains_key(hash));
        let parent = parent.unwrap_or(block(number - 1, 1));
        let made = Made { number, parent, tells: true, members, studies: studies.into(), salt: way };
        self.chain.blocks.insert(block(number, way), made);
    }

    /// Reads with these blocks as the best and the finalised one; what was asked for, and what the snapshot lists.
    fn read(&mut self, best: (u32, u8), settled: (u32, u8)) -> (Vec<String>, Option<Arc<Snapshot>>) {
        let [best, settled] = [best, settled].map(|(number, way)| block(number, way));
        let number = |hash: H256| self.chain.blocks[&hash].number;
        let info: Info<Block> = Info {
            best_hash: best,
            best_number: number(best),
            genesis_hash: H256::zero(),
            finalized_hash: settled,
            finalized_number: number(settled),
            finalized_state: None,
            number_leaves: 1,
            block_gap: None,
        };
        let Ok(read) = self.reader.read(&self.chain, &peer(2), &info, &self.held);
        (self.chain.asked(), read.map(Arc::new))
    }
}

/// What all merges are on a way.
fn merge(way: u8) -> [u8; 32] {
    [way; 32]
}

#[test]
fn masked_files_are_read_with_the_steps_of_their_study() {
    let mut story = Story::new();
    story.add(1, 1, 2, &[(0, 5), (MASKED, 1)]);
    story.add(2, 1, 2, &[(0, 5), (MASKED, 2)]);
    let roots = |snapshot: &Snapshot| {
        let masked = snapshot.wanted().into_iter().filter(|notice| notice.kind == Kind::Masked);
        masked.map(|notice| (notice.study, notice.blob.root)).collect::<Vec<_>>()
    };
    let at = |count| vec![(MASKED, masked_round(count).updates[0].1)];
    let (_, snapshot) = story.read((1, 1), (1, 1));
    assert_eq!(roots(&snapshot.unwrap()), at(1));
    let (asked, snapshot) = story.read((2, 1), (1, 1));
    assert_eq!(asked, [format!("blobs of {MASKED}")]);
    assert_eq!(roots(&snapshot.unwrap()), at(2));
}

#[test]
fn only_what_has_changed_is_read_and_told() {
    let mut story = Story::new();
    story.add(1, 1, 2, &[(0, 5), (1, 5)]);
    story.add(2, 1, 2, &[(0, 5), (1, 5)]);
    story.add(3, 1, 2, &[(0, 5), (1, 6)]);
    story.add(4, 1, 2, &[(0, 5), (1, 6), (2, 0)]);
    story.add(5, 1, 3, &[(0, 5), (1, 6), (2, 0)]);
    let (asked, snapshot) = story.read((1, 1), (1, 1));
    assert_eq!(asked, ["blobs", "institutions"]);
    assert!(snapshot.unwrap().lists(&merge(1)));
    // the same block again, and one that changes nothing
    assert!(matches!(story.read((1, 1), (1, 1)), (asked, None) if asked.is_empty()));
    assert!(matches!(story.read((2, 1), (1, 1)), (asked, None) if asked.is_empty()));
    assert!(matches!(story.read((2, 1), (2, 1)), (asked, None) if asked.is_empty()));
    // one study's step: at the best block it is read, and at the finalised one it is known
    let (asked, snapshot) = story.read((3, 1), (2, 1));
    assert_eq!(asked, ["blobs of 1"]);
    assert!(snapshot.is_some());
    let (asked, snapshot) = story.read((3, 1), (3, 1));
    assert!(asked.is_empty() && snapshot.is_some(), "{asked:?}");
    // one more study
    assert_eq!(story.read((4, 1), (3, 1)).0, ["blobs of 2"]);
    // institutions: who may have what is said anew of all
    let (asked, snapshot) = story.read((5, 1), (4, 1));
    assert_eq!(asked, ["blobs", "institutions"]);
    assert!(snapshot.is_some_and(|it| it.peer_of(&site(1)) == Some(peer(3))));
}

#[test]
fn on_another_way_of_the_chain_nothing_is_taken_for_known_that_only_the_first_said() {
    let mut story = Story::new();
    for number in 1..=4 {
        story.add(number, 1, 2, &[(0, u64::from(number)), (1, 7)]);
    }
    // the same counts, of other steps
    story.add(2, 9, 2, &[(0, 2), (1, 7)]);
    story.add(3, 9, 2, &[(0, 3), (1, 7)]);
    story.add(4, 9, 2, &[(0, 4), (1, 7)]);
    story.read((1, 1), (1, 1));
    assert_eq!(story.read((3, 1), (1, 1)).0, ["blobs of 0"]);
    let (asked, snapshot) = story.read((3, 9), (1, 1));
    // what the finalised block said is true on every way
    assert_eq!(asked, ["blobs of 0"]);
    let snapshot = snapshot.unwrap();
    assert!(snapshot.lists(&merge(9)));
    assert!(story.read((4, 9), (3, 9)).1.is_some_and(|it| it.lists(&merge(9))));
}

#[test]
fn where_the_runtime_does_not_tell_everything_is_read_and_only_news_is_told() {
    let mut story = Story::new();
    for number in 1..=3 {
        story.add(number, 1, 2, &[(0, 5)]);
        story.chain.blocks.get_mut(&block(number, 1)).unwrap().tells = false;
    }
    story.add(4, 1, 2, &[(0, 5)]);
    assert!(story.read((1, 1), (1, 1)).1.is_some());
    let (asked, snapshot) = story.read((2, 1), (1, 1));
    assert_eq!(asked, ["blobs", "institutions"]);
    assert!(snapshot.is_none());
    // the runtime is replaced: from the second block on it is asked what has changed
    assert_eq!(story.read((4, 1), (3, 1)).0, ["blobs", "blobs", "institutions"]);
    assert!(story.read((4, 1), (4, 1)).0.is_empty());
}

#[test]
fn ends_of_studies_that_something_is_held_for_are_asked_for_once() {
    let mut story = Story::new();
    story.add(1, 1, 2, &[(0, 5)]);
    story.add(2, 1, 2, &[(0, 5)]);
    story.read((1, 1), (1, 1));
    story.held = BTreeSet::from([0, 8]);
    let (asked, snapshot) = story.read((1, 1), (1, 1));
    assert_eq!(asked, ["end of 8"]);
    assert!(snapshot.is_some());
    assert!(story.read((2, 1), (2, 1)).0.is_empty());
}

#[test]
fn what_a_specification_names_is_read_once_on_each_way_of_the_chain_and_listed_for_its_members() {
    let mut story = Story::new();
    for number in 1..=3 {
        story.add(number, 1, 2, &[(0, u64::from(number)), (9, 7)]);
    }
    story.add(2, 5, 2, &[(0, 2), (1, 3)]);
    let specs = |story: &Story| std::mem::take(&mut *story.chain.specs.borrow_mut());
    let initial = |way, study: StudyId| {
        let blob = BlobRef { root: Hash::repeat_byte(way), len: u64::from(study) + 1 };
        Entry { study, round: 0, kind: Kind::Initial, blob }
    };
    // one study whose specification names a file, and one that has none
    let snapshot = story.read((1, 1), (1, 1)).1.unwrap();
    assert_eq!(specs(&story), [0, 9]);
    assert!(snapshot.has(&initial(1, 0)) && !snapshot.has(&initial(1, 9)));
    let wanted: Vec<Entry> = snapshot.wanted().into_iter().map(Entry::of).filter(|it| it.kind.attached()).collect();
    assert_eq!(wanted, [initial(1, 0)]);
    // steps of a study, also at the next block of the same way, ask for it no more
    story.read((2, 1), (1, 1));
    assert!(story.read((3, 1), (2, 1)).1.is_some_and(|it| it.has(&initial(1, 0))));
    assert!(specs(&story).is_empty());
    // another way: what the final block had is known, the other study is read there
    let mut story = Story { chain: story.chain, ..Story::new() };
    story.read((1, 1), (1, 1));
    specs(&story);
    let snapshot = story.read((2, 5), (1, 1)).1.unwrap();
    assert_eq!(specs(&story), [1]);
    assert!(snapshot.has(&initial(1, 0)) && snapshot.has(&initial(5, 1)));
}
