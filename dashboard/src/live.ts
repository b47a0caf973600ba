// The live state: told whole at first, then what has changed, one event for each block.
import { useEffect, useState } from 'preact/hooks';
import { VERSION, type State } from './state';
import type { Round, Study } from './study';

/** What is known, and since when (by the browser's own clock of the page's life). */
export interface Live {
  state?: State;
  /** Milliseconds since 1970 by the server's clock, and `performance.now()` then. */
  told: { server: number; here: number };
  /** Whether the connection to the program stands. */
  connected: boolean;
}

const key = (round: Round) => `${round.kind} ${round.round}`;
const order = (round: Round) => (round.kind === 'statistics' ? -1 : round.round);

/** The study with the news in it; the list of rounds stays the same one where none is new. */
export function joined(before: Study | null | undefined, news: Study | null | undefined): Study | null {
  if (!news) return null;
  if (news.whole || !before || before.number !== news.number) return news;
  if (news.rounds.length === 0) return { ...news, rounds: before.rounds };
  const all = new Map(before.rounds.map((round) => [key(round), round]));
  for (const round of news.rounds) all.set(key(round), round);
  return { ...news, rounds: [...all.values()].sort((a, b) => order(a) - order(b)) };
}

/** The state that came with the page: it is shown before the live one begins, and where nothing waits for that (paper, a screenshot). */
export function begun(text: string | null | undefined): State | undefined {
  if (!text) return undefined;
  const state = JSON.parse(text) as State;
  return state.version === VERSION ? state : undefined;
}

/** Listens, for one study or (none chosen) for the newest of ours; what came with the page is shown until the first event. */
export function useLive(study: number | undefined, first: State | undefined): Live {
  const [live, setLive] = useState<Live>({ state: first, told: { server: first?.made_at_ms ?? Date.now(), here: performance.now() }, connected: first !== undefined });
  useEffect(() => {
    const source = new EventSource(study === undefined ? 'events' : `events?study=${study}`);
    let state: State | undefined;
    source.addEventListener('state', (event) => {
      const news = JSON.parse((event as MessageEvent<string>).data) as Partial<State>;
      if (news.version !== undefined && news.version !== VERSION) {
        location.reload();
        return;
      }
      const chosen = 'study' in news ? joined(state?.study, news.study) : (state?.study ?? null);
      state = { ...(state as State), ...news, study: chosen };
      setLive({ state, told: { server: state.made_at_ms, here: performance.now() }, connected: true });
    });
    source.onerror = () => setLive((live) => ({ ...live, connected: false }));
    return () => source.close();
  }, [study]);
  return live;
}

/** The time by the server's clock, told anew each second. */
export function useNow(told: Live['told']): number {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
  return told.server + (performance.now() - told.here);
}
