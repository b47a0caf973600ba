// What left our building, and motions that wait for a vote.
import { useState } from 'preact/hooks';
import type { State, Sum } from '../state';
import { Copy, Part, Table, Tag } from './common';
import { about, bytes, clock, counted, list, roster, short, span, UPDATE } from '../words';

const KINDS: Record<string, string> = { update: 'our updates', masked: 'our masked files', statistics: 'our statistics', merged: 'merged models', initial: 'files that studies begin with', code: 'code of trainers' };
const kind = (name: string) => KINDS[name] ?? name;

/** What left. */
export function Egress({ state, study }: { state: State; study?: number }) {
  const { egress } = state;
  const [all, setAll] = useState(false);
  const place = roster(state);
  const what = Object.keys(KINDS);
  const order = (a: Sum, b: Sum) => a.study - b.study || place(a.to) - place(b.to) || what.indexOf(a.kind) - what.indexOf(b.kind);
  const sums = egress.sums.filter((sum) => all || sum.study === study).sort(order);
  // what there was none of is not named
  const kinds = [...new Set(egress.sums.map((sum) => sum.kind))].sort((a, b) => what.indexOf(a) - what.indexOf(b));
  const receivers = (of: Sum[]) => counted(new Set(of.map((sum) => sum.to)).size, 'institution');
  const ours = egress.sums.filter((sum) => sum.study === study);
  const first = (of: Sum[]) => clock(Math.min(...of.map((sum) => sum.first_at_ms)));
  const last = (of: Sum[]) => clock(Math.max(...of.map((sum) => sum.last_at_ms)));
  return (
    <Part id="egress" title="What left our building">
      {egress.missing && <p><Tag kind="bad">{egress.missing}</Tag></p>}
      {egress.sums.length === 0 ? (!egress.missing && <p class="lead">Nothing yet, of any study.</p>) : (
        <>
          {study !== undefined && <p class="lead">Study {study}: {ours.length === 0 ? 'nothing yet.' : <>{about(ours.reduce((sum, one) => sum + one.bytes, 0))} in all, to {receivers(ours)}, from {first(ours)} to {last(ours)}.</>}</p>}
          <p>All studies together, since {first(egress.sums)}, when our node's log of it begins: {about(egress.bytes)} to {receivers(egress.sums)}, in {counted(egress.parts, 'part')} of files; last {last(egress.sums)}. They were {list(kinds.map(kind))}. {kinds.includes('update') && `${UPDATE} `}No rows: a node gives away nothing but files that the chain lists, and notes each part before it is sent.</p>
          <p>
            <label><input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} /> the table has all studies, not only {study === undefined ? 'the one above' : `study ${study}`}</label>
          </p>
          <Table label={all ? 'What left, all studies, by receiver' : `What left, study ${study}, by receiver`} head={['To', ...(all ? ['Study'] : []), 'What', 'Files', 'Bytes', 'First', 'Last']} numbers={all ? [3, 4] : [2, 3]}>
            {sums.slice(0, 200).map((sum) => (
              <tr key={`${sum.to} ${sum.study} ${sum.kind}`}>
                <th scope="row">{sum.to}</th>{all && <td>{sum.study}</td>}<td>{kind(sum.kind)}</td>
                <td class="number">{sum.files}</td><td class="number">{bytes(sum.bytes)}</td><td>{clock(sum.first_at_ms)}</td><td>{clock(sum.last_at_ms)}</td>
              </tr>
            ))}
          </Table>
          <details><summary>The last {egress.recent.length} parts of all studies, one by one</summary>
            <Table label="The last parts that left" head={['When', 'To', 'Study', 'Round', 'What', 'Bytes', 'File']} numbers={[5]}>
              {egress.recent.map((left, at) => (
                <tr key={`${left.at_ms} ${left.to} ${left.hash} ${at}`}>
                  <td>{clock(left.at_ms)}</td><th scope="row">{left.to}</th><td>{left.study}</td><td>{left.round}</td><td>{kind(left.kind)}</td><td class="number">{left.bytes.toLocaleString('en-GB')}</td><td><code>{short(left.hash)}</code></td>
                </tr>
              ))}
            </Table>
          </details>
        </>
      )}
      <p class="note">From {egress.file}, which the node keeps for good.</p>
    </Part>
  );
}

/** What is voted on. */
export function Motions({ state }: { state: State }) {
  const place = roster(state);
  const ordered = (names: string[]) => list([...names].sort((a, b) => place(a) - place(b)));
  return (
    <Part id="motions" title="Motions" wide>
      {state.motions.length === 0 && <p>No motion is open.</p>}
      {state.motions.map((motion) => (
        <article key={motion.number} class={motion.ours ? 'motion ours' : 'motion'}>
          <h3>Motion {motion.number}: {motion.headline} {motion.ours ? <Tag kind="wait">waits for our vote</Tag> : <Tag kind="plain">not ours to vote on, or we have</Tag>}</h3>
          {motion.details.map((line) => <p key={line}>{line}</p>)}
          <p>Proposed by {motion.proposer}. For it {motion.ayes.length} of {motion.needed} that are needed: {ordered(motion.ayes)}. Against it: {ordered(motion.nays)}. Not heard: {ordered(motion.silent)}. Open for {span(motion.left_ms)} more.</p>
          {motion.ours && <>
            <Copy text={`consilium vote ${motion.number} aye --dir ${state.own.folder}`} />
            <Copy text={`consilium vote ${motion.number} nay --dir ${state.own.folder}`} />
          </>}
        </article>
      ))}
    </Part>
  );
}
