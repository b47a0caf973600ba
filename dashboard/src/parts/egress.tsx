// What left our building, and motions that wait for a vote.
import { useState } from 'preact/hooks';
import type { State } from '../state';
import { Copy, Part, Table, Tag } from './common';
import { bytes, clock, counted, list, short, span } from '../words';

const KINDS: Record<string, string> = { update: 'our updates', statistics: 'our statistics', merged: 'merged models' };
const kind = (name: string) => KINDS[name] ?? name;

/** What left. */
export function Egress({ state, study }: { state: State; study?: number }) {
  const { egress } = state;
  const [all, setAll] = useState(false);
  const sums = egress.sums.filter((sum) => all || sum.study === study).sort((a, b) => b.bytes - a.bytes);
  const receivers = new Set(egress.sums.map((sum) => sum.to)).size;
  const here = sums.reduce((sum, one) => sum + one.bytes, 0);
  return (
    <Part id="egress" title="What left our building">
      {egress.missing && <p><Tag kind="bad">{egress.missing}</Tag></p>}
      {egress.bytes === 0 && !egress.missing ? <p class="lead">Nothing yet.</p> : (
        <>
          <p class="lead">{bytes(egress.bytes)} in all, to {counted(receivers, 'institution')}; last {egress.last_at_ms === null ? 'never' : clock(egress.last_at_ms)}.</p>
          <p>{counted(egress.parts, 'part')} of files: model updates, statistics of columns, merged models. No rows: a node gives away nothing else, and notes each part before it is sent.</p>
          <p>
            <label><input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} /> all studies, not only this one ({bytes(here)} here)</label>
          </p>
          <Table label="What left, by receiver" head={['To', ...(all ? ['Study'] : []), 'What', 'Files', 'Bytes', 'First', 'Last']} numbers={all ? [3, 4] : [2, 3]}>
            {sums.slice(0, 200).map((sum) => (
              <tr key={`${sum.to} ${sum.study} ${sum.kind}`}>
                <th scope="row">{sum.to}</th>{all && <td>{sum.study}</td>}<td>{kind(sum.kind)}</td>
                <td class="number">{sum.files}</td><td class="number">{bytes(sum.bytes)}</td><td>{clock(sum.first_at_ms)}</td><td>{clock(sum.last_at_ms)}</td>
              </tr>
            ))}
          </Table>
          <details><summary>The last {egress.recent.length} parts, one by one</summary>
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
  return (
    <Part id="motions" title="Motions" wide>
      {state.motions.length === 0 && <p>No motion is open.</p>}
      {state.motions.map((motion) => (
        <article key={motion.number} class={motion.ours ? 'motion ours' : 'motion'}>
          <h3>Motion {motion.number}: {motion.headline} {motion.ours ? <Tag kind="wait">waits for our vote</Tag> : <Tag kind="plain">not ours to vote on, or we have</Tag>}</h3>
          {motion.details.map((line) => <p key={line}>{line}</p>)}
          <p>Proposed by {motion.proposer}. For it {motion.ayes.length} of {motion.needed} that are needed: {list(motion.ayes)}. Against it: {list(motion.nays)}. Not heard: {list(motion.silent)}. Open for {span(motion.left_ms)} more.</p>
          {motion.ours && <>
            <Copy text={`consilium vote ${motion.number} aye --dir ${state.own.folder}`} />
            <Copy text={`consilium vote ${motion.number} nay --dir ${state.own.folder}`} />
          </>}
        </article>
      ))}
    </Part>
  );
}
