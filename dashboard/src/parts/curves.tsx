// Figures per round, of every site and of the swarm, with other models beside them where they are known; and whether it helped.
import { useMemo } from 'preact/hooks';
import type uPlot from 'uplot';
import type { Arm, Round, Study } from '../study';
import { axes, Chart, colour } from './chart';
import { Copy, Part, Table, Tag } from './common';
import { choice, chosen, counted, figure, fixed, list, measured, metric, named, several, uncounted } from '../words';

/** Up to so many sites have a colour of their own. */
const COLOURS = 6;
/** So many rounds stand in the table. */
const SHOWN = 20;

interface Line { name: string; stroke: string; width: number; dash?: number[]; rings?: boolean; values: (number | null)[] }

/** Whether a figure of a round is there: of a site, or with masks of all together. */
const measuredIn = (round: Round, study: Study) => (study.masked ? round.mean !== null : round.losses.length > 0);

function lines(study: Study): { x: number[]; lines: Line[] } {
  const rounds = study.rounds.filter((round) => round.kind === 'round' && measuredIn(round, study));
  const x = rounds.map((round) => round.round);
  const of = study.members.map(() => new Array<number | null>(rounds.length).fill(null));
  rounds.forEach((round, at) => {
    for (const [site, loss] of round.losses) (of[site] ?? [])[at] = loss;
  });
  if (study.masked) return { x, lines: [{ name: `all ${study.members.length} sites together`, stroke: '--text', width: 3, dash: [8, 4], values: rounds.map((round) => round.mean) }] };
  const few = study.members.length <= COLOURS + 1;
  let next = 0;
  const sites = study.members.map((member, at): Line => {
    const own = member.own;
    next += own ? 0 : 1;
    const stroke = own ? '--own' : few ? `--site-${next}` : '--other';
    return { name: own ? `${member.name} (we)` : member.name, stroke, width: own ? 3 : few ? 2 : 1, values: of[at] ?? [] };
  });
  // in the order of the members, as everywhere; among many thin lines, which no legend names, our own is drawn last, above them
  const drawn = few ? sites : [...sites.filter((line) => line.stroke !== '--own'), ...sites.filter((line) => line.stroke === '--own')];
  // a mean of fewer sites is of other rows: it is no step of the line
  const whole = (round: Round) => round.losses.length === study.members.length;
  const mean = (all: boolean) => rounds.map((round) => (whole(round) === all ? round.mean : null));
  const all: Line[] = [...drawn, { name: `swarm (mean of all ${study.members.length} sites, by rows)`, stroke: '--text', width: 3, dash: [8, 4], values: mean(true) }];
  if (mean(false).some((value) => value !== null)) all.push({ name: 'mean of fewer sites, by rows', stroke: '--text', width: 0, rings: true, values: mean(false) });
  const arm = study.arms?.sites.find((site) => site.own);
  const flat = (name: string, value: number | null | undefined, stroke: string) => {
    if (value !== null && value !== undefined) all.push({ name, stroke, width: 2, dash: [2, 4], values: rounds.map(() => value) });
  };
  flat('our rows alone, on our rows', arm?.alone, '--alone');
  flat('all rows in one place, on our rows', arm?.central, '--central');
  return { x, lines: all };
}

/** What of a line is drawn as points: figures that stand alone between gaps, which a line cannot show; all of a line of rings. */
function marked({ values, rings, stroke }: Line, count: number): Pick<uPlot.Series, 'points' | 'paths'> {
  const fill = { stroke: colour(stroke), fill: colour('--card') };
  if (rings) return { paths: () => null, points: { show: true, size: 8, width: 2, ...fill } };
  const alone = values.flatMap((value, at) => (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? [at] : []));
  return { points: { show: count < 3, filter: (_, __, show) => (show ? null : alone) } };
}

