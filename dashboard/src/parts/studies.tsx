// All studies, with where each stands, and why those ended that have no model.
import type { State } from '../state';
import { Part, Table, Tag } from './common';
import { waits } from '../words';

const KINDS: Record<string, 'good' | 'bad' | 'wait' | 'plain'> = { completed: 'good', ended: 'bad', paused: 'bad', running: 'wait', enrolling: 'plain' };

/** All studies, the newest first. */
export function Studies({ state, choose }: { state: State; choose: (study: number) => void }) {
  return (
    <Part id="studies" title="All studies" wide>
      {state.studies.length === 0 ? <p class="empty">No study has been registered on this chain yet. One is proposed by <code>consilium study register study.toml --dir {state.own.folder}</code>.</p> : (
        <Table label="All studies" head={['Study', 'Title', 'Where it stands', 'Round', 'Sites']} numbers={[3, 4]}>
          {[...state.studies].reverse().map((it) => (
            <tr key={it.number}>
              <th scope="row"><a href={`?study=${it.number}`} onClick={(event) => { event.preventDefault(); choose(it.number); scrollTo({ top: 0 }); }}>{it.number}</a>{it.ours && ' (we take part)'}</th>
              <td>{it.title}</td>
              <td><Tag kind={KINDS[it.stage] ?? 'plain'}>{it.phase}</Tag>{it.awaits_us && <> <Tag kind="wait">{waits(it)}</Tag></>}</td>
              <td class="number">{it.round} of {it.max_rounds}</td><td class="number">{it.members}</td>
            </tr>
          ))}
        </Table>
      )}
    </Part>
  );
}
