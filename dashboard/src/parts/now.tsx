// What to do now, and the round now: each site's state, who is awaited, since when and until when.
import type { Live } from '../live';
import { useNow } from '../live';
import type { State } from '../state';
import type { Study } from '../study';
import { Copy, Part, Said, Table, Tag } from './common';
import { clock, counted, list, missing, over, quiet, span, UPDATE } from '../words';

/** What our people are to do. */
export function Todos({ state }: { state: State }) {
  return (
    <Part id="todo" title="What we are to do now" wide>
      {state.todo.length === 0 ? <p><Tag kind="good">Nothing.</Tag> No part of ours is missing, and no vote and no decision waits for our people.</p> : (
        <ol class="todo">
          {state.todo.map((todo) => (
            <li key={todo.words} class={todo.pressing ? 'pressing' : ''}>
              <p>{todo.pressing && <Tag kind="bad">pressing</Tag>} {todo.words}</p>
              {todo.commands.map((line) => <Copy key={line} text={line} />)}
            </li>
          ))}
        </ol>
      )}
      <p class="note">This page only reads. What changes something is typed, by somebody who holds the institution's key.</p>
    </Part>
  );
}

function Sentence({ study, live }: { study: Study; live: Live }) {
  const now = useNow(live.told);
  const waits = study.waiting;
  const round = study.round > 0 ? `Round ${study.round} of ${study.max_rounds}` : `No round yet, of ${study.max_rounds}`;
  if (!waits) return <p class="lead">{study.stage === 'completed' ? `Completed after ${counted(study.round, 'round')}: its model is certified${study.certificate ? `, that of round ${study.certificate.round}` : ''}.` : `${round}: ${study.phase}.`}</p>;
  const awaited = waits.sites.filter((site) => site.awaited).map((site) => site.name);
  const done = waits.sites.filter((site) => site.done).length;
  return (
    <>
      <p class="lead">{round}: it waits for {waits.what}, for {span(now - waits.since_at_ms)} now.</p>
      <p>
        {counted(done, 'site')} of {waits.sites.length} {done === 1 ? 'has' : 'have'} done their part.{' '}
        {awaited.length > 0 && <b>Awaited: {list(awaited.slice(0, 8))}{awaited.length > 8 ? ` and ${awaited.length - 8} more` : ''}.</b>}{' '}
        Until {clock(waits.until_at_ms)} at the latest; then {waits.then}.
        {waits.sooner_at_ms !== null && <> Sooner, from {clock(waits.sooner_at_ms)} on: {waits.sooner}.</>}
      </p>
    </>
  );
}

/** Why a site may be late, as far as its node's blocks tell. */
function reason(name: string, state: State): string {
  const it = state.consortium.institutions.find((one) => one.name === name);
  if (!it?.makes_blocks || it.silent_ms === null) return '';
  return it.silent_ms > quiet(state.consortium)
    ? `. Its node has made no block for ${span(it.silent_ms)}: it is down or cut off`
    : '. Its node makes blocks: its worker is slow, or has stopped';
}

/** The round now. */
export function Now({ study, state, live }: { study: Study; state: State; live: Live }) {
  const duties = state.worker.duties.filter((duty) => duty.study === study.number);
  const out = study.members.filter((member) => !member.active || (member.left_out_until !== null && !over(study)));
  const gone = over(study) ? [] : missing(study);
  const waits = study.waiting;
  const done = waits?.sites.filter((site) => site.done).length ?? 0;
  // what most have done and one has not
  const late = (awaited: boolean) => awaited && done * 2 >= (waits?.sites.length ?? 0);
  return (
    <Part id="now" title={`Study ${study.number} now`} note={study.title}>
      <Sentence study={study} live={live} />
      {study.round > 0 && <progress max={study.max_rounds} value={study.round} aria-label="rounds" />}
      {study.trouble.length > 0 && (
        <div class="trouble" role="alert"><ul>{study.trouble.map((line) => <li key={line}><Said line={line} /></li>)}</ul></div>
      )}
      {waits && (
        <Table label="Each site's part" head={['Site', 'Its part']}>
          {waits.sites.map((site) => (
            <tr key={site.name}>
              <th scope="row">{site.name}{site.own && ' (we)'}</th>
              <td>{site.done ? <Tag kind="good">{site.words}</Tag> : late(site.awaited) ? <Tag kind="bad">late, {site.words}{reason(site.name, state)}</Tag> : <Tag kind={site.awaited ? 'wait' : 'plain'}>{site.words}</Tag>}</td>
            </tr>
          ))}
        </Table>
      )}
      {waits?.sites.some((site) => site.words.includes('update')) && <p class="note">{UPDATE}</p>}
      {gone.map((line) => <p key={line}><Tag kind="bad">{line}</Tag></p>)}
      {out.length > 0 && <p>{out.map((member) => member.active ? `${member.name} is left out up to round ${member.left_out_until}, since its part was missing twice.` : `${member.name} has left the study.`).join(' ')}</p>}
      <p>
        Our worker: {state.worker.answers ? <Tag kind={duties.length > 0 ? 'wait' : 'good'}>{duties.length > 0 ? duties.map((duty) => `${duty.kind.toLowerCase()}, round ${duty.round}${duty.done === null ? '' : `, ${Math.round(duty.done * 100)} %`}`).join('; ') : state.worker.words}</Tag> : <Tag kind="bad">{state.worker.words}</Tag>}
      </p>
    </Part>
  );
}
