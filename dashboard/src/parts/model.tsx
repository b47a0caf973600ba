// Where the final model comes from, what certifies it and what checks that; and what was signed.
import type { Round, Study } from '../study';
import { Copy, Part, Tag } from './common';
import { called, choice, counted, list, named, uncounted } from '../words';

/** So many of the last rounds stand in the lineage. */
const SHOWN = 5;

function Lineage({ study }: { study: Study }) {
  const until = study.certificate?.round;
  const line = study.rounds.filter((round) => round.kind !== 'round' || until === undefined || round.round <= until);
  const models = line.filter((round) => round.kind === 'round');
  const left = Math.max(0, models.length - SHOWN);
  const first = line.filter((round) => round.kind !== 'round');
  const one = (round: Round, number: number) => (
    <li key={called(round)} value={number}>{called(round)}{round.kind === 'initial' ? ', computed alike' : `, of ${counted(round.inputs.length, 'site')}, computed alike`} by {round.attesters.length}: <code>{round.root}</code></li>
  );
  // each says its number: browsers miscount where lines come and go
  return (
    <ol class="lineage">
      <li value={1}>What everybody signed, the agreement <code>{study.agreement}</code></li>
      {first.map((round, at) => one(round, at + 2))}
      {left > 0 && <li key="left" value={first.length + 2} class="note">{left === 1 ? 'round 1' : `rounds 1 to ${left}`}, each from the model of the one before</li>}
      {models.slice(-SHOWN).map((round, at) => one(round, first.length + (left > 0 ? 3 : 2) + at))}
    </ol>
  );
}

/** The model and its certificate. */
export function Model({ study }: { study: Study }) {
  const { certificate } = study;
  const partial = uncounted(study);
  return (
    <Part id="model" title="The model, and where it comes from" wide>
      {certificate ? (
        <>
          <p class="lead"><Tag kind="good">certified</Tag> The model of round {certificate.round}; {certificate.held.length} of {certificate.asked.length} hold it: {list(named(study.members, certificate.held).slice(0, 12))}.</p>
          <p>{choice(study)}</p>
          {partial && <p><Tag kind="wait">{partial}</Tag></p>}
          <p>It says: this model came out of these sites' updates by the rules that were signed, and each that attested computed it anew. It does not say that each site trained honestly, or that the model is good for other patients.</p>
          <h3>The certificate</h3>
          <Copy block text={certificate.text} label="the certificate" />
          <h3>What checks it</h3>
          <dl class="commands">{certificate.commands.map(([what, line]) => <><dt key={`t${line}`}>{what}</dt><dd key={line}><Copy text={line} /></dd></>)}</dl>
        </>
      ) : <p class="empty">{study.stage === 'ended' ? `It has ${study.phase}.` : 'No model is certified yet.'}</p>}
      <h3>Lineage</h3>
      <Lineage study={study} />
      <details><summary>What was signed, in sentences</summary><ul>{study.rules.map((line) => <li key={line}>{line}</li>)}</ul></details>
    </Part>
  );
}
