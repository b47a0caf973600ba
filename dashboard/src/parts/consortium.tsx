// The consortium and its health.
import { useState } from 'preact/hooks';
import type { State } from '../state';
import { Part, Said, Table, Tag } from './common';
import { counted, fixed, list, quiet as quietAfter, roster, span } from '../words';

/** With more institutions than this, only the first and those with something amiss are shown until all are asked for. */
const SHOWN = 12;

/** The consortium. */
export function Consortium({ state }: { state: State }) {
  const { consortium: c, checks } = state;
  const [all, setAll] = useState(false);
  if (c.genesis === '') return <Part id="consortium" title="The consortium and its health" wide><p class="empty">Nothing is known of the chain until our node answers.</p></Part>;
  const limit = quietAfter(c);
  const place = roster(state);
  const institutions = [...c.institutions].sort((a, b) => place(a.name) - place(b.name));
  const makers = institutions.filter((it) => it.makes_blocks);
  const quiet = makers.filter((it) => (it.silent_ms ?? 0) > limit);
  const wrong = checks.filter((check) => !check.well);
  const spare = makers.length - c.needed;
  const shown = all ? institutions : institutions.filter((it, at) => at < SHOWN || it.own || it.suspended || quiet.includes(it));
  return (
    <Part id="consortium" title="The consortium and its health" wide>
      <ul class="tiles">
        <li><b>{makers.length}</b> of {counted(c.institutions.length, 'institution')} make blocks; {c.needed} are needed so that blocks become final{spare > 0 ? `: ${spare} may be away` : ': none may be away'}. {quiet.length > 0 ? <Tag kind="bad">quiet: {list(quiet.map((it) => it.name))}</Tag> : <Tag kind="good">all heard</Tag>}</li>
        <li><b>Finality</b> {c.behind_ms > 10_000 ? <Tag kind="bad">{span(c.behind_ms)} behind, at block {c.finalised} of {c.best}</Tag> : <Tag kind="good">block {c.finalised} of {c.best}, {span(c.behind_ms)} behind</Tag>}</li>
        <li><b>Clock</b> {c.clock_warning ? <Tag kind="bad">{c.clock_warning}</Tag> : c.clock_off_seconds === null ? 'too few others are known to judge it' : <Tag kind="good">{fixed(c.clock_off_seconds, 2)} s off the others'</Tag>}</li>
        <li><b>Peers</b> {c.peers < c.others ? <Tag kind="wait">{c.peers} of {counted(c.others, 'other')} connected</Tag> : <Tag kind="good">{c.others === 1 ? 'the other one is connected' : `all ${counted(c.others, 'other')} connected`}</Tag>}{c.syncing && ' · catching up'}</li>
        <li><b>Versions</b> runtime {c.runtime}; our node {c.node}; this page {c.program}. Which versions others run is not known here.</li>
      </ul>
      <Table label="Institutions" head={['Institution', 'Does', 'Last heard as a maker of blocks', 'Id']}>
        {shown.map((it) => (
          <tr key={it.id} class={it.suspended ? 'wrong' : ''}>
            <th scope="row">{it.name}{it.own && ' (we)'}</th>
            <td>{[it.validator && (it.makes_blocks ? 'makes blocks' : 'is to make blocks, and is not in the set yet'), it.participant && 'takes part in studies'].filter(Boolean).join(', ') || 'nothing'}{it.suspended && <> <Tag kind="bad">suspended</Tag></>}</td>
            <td>{it.silent_ms === null ? '–' : it.silent_ms > limit ? <Tag kind="bad">{span(it.silent_ms)} ago</Tag> : `${span(it.silent_ms)} ago`}</td>
            <td><code>{it.id.slice(0, 14)}…</code></td>
          </tr>
        ))}
      </Table>
      {shown.length < c.institutions.length && <p><button type="button" onClick={() => setAll(true)}>show all {c.institutions.length}</button></p>}
      <details open={wrong.length > 0}>
        <summary>What <code>consilium doctor</code> finds here: {checks.length === 0 ? 'being looked at …' : wrong.length === 0 ? `${checks.length} things, all as they should be` : `${wrong.length} of ${checks.length} to be mended`}</summary>
        <Table label="Checks" head={['', 'What', 'Found']}>
          {[...checks].sort((a, b) => Number(a.well) - Number(b.well)).map((check) => (
            <tr key={`${check.what} ${check.words}`}><td><Tag kind={check.well ? 'good' : 'bad'}>{check.well ? 'ok' : 'mend'}</Tag></td><th scope="row">{check.what}</th><td>{check.well ? check.words : <Said line={check.words} />}</td></tr>
          ))}
        </Table>
      </details>
      <p class="note">Genesis hash <code>{c.genesis}</code></p>
    </Part>
  );
}