/** Figures per round. */
export function Curves({ study }: { study: Study }) {
  const { rounds, arms, members } = study;
  const told = useMemo(() => lines(study), [rounds, arms, members.length]);
  const data = useMemo(() => [told.x, ...told.lines.map((line) => line.values)] as uPlot.AlignedData, [told]);
  const what = metric(study.metric);
  const last = rounds.filter((round) => round.kind === 'round' && measuredIn(round, study)).slice(-SHOWN).reverse();
  const partial = uncounted(study);
  const many = !study.masked && study.members.length > COLOURS + 1;
  const shown = study.masked ? [] : members;
  const rings = told.lines.some((line) => line.rings);
  const unheard = rings ? members.filter((_, at) => rounds.some((round) => round.kind === 'round' && round.mean !== null && !round.losses.some(([site]) => site === at))).map((member) => member.name) : [];
  return (
    <Part id="curves" title={measured(study)} wide
      note={study.masked ? 'Lower is better. With masks nobody sees a site\'s own figure: the line is the loss over the validation rows of all sites together, and has a gap where fewer than three sites, or not more than half of those in the sum, reported one.' : `Lower is better. Each site measures each round's model on its own validation rows. The dashed line is the mean of all ${study.members.length} sites, each counting by its training rows, and has a gap where a site told no figure${rings ? `. A ring is the mean of fewer sites, where ${unheard.length === 1 ? list(unheard) : `one or more of ${several(unheard)}`} told none: it is of other rows, and does not compare with the line. A site tells its figure of a round with its update of the next one: who is missing from a round has no figure of the round before it` : ''}.`}>
      {chosen(study) && <p>{choice(study)}</p>}
      {told.x.length > 0 && <p>A difference between lines is not by itself a finding: better, worse or cannot tell is what the paired 95 % intervals of the report (<code>consilium report {study.number}</code>) say, on the same rows.</p>}
      {partial && <p><Tag kind="wait">{partial}</Tag></p>}
      {told.x.length === 0 ? <p class="empty">No round has been measured yet.</p> : (
        <>
          <Chart label={`${what} of ${study.masked ? 'all sites together' : 'each site and of the swarm'} over ${counted(told.x.length, 'round')}; the table below has the figures`} height={340} data={data}
            shape={`${study.number} ${told.lines.map((line) => line.name).join('|')}`}
            options={() => ({
              scales: { x: { time: false } }, axes: axes('round', what),
              legend: { show: !many, live: false, markers: { dash: (_, at) => (told.lines[at - 1]?.dash?.[0] === 2 ? 'dotted' : told.lines[at - 1]?.dash ? 'dashed' : 'solid') } },
              cursor: { focus: { prox: 24 } }, focus: { alpha: 0.35 },
              series: [{ label: 'round' }, ...told.lines.map((line) => ({ label: line.name, stroke: colour(line.stroke), width: line.width, dash: line.dash, spanGaps: false, ...(line.rings ? { class: 'ring' } : {}), ...marked(line, told.x.length) }))],
            })} />
          {many && <p class="note">Thick blue: we. Dashed: the mean of all {members.length} sites, by rows.{rings && ' Ring: that of fewer sites.'} Thin: the others; the table names them.</p>}
          <details><summary>The last {counted(Math.min(SHOWN, last.length), 'round')} as a table</summary>
            <Table label="Figures of the last rounds" head={['Round', study.masked ? 'All sites together' : 'Swarm', ...shown.map((member) => member.name)]} numbers={shown.map((_, at) => at + 1).concat(shown.length + 1)}>
              {last.map((round) => {
                const by = new Map(round.losses);
                return <tr key={round.round}><th scope="row">{round.round}</th><td class="number">{figure(round.mean)}{!study.masked && round.mean !== null && round.losses.length < members.length && ` (of ${round.losses.length} sites)`}</td>{shown.map((member, at) => <td key={member.id} class="number">{figure(by.get(at))}</td>)}</tr>;
              })}
            </Table>
          </details>
        </>
      )}
    </Part>
  );
}

const WORDS: Record<string, ['good' | 'bad' | 'plain', string]> = {
  better: ['good', 'Better'], worse: ['bad', 'Worse'], 'cannot tell': ['plain', 'Cannot tell'],
};

function Row({ arm }: { arm: Arm }) {
  const [kind, word] = WORDS[arm.verdict] ?? ['plain', arm.verdict];
  return (
    <tr>
      <th scope="row">{arm.name}{arm.own && ' (we)'}</th>
      <td><Tag kind={kind}>{word.toLowerCase()}</Tag></td>
      <td class="number">{figure(arm.swarm)}</td><td class="number">{figure(arm.alone)}</td><td class="number">{figure(arm.central)}</td>
      <td class="number">{arm.interval ? `${fixed(arm.interval[0], 3)} to ${fixed(arm.interval[1], 3)}` : '–'}</td>
      <td>{counted(arm.count, 'row')}, {arm.rows}</td>
    </tr>
  );
}

