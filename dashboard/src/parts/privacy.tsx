// What a private study promises each record or patient, and what was spent of that.
import type { Study } from '../study';
import { Part, Said, Table } from './common';
import { epsilon } from '../words';

/** Promised and spent; nothing where nothing is promised. */
export function Privacy({ study }: { study: Study }) {
  const { privacy } = study;
  if (!privacy) return null;
  return (
    <Part id="privacy" title={`What it may tell about one ${privacy.unit}`} wide>
      {privacy.promised_micro !== null && <p class="lead">Promised: {epsilon(privacy.promised_micro)}. Spent in {privacy.rounds} of {study.max_rounds} rounds: {epsilon(privacy.rounds_micro)}.</p>}
      <p>{privacy.promise}.</p>
      {privacy.sites.length > 0 && (
        <Table label="what each site's data set has spent" head={['Site', 'Rounds charged', 'In this study', 'In all studies', 'Of at most']} numbers={[1, 2, 3, 4]}>
          {privacy.sites.map((site) => (
            <tr key={site.site}>
              <th scope="row">{site.name}</th><td class="number">{site.rounds}</td><td class="number">{epsilon(site.study_micro)}</td>
              <td class="number">{epsilon(site.spent_micro)}</td><td class="number">{epsilon(site.limit_micro)}</td>
            </tr>
          ))}
        </Table>
      )}
      {privacy.sites.filter((site) => site.spent_micro === null).map((site) => <p key={site.site}><Said line={site.words} /></p>)}
      <ul>{privacy.meaning.map((line) => <li key={line}>{line}</li>)}</ul>
    </Part>
  );
}
