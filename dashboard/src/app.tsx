// The whole page.
import { useEffect, useState } from 'preact/hooks';
import { useLive } from './live';
import { Consortium } from './parts/consortium';
import { Curves, Verdict } from './parts/curves';
import { Egress, Motions } from './parts/egress';
import { Model } from './parts/model';
import { Now, Todos } from './parts/now';
import { Rounds, Times } from './parts/rounds';
import { Head } from './parts/status';

export function App() {
  const [chosen, choose] = useState<number | undefined>();
  const live = useLive(chosen);
  const { state } = live;
  useEffect(() => {
    if (state) document.title = `${state.own.name} · Consilium`;
  }, [state?.own.name]);
  if (!state) {
    return <main><p class="empty" role="status">{live.connected ? 'Asking our node …' : 'Asking the program that serves this page …'}</p></main>;
  }
  const { study } = state;
  return (
    <>
      <Head live={live} state={state} chosen={chosen} choose={choose} />
      <main>
        <Todos state={state} />
        {study ? (
          <>
            <Now study={study} state={state} live={live} />
            <Verdict study={study} folder={state.own.folder} />
            <Curves study={study} />
            <Rounds key={study.number} study={study} />
            <Times study={study} />
          </>
        ) : <section class="part wide"><h2>Studies</h2><p class="empty">No study has been registered on this chain yet. One is proposed by <code>consilium study register study.toml --dir {state.own.folder}</code>.</p></section>}
        <Egress state={state} study={study?.number} />
        <Motions state={state} />
        {study && <Model study={study} />}
        <Consortium state={state} />
      </main>
    </>
  );
}
