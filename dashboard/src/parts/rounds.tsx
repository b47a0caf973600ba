// Who attested which round, with dissent and faults in red; and how long each round took.
import { useMemo, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Consortium } from '../state';
import type { Round, Study } from '../study';
import { axes, Chart, colour } from './chart';
import { Copy, Part, Table, Tag } from './common';
import { away, called, clock, counted, lacking, list, missing, named, over, several, short, span, without } from '../words';

/** So many rounds stand in the table. */
const SHOWN = 12;
/** So many rounds have a bar each; of more, their heights are drawn as one area. */
const BARS = 200;

function faults(round: Round, study: Study): string[] {
  const name = (at: number) => named(study.members, [at])[0] ?? '';
  return [
    ...(round.unusable ? [`nothing came of it, and the model is as it was: ${round.unusable}`] : []),
    ...round.dissenters.map(([site, root]) => `${name(site)} computed another result (${short(root)})`),
    ...round.dropped.map(([site, why]) => `${name(site)} was dropped: ${why}`),
  ];
}

function attested(round: Round, study: Study): string {
  const all = round.kind === 'initial' ? study.members.length : round.inputs.length;
  if (round.attesters.length === all && round.dissenters.length === 0 && all > 4) return `all ${all}`;
  const names = named(study.members, round.attesters);
  return names.length > 8 ? `${names.length} of ${all}` : list(names);
}

/** Whose vote on a merge is not there: its update is in it, and nothing is wrong. */
function unvoted(round: Round, study: Study): string {
  const one = round.silent.length === 1;
  const what = round.kind === 'statistics' ? 'statistics are' : one ? 'update is' : 'updates are';
  return `It closed without a vote of ${list(named(study.members, round.silent))} on it, since enough others had said the same. That is no fault${round.kind === 'initial' ? '' : `, and ${one ? 'its' : 'their'} ${what} in it all the same`}.`;
}

function One({ round, study }: { round: Round; study: Study }) {
  const wrong = faults(round, study);
  const names = (places: number[]) => list(named(study.members, places));
  const lacks = without(round, study);
  return (
    <div class="one" aria-live="polite">
      <p class="lead">{called(round)[0]?.toUpperCase()}{called(round).slice(1)} was {round.unusable ? 'found to be void' : 'attested'} by {names(round.attesters)}.</p>
      {wrong.map((line) => <p key={line}><Tag kind="bad">{line}</Tag></p>)}
      {round.kind !== 'initial' && <p>It holds the {round.kind === 'round' ? 'updates' : 'statistics'} of {names(round.inputs.map(([site]) => site))}{lacks.length > 0 && <>, and none of <b>{list(lacks)}</b></>}.</p>}
      {round.silent.length > 0 && <p>{unvoted(round, study)}</p>}
      {round.kind === 'round' && <p>{took(round, study)}</p>}
      {study.masked && round.kind === 'round' && !round.unusable && <p>Its updates are masked: all that anybody sees is their sum, which can still tell something about the records behind it. Nobody could see a bad one.</p>}
      {round.lost.length > 0 && <p><Tag kind="wait">Its sum lacks {names(round.lost)}, which the sum before it has: the difference of both points at what was left out.</Tag></p>}
      {round.left_out.length > 0 && <p>The merge rule left out {names(round.left_out)}.</p>}
      {round.shortened.length > 0 && <p>The merge rule shortened the step of {names(round.shortened)}.</p>}
      <p class="note">Blocks {round.opened} to {round.closed}, {clock(round.closed_at_ms)}{round.attempts > 1 ? `, ${round.attempts} attempts` : ''}. Model {short(round.root)}{round.kind === 'round' && <>, from {short(round.base)}</>}.</p>
    </div>
  );
}

/** What else was merged and attested: it is no round of training. */
function beside(models: Round[]): string {
  const kinds = models.filter((round) => round.kind !== 'round').map((round) => (round.kind === 'statistics' ? 'the statistics' : 'the initial model'));
  return kinds.length > 0 ? `; before them ${list(kinds)} ${kinds.length === 1 ? 'was' : 'were'} agreed on, which the table also has` : '';
}

/** Attempts of merges beyond the first. */
function again(models: Round[]): string {
  const repeated = models.filter((round) => round.attempts > 1);
  const more = repeated.reduce((sum, round) => sum + round.attempts - 1, 0);
  if (more === 0) return '';
  return ` ${counted(repeated.length, 'merge')} took more than one attempt, ${counted(more, 'attempt')} more in all: an attempt that fails is tried again in the same round, and counts as none.`;
}