/** Whether the swarm's model is better than the own one. */
export function Verdict({ study, folder }: { study: Study; folder: string }) {
  const what = metric(study.metric);
  const own = study.arms?.sites.find((site) => site.own);
  const us = study.members.findIndex((member) => member.own);
  const last = study.rounds.filter((round) => round.losses.some(([site]) => site === us)).at(-1);
  // after the end it is the certified model that counts, not that of the last round
  const judged = study.certificate ? chosen(study) : last;
  const figured = judged?.losses.find(([site]) => site === us)?.[1];
  const which = `the swarm's ${study.certificate ? 'certified model, of' : 'model of'} round ${judged?.round}`;
  const partial = uncounted(study);
  const lost = study.arms?.sites.filter((site) => site.verdict === 'worse').map((site) => site.name) ?? [];
  const [kind, word] = own ? (WORDS[own.verdict] ?? ['plain', own.verdict]) : ['plain', study.stage === 'ended' ? 'No model' : 'Not measured yet'] as const;
  return (
    <Part id="verdict" title="Did the swarm beat our own model?">
      <p class="lead"><Tag kind={kind}>{word}</Tag></p>
      {own ? (
        <>
          <p>On {counted(own.count, 'row')} of ours ({own.rows === 'validation' ? 'validation rows: they train nothing, but choose the round' : own.rows}), the {what} of the swarm's model is {figure(own.swarm)}, and of a model of our rows alone {figure(own.alone)}. {own.interval
            ? <>The difference lies between {fixed(own.interval[0], 3)} and {fixed(own.interval[1], 3)} (95 % interval; below 0: the swarm is better){own.verdict === 'cannot tell' ? ': it holds 0, so that these rows do not tell' : ''}.</>
            : 'They are too few for an interval.'}</p>
          {lost.length > 0 && <p><Tag kind="bad">{`Worse for ${list(lost)}`}</Tag></p>}
          <Table label="Every site's own comparison" head={['Site', 'Swarm is', 'Swarm', 'Own rows alone', 'All rows in one place', 'Difference, 95 %', 'Measured on']} numbers={[2, 3, 4, 5]}>
            {study.arms!.sites.map((arm) => <Row key={arm.name} arm={arm} />)}
          </Table>
          <p class="note">From {study.arms!.source}. {study.arms!.one_machine ? "On this machine all sites' rows lie in one place. On a real chain nobody can measure at another site." : 'Each site has measured on its own rows, by itself: nobody can measure at another site. Sites that are not here have given no figures to this report.'}</p>
        </>
      ) : study.stage === 'ended' ? <p>It has {study.phase}: there is nothing to compare with.</p> : (
        <>
          <p>No model of our rows alone is known here, so that there is nothing to compare with.{judged && us >= 0 && (study.masked ? ' With masks no site tells its figure: what the model does on our rows, our worker alone can say.' : figured === undefined ? ` Our worker told no figure of ${which}.` : ` On our validation rows ${which}${study.certificate ? ',' : ''} has a ${what} of ${figure(figured)}.`)}</p>
          <p>Our worker does not measure it by itself. {study.certificate ? 'These lines make it do so, within a day of the study\'s end' : 'Once the study has its certificate, and within a day of its end, these lines make it do so'}: the first makes it train a model of our rows alone, by the study's own rules, and measure both on our own rows; the second writes the report, which has the answer.</p>
          <Copy text={`consilium study figures ${study.number} --dir ${folder} --out figures-${study.number}.json`} />
          <Copy text={`consilium report ${study.number} --dir ${folder} --figures figures-${study.number}.json --out report-${study.number}.html`} />
          <details>
            <summary>By hand, from the study file and our table, both measured on the same later patients</summary>
            <Copy text={`ml-worker train --study study.toml --data our-table.csv --secret ${folder}/worker/secret --out alone`} />
            <Copy text="ml-worker evaluate --model alone --data later.csv" />
            <p>The swarm's model is fetched, and packed with our own table and secret, before it can be evaluated:</p>
            <Copy text={`consilium study fetch ${study.number} --dir ${folder} --out model-${study.number}`} />
            <Copy text={`ml-worker pack --dir model-${study.number} --out model-${study.number}/ready --data our-table.csv --secret ${folder}/worker/secret`} />
            <Copy text={`ml-worker evaluate --model model-${study.number}/ready --data later.csv`} />
          </details>
        </>
      )}
      {partial && <p class="note">{partial}.</p>}
      {study.waiting && last && <p class="note">{counted(last.losses.length, 'site')} of {study.members.length} {last.losses.length === 1 ? 'has' : 'have'} told a figure of round {last.round} so far: {several(named(study.members, last.losses.map(([site]) => site)), 12)}.</p>}
    </Part>
  );
}
