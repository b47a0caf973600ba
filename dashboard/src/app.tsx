// The whole page.
import { useEffect, useState } from 'preact/hooks';
import { useLive } from './live';
import { Consortium } from './parts/consortium';
import { Curves, Verdict } from './parts/curves';
import { Egress, Motions } from './parts/egress';
import { Model } from './parts/model';
import { Studies } from './parts/studies';
import { Now, Todos } from './parts/now';
import { Rounds, Times } from './parts/rounds';
import { Privacy } from './parts/privacy';
import { Head } from './parts/status';
import { Words } from './parts/glossary';
import type { State } from './state';

/** The study that the page's address names. */
function asked(): number | undefined {
  const text = new URLSearchParams(location.search).get('study');
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

export function App({ first }: { first?: State }) {
  const [chosen, setChosen] = useState(asked);
  const live = useLive(chosen, first);
  const { state } = live;
  useEffect(() => {
    const back = () => setChosen(asked());
    addEventListener('popstate', back);
    return () => removeEventListener('popstate', back);
  }, []);
  // the address names it from now on: it can be kept, given to others on this machine, and gone back from
  const choose = (study: number) => {
    const to = new URL(location.href);
    to.searchParams.set('study', String(study));
    history.pushState(null, '', to);
    setChosen(study);
  };
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
            <Rounds key={study.number} study={study} consortium={state.consortium} folder={state.own.folder} />
            <Times study={study} />
            <Privacy study={study} />
          </>
        ) : state.studies.length > 0 ? (
          <section class="part wide" id="now"><h2>Study {chosen ?? ''} now</h2><p class="empty">{chosen === undefined || state.studies.some((it) => it.number === chosen) ? 'Asking our node …' : `There is no study ${chosen} on this chain: choose one above, or from the list below.`}</p></section>
        ) : null}
        <Egress state={state} study={study?.number} />
        <Motions state={state} />
        {study && <Model study={study} />}
        <Studies state={state} choose={choose} />
        <Consortium state={state} />
        <Words />
      </main>
    </>
  );
}
