// The head of the page: whose it is, whether the chain moves, and which study is looked at.
import { useEffect, useState } from 'preact/hooks';
import type { Live } from '../live';
import { useNow } from '../live';
import type { State } from '../state';
import { Tag } from './common';
import { counted, measured, span, waits } from '../words';

/** How old the newest block may be. As in cli/src/chain/pulse.rs. */
const OLD_MS = 15_000;

/** Light, dark, or as the system has it. */
function Theme() {
  const [theme, setTheme] = useState(() => localStorage.getItem('theme') ?? 'system');
  useEffect(() => {
    localStorage.setItem('theme', theme);
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return (
    <label>Colours{' '}
      <select value={theme} onChange={(event) => setTheme(event.currentTarget.value)}>
        <option value="system">as the system</option>
        <option value="light">light</option>
        <option value="dark">dark</option>
      </select>
    </label>
  );
}

function Pulse({ state, live }: { state: State; live: Live }) {
  const now = useNow(live.told);
  const { consortium: c } = state;
  const age = now - c.best_at_ms;
  if (!live.connected) return <Tag kind="bad">this page has lost <code>consilium dashboard</code>: start it again, and open the address that it prints</Tag>;
  if (state.unreachable) return <Tag kind="bad">our node does not answer</Tag>;
  if (state.stands) return <Tag kind="bad">{state.stands}</Tag>;
  if (c.best > 0 && age > OLD_MS) return <Tag kind="bad">no block for {span(age)}</Tag>;
  return <Tag kind="good">the chain moves: block <b id="block" data-at={c.best_at_ms}>{c.best}</b>, {c.best - c.finalised < 2 ? 'final' : `${c.best - c.finalised} not final yet`}; {c.peers} of {counted(c.others, 'other')} connected</Tag>;
}

/** The head. */
export function Head(props: { live: Live; state: State; chosen?: number; choose: (study: number) => void }) {
  const { state } = props;
  const { study } = state;
  const shown = props.chosen ?? state.study?.number;
  return (
    <header>
      <div class="who">
        <h1>{state.own.name} <span class="brand">Consilium</span></h1>
        <div role="status" aria-live="polite" class="pulse"><Pulse state={state} live={props.live} /></div>
      </div>
      <div class="choose">
        {state.studies.length > 0 && (
          <label>Study{' '}
            <select id="study" value={state.studies.some((study) => study.number === shown) ? shown : ''} onChange={(event) => props.choose(Number(event.currentTarget.value))}>
              {!state.studies.some((study) => study.number === shown) && <option value="">choose one</option>}
              {state.studies.map((study) => (
                <option key={study.number} value={study.number}>
                  {study.number}: {study.title.slice(0, 70)} ({study.phase}{study.awaits_us ? `, ${waits(study)}` : ''})
                </option>
              ))}
            </select>
          </label>
        )}
        <Theme />
      </div>
      <nav aria-label="Parts of this page">
        {[['todo', 'What we are to do now'], ...(study ? [['now', `Study ${study.number} now`], ['verdict', 'Did the swarm beat our own model?'], ['curves', measured(study)], ['rounds', 'Who attested which round'], ['times', 'Time per round']] : []), ['egress', 'What left our building'], ['motions', 'Motions'], ...(study ? [['model', 'The model, and where it comes from']] : []), ['studies', 'All studies'], ['consortium', 'The consortium and its health'], ['words', 'Words of this page']].map(([id, text]) => (
          <a key={id} href={`#${id}`}>{text}</a>
        ))}
      </nav>
    </header>
  );
}
