// The document that the page is told, of the study that is looked at: made from cli/src/dashboard/state.rs, and compared with it by a test.
// CONSILIUM_WRITE_TYPES=1 cargo test … the_page_s_types writes it anew.

/** A study. */
export type Study = {
/** Number. */
number: number,
/** Title, as its proposer has written it. */
title: string,
/** Hash of what everybody has signed. */
agreement: string,
/** Who proposed it. */
proposer: string,
/** Where it stands. */
phase: string,
/** As in the list. */
stage: string,
/** The round it is in. */
round: number,
/** The most it may have. */
max_rounds: number,
/** The best round so far. */
best: number | null,
/** What is measured each round: `log_loss`, or what the specification says; lower is better. */
metric: string,
/** What was signed, sentence by sentence. */
rules: Array<string>,
/** Whether updates are masked: others see their sum alone, and no site's figure. */
masked: boolean,
/** What it promises each record or patient, and what was spent of that; none where nothing is promised. */
privacy: PrivacySpent | null,
/** Who takes part. */
members: Array<Member>,
/** What it waits for now. */
waiting: Waiting | null,
/** Why it stands still, whose part will not come, and what to do. */
trouble: Array<string>,
/** Whether `rounds` are all, or only those that are new or other than before. */
whole: boolean,
/** Closed rounds, in their order. */
rounds: Array<Round>,
/** Why rounds may not have waited for sites that it names; none where no site is missing from two closed ones in a row. */
silence: string | null,
/** Models to compare with, where they are known. */
arms: Arms | null,
/** What was certified. */
certificate: Certificate | null, };

/** What a private study promises, and what was spent of it. */
export type PrivacySpent = {
/** The ε that its specification promises for all rounds, in millionths; none where the chain keeps that no longer. */
promised_micro: number | null,
/** δ is 10 to the power of minus this. */
delta_exp: number,
/** To whom: `record` or `patient`. */
unit: string,
/** Rounds of training that have closed, also such as nothing came of. */
rounds: number,
/** What these cost a site that was in all of them, by the ledger's count, in millionths of ε. */
rounds_micro: number,
/** What all rounds that the rules allow would. */
all_rounds_micro: number,
/** Promised and spent, in a sentence. */
promise: string,
/** What the most that any site has spent on it means, and what is not counted. */
meaning: Array<string>,
/** What the members' data sets have spent. */
sites: Array<DatasetSpent>, };

/** What one member's data set has spent, as the chain says. */
export type DatasetSpent = {
/** The member, by its place. */
site: number,
/** Its name. */
name: string,
/** Hash that stands for the data set on the chain. */
dataset: string,
/** How many rounds this study has charged to it. */
rounds: number,
/** What these cost, in millionths of ε. */
study_micro: number,
/** What all studies together have spent on it, in millionths of ε; none where the chain has no budget of it. */
spent_micro: number | null,
/** What they may. */
limit_micro: number | null,
/** All of it in a sentence. */
words: string, };

/** A participant of a study. */
export type Member = {
/** Its name. */
name: string,
/** Its id. */
id: string,
/** Whether it is the own one. */
own: boolean,
/** Training rows that it has signed. */
samples: number,
/** False once it has left. */
active: boolean,
/** The last round that it is left out of, where it is. */
left_out_until: number | null,
/** The last closed round of training that holds an update of it; none where none does. */
last_round: number | null, };

/** What a study waits for. */
export type Waiting = {
/** For what. */
what: string,
/** Since when. */
since_at_ms: number,
/** Until when at the latest. */
until_at_ms: number,
/** What comes then. */
then: string,
/** When it may go on sooner at the earliest, where that takes less than all. */
sooner_at_ms: number | null,
/** What that takes: enough updates, and the grace. */
sooner: string | null,
/** All participants, and who is invited and has not enrolled. */
sites: Array<Site>, };

/** One site's part. */
export type Site = {
/** Its name. */
name: string,
/** Whether it is the own one. */
own: boolean,
/** Whether it has done its part, or is not asked. */
done: boolean,
/** Whether the study waits for it. */
awaited: boolean,
/** In words. */
words: string, };

