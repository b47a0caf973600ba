//! What the browser is told: one document, of this version, whole at first and then whenever something has changed.
//!
//! `dashboard/src/state.ts` and `study.ts` are made from these types; a test compares them. Times are milliseconds since 1970 where their name
//! ends in `_at_ms`, spans milliseconds where it ends in `_ms`; blocks are numbers; hashes are hexadecimal without `0x`. Whatever
//! others have written (names, titles, words) has its unseen characters spelt out. A site of a study is named by its place among
//! the study's `members`.

use serde::Serialize;

/// Version of this document. A page of another version reloads itself.
pub const VERSION: u32 = 4;

/// Derives what all parts of the document have in common.
macro_rules! told {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$fm:meta])* pub $field:ident: $ty:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub struct $name { $($(#[$fm])* pub $field: $ty,)* }
    )* };
}

mod study;
pub use study::*;

told! {
    /// Everything.
    pub struct State {
        /// [`VERSION`].
        pub version: u32,
        /// When it was made, by this machine's clock.
        pub made_at_ms: u64,
        /// Whose page it is.
        pub own: Own,
        /// Why the own node does not answer; then what follows of the chain is what it said last.
        pub unreachable: Option<String>,
        /// What people must know where the chain stands: no blocks, or nothing that becomes final.
        pub stands: Option<String>,
        /// The consortium and its health.
        pub consortium: Consortium,
        /// What `consilium doctor` finds; looked at once a minute.
        pub checks: Vec<Check>,
        /// The own worker.
        pub worker: Worker,
        /// What the own people are to do now, the most pressing first.
        pub todo: Vec<Todo>,
        /// Motions that are voted on.
        pub motions: Vec<Motion>,
        /// All studies.
        pub studies: Vec<Brief>,
        /// What left this building.
        pub egress: Egress,
        /// The study that the page has chosen.
        pub study: Option<Study>,
    }

    /// Whose page it is.
    pub struct Own {
        /// The institution's name.
        pub name: String,
        /// Its id.
        pub id: String,
        /// Its folder, as it is named in commands.
        pub folder: String,
    }

    /// The consortium.
    pub struct Consortium {
        /// Hash of block 0.
        pub genesis: String,
        /// From one block to the next.
        pub block_ms: u32,
        /// The newest block.
        pub best: u32,
        /// When that was made, by the chain.
        pub best_at_ms: u64,
        /// The newest final block.
        pub finalised: u32,
        /// How much older that is.
        pub behind_ms: u64,
        /// How many nodes the own one is connected to.
        pub peers: u32,
        /// How many others have a node.
        pub others: u32,
        /// Whether the own node is catching up.
        pub syncing: bool,
        /// Version of the chain's runtime.
        pub runtime: u32,
        /// Version of the own node, as it says.
        pub node: String,
        /// Version of the program that serves this page.
        pub program: String,
        /// How far this machine's clock is off the others', ahead if positive; none while fewer than two are known.
        pub clock_off_seconds: Option<f64>,
        /// What is wrong with it.
        pub clock_warning: Option<String>,
        /// How many validators must take part so that blocks become final.
        pub needed: u32,
        /// All institutions.
        pub institutions: Vec<Institution>,
    }

    /// An institution.
    pub struct Institution {
        /// Its name.
        pub name: String,
        /// Its id.
        pub id: String,
        /// Whether it is the own one.
        pub own: bool,
        /// Whether its node is to make blocks.
        pub validator: bool,
        /// Whether it is in the present set of those who do.
        pub makes_blocks: bool,
        /// Whether it may take part in studies.
        pub participant: bool,
        /// Whether it is suspended.
        pub suspended: bool,
        /// For how long its node has made no block while the chain was awake; none for those that make none.
        pub silent_ms: Option<u64>,
        /// What it says about itself on the chain, such as whom to telephone; empty where it says nothing.
        pub profile: String,
    }

    /// A line of `consilium doctor`.
    pub struct Check {
        /// What was looked at.
        pub what: String,
        /// Whether it is as it should be.
        pub well: bool,
        /// What was found, or what to mend.
        pub words: String,
    }

    /// The own worker.
    pub struct Worker {
        /// Whether it answers, or waits for this site's first enrolment.
        pub answers: bool,
        /// How it is.
        pub words: String,
        /// What it works on.
        pub duties: Vec<Duty>,
    }

    /// Something that the own worker does.
    pub struct Duty {
        /// Study.
        pub study: u32,
        /// Round.
        pub round: u32,
        /// What it does.
        pub kind: String,
        /// How much of it is done, 0 to 1, where it knows.
        pub done: Option<f64>,
    }

    /// Something to do.
    pub struct Todo {
        /// Whether something stands still until it is done.
        pub pressing: bool,
        /// What and why.
        pub words: String,
        /// What to type, line by line.
        pub commands: Vec<String>,
    }

    /// A motion that is voted on.
    pub struct Motion {
        /// Number.
        pub number: u32,
        /// What it is about.
        pub headline: String,
        /// More of it.
        pub details: Vec<String>,
        /// Who proposed it.
        pub proposer: String,
        /// Who is for it.
        pub ayes: Vec<String>,
        /// Who is against it.
        pub nays: Vec<String>,
        /// Who can vote and has not.
        pub silent: Vec<String>,
        /// How many ayes decide.
        pub needed: u32,
        /// How many voices are counted.
        pub electorate: u32,
        /// For how much longer it can be voted on.
        pub left_ms: u64,
        /// Whether it waits for the own vote.
        pub ours: bool,
    }

    /// A study in the list.
    pub struct Brief {
        /// Number.
        pub number: u32,
        /// Title, as its proposer has written it.
        pub title: String,
        /// Where it stands.
        pub phase: String,
        /// `enrolling`, `running`, `paused`, `completed` or `ended`.
        pub stage: String,
        /// The round it is in.
        pub round: u32,
        /// The most it may have.
        pub max_rounds: u32,
        /// How many take part.
        pub members: u32,
        /// Whether the own institution does.
        pub ours: bool,
        /// Whether it waits for something of the own institution.
        pub awaits_us: bool,
    }

    /// What left this building: what the own node gave to others' nodes.
    pub struct Egress {
        /// Why the log cannot be read.
        pub missing: Option<String>,
        /// Where the log is.
        pub file: String,
        /// All bytes.
        pub bytes: u64,
        /// All parts of files.
        pub parts: u64,
        /// The last time that something left.
        pub last_at_ms: Option<u64>,
        /// By receiver, study and kind.
        pub sums: Vec<Sum>,
        /// The last that left, newest first.
        pub recent: Vec<Left>,
    }

    /// What went to one institution of one study and kind.
    pub struct Sum {
        /// To whom.
        pub to: String,
        /// Of which study.
        pub study: u32,
        /// `statistics` (before the first round), `update`, `merged`, `initial` (the file that a study begins with) or `code` (of its trainer).
        pub kind: String,
        /// How many different files.
        pub files: u32,
        /// Bytes.
        pub bytes: u64,
        /// The first time.
        pub first_at_ms: u64,
        /// The last time.
        pub last_at_ms: u64,
    }

    /// Something that left.
    pub struct Left {
        /// When, by the node's clock.
        pub at_ms: u64,
        /// To whom.
        pub to: String,
        /// Of which study.
        pub study: u32,
        /// Of which round; 0 for statistics.
        pub round: u32,
        /// `statistics` (before the first round), `update`, `merged`, `initial` (the file that a study begins with) or `code` (of its trainer).
        pub kind: String,
        /// Bytes.
        pub bytes: u64,
        /// BLAKE3 hash of the whole file.
        pub hash: String,
    }
}
