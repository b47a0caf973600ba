// Numbers, times and lists as people read them.
import type { Brief, Consortium, State } from './state';
import type { Member, Round, Study } from './study';

const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** A time of this day, or with its date. */
export function clock(ms: number): string {
  const same = new Date(ms).toDateString() === new Date().toDateString();
  return (same ? TIME : DAY).format(ms);
}

/** A stretch of time. */
export function span(ms: number): string {
  const s = Math.max(0, ms) / 1_000;
  if (s < 0.1) return s > 0 && s < 0.001 ? 'less than 1 ms' : `${Math.round(s * 1_000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3_600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.round(s / 86_400)} days`;
}

/** Bytes in units of a thousand. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let left = count;
  while (left >= 1_000 && at < units.length - 1) {
    left /= 1_000;
    at += 1;
  }
  return at === 0 ? `${count} ${count === 1 ? 'byte' : 'bytes'}` : `${left < 100 ? left.toFixed(1) : Math.round(left)} ${units[at]}`;
}

/** Bytes of a sum: rounded from the exact one, so that rounded parts need not add up to it. */
export const about = (count: number) => (count < 1_000 ? bytes(count) : `about ${bytes(count)}`);

/** What an update is, for who reads of one that was sent. */
export const UPDATE = "An update is what training on a site's own rows has changed in the common model: numbers, and none of the rows.";

/** So many of a thing. */
export const counted = (count: number, what: string) => `${count.toLocaleString('en-GB')} ${what}${count === 1 ? '' : 's'}`;