/** A closed round. */
export type Round = {
/** `statistics`, `initial` or `round`. */
kind: string,
/** Number; 0 for statistics and the initial model. */
round: number,
/** Hash of what it came to. */
root: string,
/** Hash of the model it began with. */
base: string,
/** Whose updates are in it, with the weight of each. This and all other lists of sites are in the order of the members. */
inputs: Array<[number, number]>,
/** Whose updates came last of these, in the block that ends `training_ms`; none where all came in one. */
last: Array<number>,
/** Who computed the same. */
attesters: Array<number>,
/** Who computed something else, and what. */
dissenters: Array<[number, string]>,
/** Of whom no vote on it has come: enough others computed the same. */
silent: Array<number>,
/** Whose update was dropped, and why. */
dropped: Array<[number, string]>,
/** Whose update the merge rule left out. */
left_out: Array<number>,
/** Whose step the merge rule shortened. */
shortened: Array<number>,
/** Each site's figure of this round's model, on its own validation rows. */
losses: Array<[number, number]>,
/** Their mean by signed rows; none before the next round has closed, while fewer told theirs than have a part in it. */
mean: number | null,
/** Attempts that the merge took. */
attempts: number,
/** The block that opened it. */
opened: number,
/** The block that closed it. */
closed: number,
/** When that was. */
closed_at_ms: number,
/** How long it took. */
spans: Spans,
/** For how long the own worker trained, by its own note. */
own_training_ms: number | null,
/** Why nothing came of it: its masked sum could not be used. */
unusable: string | null,
/** With masks: whose updates this sum has lost against the one before, where these are one or two. */
lost: Array<number>, };

/** How long a round took, as the chain saw it. */
export type Spans = {
/**
 * Until the last update was there, without the slot in which the chain took it in: the slowest site's training, and
 * not the own one's.
 */
training_ms: number,
/**
 * From the freeze of the list to the end, without the slot in which the chain took the votes in: updates travel and are
 * merged, and the merge is measured.
 */
transfer_ms: number,
/** From the last update to the freeze of the list: the wait for sites that are late (grace), and for merges tried again. */
grace_ms: number,
/**
 * Of a merge that closed while some had said nothing: what it took beyond the median of those before it on which all had voted,
 * which is the wait for those votes. It is no part of `transfer_ms`.
 */
votes_ms: number,
/** The rest: slots in which votes were taken in. */
chain_ms: number,
/** Whether times of blocks were estimated by their numbers, since the node keeps their states no longer. */
estimated: boolean, };

/** Models to compare with. */
export type Arms = {
/** Where the figures come from. */
source: string,
/** Whether all were measured on one machine, by a run of `localnet`; otherwise each site has measured its own. */
one_machine: boolean,
/** One for each site that has figures, in the order of the members. */
sites: Array<Arm>, };

/** One site's figures, on its own rows. */
export type Arm = {
/** Its name. */
name: string,
/** Whether it is the own one. */
own: boolean,
/** Which rows: `test file` or `validation`. */
rows: string,
/** How many. */
count: number,
/** The metric of a model of its own rows alone. */
alone: number | null,
/** Of the swarm's. */
swarm: number | null,
/** Of a model of all rows in one place. */
central: number | null,
/** Swarm less alone. */
difference: number | null,
/** The 95 % interval of that. */
interval: [number, number] | null,
/** `better`, `worse` or `cannot tell`. */
verdict: string, };

/** What a finished study came to. */
export type Certificate = {
/** The round whose model it is. */
round: number,
/** Hash of the model. */
root: string,
/** Hash of the statistics that scale its rows. */
statistics: string | null,
/** Who holds it. */
held: Array<number>,
/** Who was asked. */
asked: Array<number>,
/** The whole certificate as text, to be copied. */
text: string,
/** What checks it, each with what it does. */
commands: Array<[string, string]>, };