/** How many rounds of training have closed, of how many. */
function closed(study: Study, count: number): string {
  if (!over(study)) return `${count} of at most ${study.max_rounds} planned rounds of training ${count === 1 ? 'has' : 'have'} closed`;
  return count === study.max_rounds ? `All ${counted(count, 'planned round')} of training closed` : `${counted(count, 'round')} of training closed, of ${study.max_rounds} planned at most`;
}

/** Who attested which round. */
export function Rounds({ study, consortium, folder }: { study: Study; consortium: Consortium; folder: string }) {
  const models = study.rounds;
  const newest = models.at(-1);
  const [asked, ask] = useState<number | undefined>();
  const [onlyFaults, setOnlyFaults] = useState(false);
  const trained = models.filter((round) => round.kind === 'round');
  const chosen = asked === undefined ? newest : trained.find((round) => round.round === asked);
  const wrong = useMemo(() => models.filter((round) => faults(round, study).length > 0), [models]);
  const partial = useMemo(() => models.filter((round) => without(round, study).length > 0), [models, study.members.length]);
  const apart = useMemo(() => models.filter((round) => wrong.includes(round) || partial.includes(round)), [wrong, partial]);
  const lost = useMemo(() => lacking(partial, study), [partial]);
  const what = partial.length === 0 ? 'with dissent or a fault' : wrong.length === 0 ? `without an update of ${lost}` : `with dissent, a fault or no update of ${lost}`;
  const gone = missing(study);
  const silent = over(study) ? [] : away(study, consortium);
  const rows = (onlyFaults ? apart : models).slice(-SHOWN).reverse();
  return (
    <Part id="rounds" title="Who attested which round" wide>
      {!newest ? <p class="empty">No round has closed yet.</p> : (
        <>
          <p>
            <label>Round{' '}
              <input id="round" type="number" min={1} max={trained.at(-1)?.round ?? 1} placeholder="newest" value={asked ?? ''}
                onInput={(event) => ask(event.currentTarget.value === '' ? undefined : Number(event.currentTarget.value))} />
            </label>{' '}
            {apart.length > 0
              ? <label><input type="checkbox" checked={onlyFaults} onChange={(event) => setOnlyFaults(event.currentTarget.checked)} /> only the {apart.length} {what}</label>
              : silent.length === 0 ? <Tag kind="good">no dissent, no fault and no update missing in what has closed</Tag> : 'No dissent and no fault in what has closed.'}
          </p>
          <p>{closed(study, trained.length)}{beside(models)}.{again(models)}
            {wrong.length === 0 && apart.length > 0 && ` None had dissent or a dropped update; ${partial.length} ${partial.length === 1 ? 'has' : 'have'} no update of ${lost}: why, as far as it was said, is told by the line below.`}</p>
          {partial.length > 0 && <Copy text={`consilium late ${study.number} --dir ${folder}`} />}
          {silent.map((line) => <p key={line}><Tag kind="bad">{line}</Tag></p>)}
          {gone.map((line) => <p key={line}><Tag kind={over(study) ? 'plain' : 'bad'}>{line}</Tag></p>)}
          {gone.length === 0 && partial.length > 0 && <p><Tag kind="wait">{counted(partial.length, 'round')} {partial.length === 1 ? 'has' : 'have'} no update of {lost}; {over(study) ? 'the last one' : 'the newest'} has those of all</Tag></p>}
          {study.silence && <p class="note">{study.silence}.</p>}
          {chosen ? <One round={chosen} study={study} /> : <p><Tag kind="bad">round {asked} has not closed</Tag></p>}
          <Table label="Rounds" head={['Round', 'Attested by', 'Dissent and dropped updates', 'Updates of', 'Took', 'Model']} numbers={[4]}>
            {rows.map((round) => {
              const lines = faults(round, study);
              return (
                <tr key={called(round)} class={lines.length > 0 ? 'wrong' : ''}>
                  <th scope="row">{called(round)}</th>
                  <td>{attested(round, study)}</td>
                  <td>{lines.length > 0 ? <Tag kind="bad">{lines.join('; ')}</Tag> : 'none'}</td>
                  <td>{round.kind === 'initial' ? '–' : `${round.inputs.length} of ${study.members.length}`}{without(round, study).length > 0 && `, none of ${list(without(round, study).slice(0, 4))}${without(round, study).length > 4 ? ' and others' : ''}`}</td>
                  <td class="number">{span(total(round))}</td>
                  <td><code>{short(round.root)}</code></td>
                </tr>
              );
            })}
          </Table>
          <p class="note">The newest {Math.min(SHOWN, rows.length)}; any other by its number above. Each that attested has computed the merge itself, and came to the same bytes.</p>
        </>
      )}
    </Part>
  );
}