/** A list in a sentence. */
export function list(names: string[]): string {
  if (names.length <= 1) return names[0] ?? 'nobody';
  return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

/** A list of names that may be many. */
export const several = (names: string[], most = 6) => (names.length <= most ? list(names) : `${names.slice(0, most).join(', ')} and ${names.length - most} more`);

/** A number with so many decimals. One of which nothing but zeros is left has no sign: nobody knows what a negative zero says. */
export const fixed = (value: number, decimals: number) => value.toFixed(decimals).replace(/^-(?=[0.]+$)/, '');

/** A figure, short. */
export const figure = (value: number | null | undefined) => (value === null || value === undefined ? '–' : fixed(value, 4));

/** An ε of millionths as people read it: in hundredths, rounded up, as the program says it. */
export const epsilon = (micro: number | null) => (micro === null ? '–' : `ε ${Math.ceil(micro / 10_000) / 100}`);

/** The figure that is measured, in words. */
export const metric = (name: string) => (name === 'log_loss' ? 'log-loss' : name.replaceAll('_', ' '));

/** What the figures of a study are called. */
export function measured(study: Study): string {
  const what = metric(study.metric);
  return `${what[0]?.toUpperCase()}${what.slice(1)} per round`;
}

/** What a round is called. */
export function called(round: Round): string {
  if (round.kind === 'statistics') return 'statistics';
  return round.kind === 'initial' ? 'initial model' : `round ${round.round}`;
}

/** Names of members by their places. */
export const named = (members: Member[], places: number[]) => places.map((at) => members[at]?.name ?? `site ${at}`);

/** The first digits of a hash. */
export const short = (hash: string) => `${hash.slice(0, 10)}…`;

/** Members of a study whose nodes make no blocks any more, in a sentence each; not those of whom it is said already that they are missing. */
export function away(study: Study, consortium: Consortium): string[] {
  const newest = study.rounds.filter((round) => round.kind === 'round').at(-1)?.round;
  const there = study.members.filter((member) => member.active && (newest === undefined || member.last_round === newest));
  return few(there.flatMap((member) => {
    const silent = consortium.institutions.find((it) => it.id === member.id && it.makes_blocks)?.silent_ms ?? 0;
    return silent > quiet(consortium) ? [`${member.name}'s node has made no block for ${span(silent)}: it is down or cut off`] : [];
  }), 'node', 'silent');
}

/**
 * For how many milliseconds a validator makes no block before it is told: each has its turn once in as many slots as there are, and on
 * an idle chain makes a block in one turn of three. Four such blocks must be missing. As `quiet` in cli/src/study/gone.rs.
 */
export function quiet(consortium: Consortium): number {
  const makers = consortium.institutions.filter((it) => it.makes_blocks).length;
  return Math.max(10_000, 12 * makers * consortium.block_ms);
}

/** Names of members that have no part in a round; nobody has in the initial model. */
export const without = (round: Round, study: Study) => (round.kind === 'initial' ? [] : study.members.filter((_, at) => !round.inputs.some(([site]) => site === at)).map((member) => member.name));

/** Of whom at least one of these rounds has no update, as it stands after "of". */
export function lacking(rounds: Round[], study: Study): string {
  const gone = new Set(rounds.flatMap((round) => without(round, study)));
  const names = study.members.map((member) => member.name).filter((name) => gone.has(name));
  return names.length === 1 ? list(names) : `one or more of ${several(names)}`;
}

/** Where a name stands in all parts of the page: the members of the study in their order, then the other institutions. */
export function roster(state: State): (name: string) => number {
  const places = new Map<string, number>();
  for (const { name } of [...(state.study?.members ?? []), ...state.consortium.institutions]) if (!places.has(name)) places.set(name, places.size);
  return (name) => places.get(name) ?? places.size;
}

/** The round whose model is certified, or that is the best one so far. */
export const chosen = (study: Study) => study.rounds.find((round) => round.kind === 'round' && round.round === (study.certificate?.round ?? study.best));

/** How the chain has chosen that round. */
export function choice(study: Study): string {
  const round = chosen(study);
  if (!round) return '';
  if (study.masked) return `${study.certificate ? `The certified round is ${round.round}` : `The best round so far is ${round.round}`}: that of the least loss over all sites' validation rows together, the latest on a tie. With masks nobody sees a site's own figure.`;
  const named = study.certificate ? `The certified round is ${round.round}, the best one by the chain's choice` : `The best round so far is ${round.round}`;
  return `${named}: the chain compares each round with the best before it, by the sites that told a figure of both, and keeps the better one (by the middle one of their gains, where a site counts by its rows, up to a cap; on a tie the newer). The means play no part in it.`;
}

/** Who had no part in that round, and what that means; none where all had one. */
export function uncounted(study: Study): string | null {
  const round = chosen(study);
  if (!round) return null;
  const untrained = without(round, study);
  const unheard = study.masked ? [] : study.members.filter((_, at) => !round.losses.some(([site]) => site === at)).map((member) => member.name);
  if (untrained.length === 0 && unheard.length === 0) return null;
  const which = `${study.certificate ? 'The certified round' : 'The best round so far,'} ${round.round}${study.certificate ? '' : ','}`;
  const same = unheard.length > 0 && untrained.join('|') === unheard.join('|');
  const parts = [
    ...(untrained.length > 0 ? [`has no update of ${several(untrained)}`] : []),
    ...(unheard.length > 0 ? [`was chosen without a figure of ${same ? (unheard.length === 1 ? 'that site' : 'those sites') : several(unheard)}`] : []),
  ];
  return `${which} ${parts.join(', and ')}${unheard.length > 0 ? `: nothing here says how that model does at ${several(unheard)}, and the mean of the other sites does not compare with means of all` : ''}`;
}

/** For whom a study waits, where it is us. */
export const waits = (study: Brief) => (study.stage === 'enrolling' ? 'waits for us to enrol' : "waits for our worker's part");

/** So many sentences about sites are shown at most. */
const MOST = 6;

/** The first of some sentences, and how many more there are. */
const few = (all: string[], what: string, how: string) => (all.length <= MOST ? all : [...all.slice(0, MOST), `${counted(all.length - MOST, `more ${what}`)} ${all.length - MOST === 1 ? 'is' : 'are'} ${how}`]);

/** Whether a study needs nobody any more. */
export const over = (study: Study) => study.stage === 'completed' || study.stage === 'ended';

/** Who takes part, and has no update in the newest closed round of training: since when, in a sentence each. */
export function missing(study: Study): string[] {
  const trained = study.rounds.filter((round) => round.kind === 'round');
  const newest = trained.at(-1);
  if (!newest) return [];
  const at = study.members.filter((member) => member.active && member.last_round !== newest.round);
  return few(at.map((member) => {
    const last = trained.find((round) => round.round === member.last_round);
    const since = trained.filter((round) => round.round > (member.last_round ?? 0)).length;
    const told = last ? `its last update is in round ${last.round}, which closed at ${clock(last.closed_at_ms)}` : 'no round has an update of it';
    return `${member.name} ${over(study) ? 'was missing at the end' : 'is missing'}: ${told}; ${counted(since, 'round')} ${since === 1 ? 'has' : 'have'} closed without it`;
  }), 'site', 'missing');
}
