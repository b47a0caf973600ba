// The document that the page is told, but for the study that is looked at: made from cli/src/dashboard/state.rs, and compared with it by a test.
// CONSILIUM_WRITE_TYPES=1 cargo test … the_page_s_types writes it anew.

import type { Study } from './study';

/** Version of the document. */
export const VERSION = 4;

/** Everything. */
export type State = {
/** [`VERSION`]. */
version: number,
/** When it was made, by this machine's clock. */
made_at_ms: number,
/** Whose page it is. */
own: Own,
/** Why the own node does not answer; then what follows of the chain is what it said last. */
unreachable: string | null,
/** What people must know where the chain stands: no blocks, or nothing that becomes final. */
stands: string | null,
/** The consortium and its health. */
consortium: Consortium,
/** What `consilium doctor` finds; looked at once a minute. */
checks: Array<Check>,
/** The own worker. */
worker: Worker,
/** What the own people are to do now, the most pressing first. */
todo: Array<Todo>,
/** Motions that are voted on. */
motions: Array<Motion>,
/** All studies. */
studies: Array<Brief>,
/** What left this building. */
egress: Egress,
/** The study that the page has chosen. */
study: Study | null, };

/** Whose page it is. */
export type Own = {
/** The institution's name. */
name: string,
/** Its id. */
id: string,
/** Its folder, as it is named in commands. */
folder: string, };

/** The consortium. */
export type Consortium = {
/** Hash of block 0. */
genesis: string,
/** From one block to the next. */
block_ms: number,
/** The newest block. */
best: number,
/** When that was made, by the chain. */
best_at_ms: number,
/** The newest final block. */
finalised: number,
/** How much older that is. */
behind_ms: number,
/** How many nodes the own one is connected to. */
peers: number,
/** How many others have a node. */
others: number,
/** Whether the own node is catching up. */
syncing: boolean,
/** Version of the chain's runtime. */
runtime: number,
/** Version of the own node, as it says. */
node: string,
/** Version of the program that serves this page. */
program: string,
/** How far this machine's clock is off the others', ahead if positive; none while fewer than two are known. */
clock_off_seconds: number | null,
/** What is wrong with it. */
clock_warning: string | null,
/** How many validators must take part so that blocks become final. */
needed: number,
/** All institutions. */
institutions: Array<Institution>, };

/** An institution. */
export type Institution = {
/** Its name. */
name: string,
/** Its id. */
id: string,
/** Whether it is the own one. */
own: boolean,
/** Whether its node is to make blocks. */
validator: boolean,
/** Whether it is in the present set of those who do. */
makes_blocks: boolean,
/** Whether it may take part in studies. */
participant: boolean,
/** Whether it is suspended. */
suspended: boolean,
/** For how long its node has made no block while the chain was awake; none for those that make none. */
silent_ms: number | null,
/** What it says about itself on the chain, such as whom to telephone; empty where it says nothing. */
profile: string, };

/** A line of `consilium doctor`. */
export type Check = {
/** What was looked at. */
what: string,
/** Whether it is as it should be. */
well: boolean,
/** What was found, or what to mend. */
words: string, };

/** The own worker. */
export type Worker = {
/** Whether it answers, or waits for this site's first enrolment. */
answers: boolean,
/** How it is. */
words: string,
/** What it works on. */
duties: Array<Duty>, };

/** Something that the own worker does. */
export type Duty = {
/** Study. */
study: number,
/** Round. */
round: number,
/** What it does. */
kind: string,
/** How much of it is done, 0 to 1, where it knows. */
done: number | null, };

/** Something to do. */
export type Todo = {
/** Whether something stands still until it is done. */
pressing: boolean,
/** What and why. */
words: string,
/** What to type, line by line. */
commands: Array<string>, };

/** A motion that is voted on. */
export type Motion = {
/** Number. */
number: number,
/** What it is about. */
headline: string,
/** More of it. */
details: Array<string>,
/** Who proposed it. */
proposer: string,
/** Who is for it. */
ayes: Array<string>,
/** Who is against it. */
nays: Array<string>,
/** Who can vote and has not. */
silent: Array<string>,
/** How many ayes decide. */
needed: number,
/** How many voices are counted. */
electorate: number,
/** For how much longer it can be voted on. */
left_ms: number,
/** Whether it waits for the own vote. */
ours: boolean, };

/** A study in the list. */
export type Brief = {
/** Number. */
number: number,
/** Title, as its proposer has written it. */
title: string,
/** Where it stands. */
phase: string,
/** `enrolling`, `running`, `paused`, `completed` or `ended`. */
stage: string,
/** The round it is in. */
round: number,
/** The most it may have. */
max_rounds: number,
/** How many take part. */
members: number,
/** Whether the own institution does. */
ours: boolean,
/** Whether it waits for something of the own institution. */
awaits_us: boolean, };

/** What left this building: what the own node gave to others' nodes. */
export type Egress = {
/** Why the log cannot be read. */
missing: string | null,
/** Where the log is. */
file: string,
/** All bytes. */
bytes: number,
/** All parts of files. */
parts: number,
/** The last time that something left. */
last_at_ms: number | null,
/** By receiver, study and kind. */
sums: Array<Sum>,
/** The last that left, newest first. */
recent: Array<Left>, };

/** What went to one institution of one study and kind. */
export type Sum = {
/** To whom. */
to: string,
/** Of which study. */
study: number,
/** `statistics` (before the first round), `update`, `merged`, `initial` (the file that a study begins with) or `code` (of its trainer). */
kind: string,
/** How many different files. */
files: number,
/** Bytes. */
bytes: number,
/** The first time. */
first_at_ms: number,
/** The last time. */
last_at_ms: number, };

/** Something that left. */
export type Left = {
/** When, by the node's clock. */
at_ms: number,
/** To whom. */
to: string,
/** Of which study. */
study: number,
/** Of which round; 0 for statistics. */
round: number,
/** `statistics` (before the first round), `update`, `merged`, `initial` (the file that a study begins with) or `code` (of its trainer). */
kind: string,
/** Bytes. */
bytes: number,
/** BLAKE3 hash of the whole file. */
hash: string, };
