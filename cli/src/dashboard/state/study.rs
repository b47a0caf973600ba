//! What the browser is told of the study that it has chosen.

use serde::Serialize;

told! {
    /// A study.
    pub struct Study {
        /// Number.
        pub number: u32,
        /// Title, as its proposer has written it.
        pub title: String,
        /// Hash of what everybody has signed.
        pub agreement: String,
        /// Who proposed it.
        pub proposer: String,
        /// Where it stands.
        pub phase: String,
        /// As in the list.
        pub stage: String,
        /// The round it is in.
        pub round: u32,
        /// The most it may have.
        pub max_rounds: u32,
        /// The best round so far.
        pub best: Option<u32>,
        /// What is measured each round: `log_loss`, or what the specification says; lower is better.
        pub metric: String,
        /// What was signed, sentence by sentence.
        pub rules: Vec<String>,
        /// Whether updates are masked: others see their sum alone, and no site's figure.
        pub masked: bool,
        /// What it promises each record or patient, and what was spent of that; none where nothing is promised.
        pub privacy: Option<PrivacySpent>,
        /// Who takes part.
        pub members: Vec<Member>,
        /// What it waits for now.
        pub waiting: Option<Waiting>,
        /// Why it stands still, whose part will not come, and what to do.
        pub trouble: Vec<String>,
        /// Whether `rounds` are all, or only those that are new or other than before.
        pub whole: bool,
        /// Closed rounds, in their order.
        pub rounds: Vec<Round>,
        /// Why rounds may not have waited for sites that it names; none where no site is missing from two closed ones in a row.
        pub silence: Option<String>,
        /// Models to compare with, where they are known.
        pub arms: Option<Arms>,
        /// What was certified.
        pub certificate: Option<Certificate>,
    }

    /// What a private study promises, and what was spent of it.
    pub struct PrivacySpent {
        /// The ε that its specification promises for all rounds, in millionths; none where the chain keeps that no longer.
        pub promised_micro: Option<u32>,
        /// δ is 10 to the power of minus this.
        pub delta_exp: u8,
        /// To whom: `record` or `patient`.
        pub unit: String,
        /// Rounds of training that have closed, also such as nothing came of.
        pub rounds: u32,
        /// What these cost a site that was in all of them, by the ledger's count, in millionths of ε.
        pub rounds_micro: u64,
        /// What all rounds that the rules allow would.
        pub all_rounds_micro: u64,
        /// Promised and spent, in a sentence.
        pub promise: String,
        /// What the most that any site has spent on it means, and what is not counted.
        pub meaning: Vec<String>,
        /// What the members' data sets have spent.
        pub sites: Vec<DatasetSpent>,
    }

    /// What one member's data set has spent, as the chain says.
    pub struct DatasetSpent {
        /// The member, by its place.
        pub site: u8,
        /// Its name.
        pub name: String,
        /// Hash that stands for the data set on the chain.
        pub dataset: String,
        /// How many rounds this study has charged to it.
        pub rounds: u32,
        /// What these cost, in millionths of ε.
        pub study_micro: u64,
        /// What all studies together have spent on it, in millionths of ε; none where the chain has no budget of it.
        pub spent_micro: Option<u64>,
        /// What they may.
        pub limit_micro: Option<u32>,
        /// All of it in a sentence.
        pub words: String,
    }

    /// A participant of a study.
    pub struct Member {
        /// Its name.
        pub name: String,
        /// Its id.
        pub id: String,
        /// Whether it is the own one.
        pub own: bool,
        /// Training rows that it has signed.
        pub samples: u32,
        /// False once it has left.
        pub active: bool,
        /// The last round that it is left out of, where it is.
        pub left_out_until: Option<u32>,
        /// The last closed round of training that holds an update of it; none where none does.
        pub last_round: Option<u32>,
    }

    /// What a study waits for.
    pub struct Waiting {
        /// For what.
        pub what: String,
        /// Since when.
        pub since_at_ms: u64,
        /// Until when at the latest.
        pub until_at_ms: u64,
        /// What comes then.
        pub then: String,
        /// When it may go on sooner at the earliest, where that takes less than all.
        pub sooner_at_ms: Option<u64>,
        /// What that takes: enough updates, and the grace.
        pub sooner: Option<String>,
        /// All participants, and who is invited and has not enrolled.
        pub sites: Vec<Site>,
    }

    /// One site's part.
    pub struct Site {
        /// Its name.
        pub name: String,
        /// Whether it is the own one.
        pub own: bool,
        /// Whether it has done its part, or is not asked.
        pub done: bool,
        /// Whether the study waits for it.
        pub awaited: bool,
        /// In words.
        pub words: String,
    }

    /// A closed round.
    pub struct Round {
        /// `statistics`, `initial` or `round`.
        pub kind: String,
        /// Number; 0 for statistics and the initial model.
        pub round: u32,
        /// Hash of what it came to.
        pub root: String,
        /// Hash of the model it began with.
        pub base: String,
        /// Whose updates are in it, with the weight of each. This and all other lists of sites are in the order of the members.
        pub inputs: Vec<(u8, u32)>,
        /// Whose updates came last of these, in the block that ends `training_ms`; none where all came in one.
        pub last: Vec<u8>,
        /// Who computed the same.
        pub attesters: Vec<u8>,
        /// Who computed something else, and what.
        pub dissenters: Vec<(u8, String)>,
        /// Of whom no vote on it has come: enough others computed the same.
        pub silent: Vec<u8>,
        /// Whose update was dropped, and why.
        pub dropped: Vec<(u8, String)>,
        /// Whose update the merge rule left out.
        pub left_out: Vec<u8>,
        /// Whose step the merge rule shortened.
        pub shortened: Vec<u8>,
        /// Each site's figure of this round's model, on its own validation rows.
        pub losses: Vec<(u8, f64)>,
        /// Their mean by signed rows; none before the next round has closed, while fewer told theirs than have a part in it.
        pub mean: Option<f64>,
        /// Attempts that the merge took.
        pub attempts: u32,
        /// The block that opened it.
        pub opened: u32,
        /// The block that closed it.
        pub closed: u32,
        /// When that was.
        pub closed_at_ms: u64,
        /// How long it took.
        pub spans: Spans,
        /// For how long the own worker trained, by its own note.
        pub own_training_ms: Option<f64>,
        /// Why nothing came of it: its masked sum could not be used.
        pub unusable: Option<String>,
        /// With masks: whose updates this sum has lost against the one before, where these are one or two.
        pub lost: Vec<u8>,
    }

    /// How long a round took, as the chain saw it.
    pub struct Spans {
        /// Until the last update was there, without the slot in which the chain took it in: the slowest site's training, and
        /// not the own one's.
        pub training_ms: u64,
        /// From the freeze of the list to the end, without the slot in which the chain took the votes in: updates travel and are
        /// merged, and the merge is measured.
        pub transfer_ms: u64,
        /// From the last update to the freeze of the list: the wait for sites that are late (grace), and for merges tried again.
        pub grace_ms: u64,
        /// Of a merge that closed while some had said nothing: what it took beyond the median of those before it on which all had voted,
        /// which is the wait for those votes. It is no part of `transfer_ms`.
        pub votes_ms: u64,
        /// The rest: slots in which votes were taken in.
        pub chain_ms: u64,
        /// Whether times of blocks were estimated by their numbers, since the node keeps their states no longer.
        pub estimated: bool,
    }

    /// Models to compare with.
    pub struct Arms {
        /// Where the figures come from.
        pub source: String,
        /// Whether all were measured on one machine, by a run of `localnet`; otherwise each site has measured its own.
        pub one_machine: bool,
        /// One for each site that has figures, in the order of the members.
        pub sites: Vec<Arm>,
    }

    /// One site's figures, on its own rows.
    pub struct Arm {
        /// Its name.
        pub name: String,
        /// Whether it is the own one.
        pub own: bool,
        /// Which rows: `test file` or `validation`.
        pub rows: String,
        /// How many.
        pub count: u32,
        /// The metric of a model of its own rows alone.
        pub alone: Option<f64>,
        /// Of the swarm's.
        pub swarm: Option<f64>,
        /// Of a model of all rows in one place.
        pub central: Option<f64>,
        /// Swarm less alone.
        pub difference: Option<f64>,
        /// The 95 % interval of that.
        pub interval: Option<(f64, f64)>,
        /// `better`, `worse` or `cannot tell`.
        pub verdict: String,
    }

    /// What a finished study came to.
    pub struct Certificate {
        /// The round whose model it is.
        pub round: u32,
        /// Hash of the model.
        pub root: String,
        /// Hash of the statistics that scale its rows.
        pub statistics: Option<String>,
        /// Who holds it.
        pub held: Vec<u8>,
        /// Who was asked.
        pub asked: Vec<u8>,
        /// The whole certificate as text, to be copied.
        pub text: String,
        /// What checks it, each with what it does.
        pub commands: Vec<(String, String)>,
    }
}