/** The wait for updates that are late, and for votes that did not come. */
const waited = ({ spans }: Round) => spans.grace_ms + spans.votes_ms;

const total = (round: Round) => round.spans.training_ms + round.spans.transfer_ms + waited(round) + round.spans.chain_ms;

/** Whose update it was that a round's training ended with. */
function slowest(round: Round, study: Study): string {
  const slow = round.last.map((at) => `${named(study.members, [at])[0]}${study.members[at]?.own ? ' (we)' : ''}`);
  if (slow.length === 0) return 'until the last update was there';
  return slow.length === 1 ? `until the update of ${slow[0]}, the slowest site, was there` : `until the updates of ${several(slow)}, the slowest sites, were there`;
}

/** How long a round took, and with what: all of one round, so that its parts are those of its total. */
function took(round: Round, study: Study): string {
  const { spans, own_training_ms: own } = round;
  const training = `training ${span(spans.training_ms)}${spans.training_ms > 0 ? ` (${slowest(round, study)})` : ''}`;
  return `It took about ${span(total(round))}: ${training}, transfer and merging ${span(spans.transfer_ms)}, waiting for sites that are late or silent ${span(waited(round))}, the chain's votes ${span(spans.chain_ms)}.${own === null ? '' : ` Our own worker trained ${span(own)} in it.`}`;
}

/** How long each round took, and with what. */
export function Times({ study }: { study: Study }) {
  const rounds = useMemo(() => study.rounds.filter((round) => round.kind === 'round'), [study.rounds]);
  // stacked: each above the sum of those below, the highest drawn first
  const data = useMemo(() => [
    rounds.map((round) => round.round),
    rounds.map((round) => total(round) / 1_000),
    rounds.map((round) => (round.spans.training_ms + round.spans.transfer_ms + waited(round)) / 1_000),
    rounds.map((round) => (round.spans.training_ms + round.spans.transfer_ms) / 1_000),
    rounds.map((round) => round.spans.training_ms / 1_000),
  ] as uPlot.AlignedData, [rounds]);
  // one round, and not the median of each part: such medians do not add up
  const middle = useMemo(() => [...rounds].sort((a, b) => total(a) - total(b))[Math.floor(rounds.length / 2)], [rounds]);
  // a thousand bars take half a second to draw, and are no wider than a line
  const bars = rounds.length > BARS ? uPlot.paths.stepped?.({ align: 1 }) : uPlot.paths.bars?.({ size: [0.8, 40] });
  return (
    <Part id="times" title="Time per round">
      {!middle ? <p class="empty">No round of training has closed yet.</p> : (
        <>
          <p>Of median length is round {middle.round}. {took(middle, study)}</p>
          <Chart label="Seconds of each round: training until the slowest site's update was there, transfer and merging, waiting for late or silent sites, the chain's votes" height={220} data={data} shape={`${study.number} ${rounds.length > BARS}`}
            options={() => ({
              scales: { x: { time: false, range: (_, min, max) => [min - 0.5, max + 0.5] }, y: { range: (_, __, max) => [0, Math.max(max, 0.5) * 1.05] } }, axes: axes('round', 'seconds'), legend: { live: false }, cursor: { show: false },
              series: [{ label: 'round' }, ...([["the chain's votes", '--chain'], ['waiting for late sites (grace) or votes that did not come', '--grace'], ['transfer and merging', '--transfer'], ['training, until the slowest site\'s update was there', '--training']] as const).map(([label, name]) => ({ label, stroke: colour(name), fill: colour(name), width: 0, paths: bars, points: { show: false } }))],
            })} />
          <p class="note">As the chain saw it, in slots{rounds.some((round) => round.spans.estimated) && '; times of old blocks are estimated by their numbers'}. Training ends with the slowest site's update, which may be one that was away for a while: it is not how long our own worker trains. Waiting for late sites, also called grace: enough updates are in, and the chain waits a little for the others before it goes on without them; also what a merge takes that is tried again. A merge that closed while a site had said nothing has waited for that vote: what it took beyond the usual is counted there, too. A vote that came slowly is part of transfer and merging.{study.masked && ' With masks so are the votes on who holds which files, and the opening of their sum; keys and shares are exchanged while sites train.'} The chain's votes: the slots in which it takes in what sites have sent. An update that was trained ahead, while the merge before it was attested, is there when its round opens, and takes no time of it.</p>
        </>
      )}
    </Part>
  );
}
