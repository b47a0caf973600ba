// A made-up state of the largest consortium: for tests of the page alone, never shown to people. Its figures mean nothing.
const HOUR = 3_600_000;
const pad = (n, length) => n.toString(16).padStart(length, '0');
const NAMES = ['<img src=x onerror="document.title=1">', 'St. Mary & Söhne "East"', "O'Brien\\u{202e} Klinik", '</script><script>alert(1)</script>'];

/** The state at a block, with this many institutions, studies and closed rounds. */
export function state({ institutions = 64, studies = 32, rounds = 1_000, block = 50_000 } = {}) {
  const now = Date.now();
  const name = (at) => NAMES[at - 1] ?? `Hospital ${at}`;
  const all = Array.from({ length: institutions }, (_, at) => at);
  const closed = [];
  for (let round = 1; round <= rounds; round += 1) closed.push(made(round, all, now - (rounds - round) * 2_000, round % 97 === 0));
  const sites = all.map((at) => ({
    name: name(at), own: at === 0, done: at !== 5, awaited: at === 5,
    words: at === 5 ? 'is awaited: its update' : 'has sent its update, in block 49998',
  }));
  return {
    version: 4, made_at_ms: now, own: { name: name(0), id: `0x${pad(1, 64)}`, folder: 'hospital-0' }, unreachable: null, stands: null,
    consortium: {
      genesis: pad(7, 64), block_ms: 500, best: block, best_at_ms: now, finalised: block - 2, behind_ms: 1_000, peers: institutions - 1,
      others: institutions - 1, syncing: false, runtime: 6, node: '0.1.0', program: '0.1.0', clock_off_seconds: 0.01, clock_warning: null,
      needed: Math.floor(institutions * 2 / 3) + 1,
      institutions: all.map((at) => ({ name: name(at), id: `0x${pad(at + 1, 64)}`, own: at === 0, validator: true, makes_blocks: true, participant: true, suspended: at === 9, silent_ms: at === 7 ? 90_000 : 4_000, profile: at === 7 ? '+49 221 0 <b>studies</b>' : '' })),
    },
    checks: [{ what: 'disk', well: true, words: '22.1 GiB free' }, { what: 'peer', well: false, words: 'Hospital 7: /ip4/10.0.0.7/tcp/30333: no connection: its node is down, or a firewall is between' }],
    worker: { answers: true, words: 'works', duties: [{ study: 31, round: rounds + 1, kind: 'Train', done: 0.4 }] },
    todo: [{ pressing: true, words: 'To be mended, peer: Hospital 7: no connection', commands: ['consilium doctor --dir hospital-0'] }],
    motions: [{ number: 3, headline: `admit ${name(1)}`, details: [`its address is ${name(4)}`], proposer: name(2), ayes: [name(2)], nays: [], silent: all.slice(3).map(name), needed: 43, electorate: institutions, left_ms: HOUR, ours: true }],
    studies: Array.from({ length: studies }, (_, number) => ({ number, title: number === 31 ? NAMES[3] : `Study of question ${number}`, phase: number === 31 ? 'training' : 'completed', stage: number === 31 ? 'running' : 'completed', round: rounds, max_rounds: 1_200, members: institutions, ours: true, awaits_us: number === 31 })),
    egress: {
      missing: null, file: 'hospital-0/node/courier/egress.log', bytes: 9e9, parts: 64_000, last_at_ms: now,
      sums: all.slice(1).flatMap((at) => Array.from({ length: studies }, (_, study) => ({ to: name(at), study, kind: 'update', files: rounds, bytes: 4_500_000 + at, first_at_ms: now - HOUR, last_at_ms: now }))),
      recent: all.slice(1).map((at) => ({ at_ms: now, to: name(at), study: 31, round: rounds, kind: 'update', bytes: 4_500, hash: pad(at, 64) })),
    },
    study: {
      number: studies - 1, title: NAMES[3], agreement: pad(11, 64), proposer: name(1), phase: 'training', stage: 'running', round: rounds + 1, max_rounds: 1_200, best: rounds - 3, metric: 'log_loss',
      rules: ['at most 1200 rounds'], masked: false, privacy: spent(all.slice(0, 3).map(name), rounds), members: all.map((at) => ({ name: name(at), id: `0x${pad(at + 1, 64)}`, own: at === 0, samples: 100 + at, active: true, left_out_until: at === 9 ? rounds + 4 : null, last_round: rounds })),
      waiting: { what: `the updates of round ${rounds + 1}`, since_at_ms: now - 34_000, until_at_ms: now + 60_000, then: 'it waits as long once more', sooner_at_ms: now + 20_000, sooner: 'once the updates of 33 of 64 sites are in (20 so far), the others have 40 blocks more, the grace; then it goes on without who is late', sites },
      trouble: [], whole: true, rounds: closed, silence: null, arms: null, certificate: null,
    },
  };
}

/** What a private study has spent at these sites; the last of them has no budget. */
export const spent = (names, rounds) => ({
  promised_micro: 4_000_000, delta_exp: 5, unit: 'patient', rounds, rounds_micro: 2_104_000, all_rounds_micro: 4_010_000,
  promise: `each patient is promised ε 4 (δ 10⁻⁵) for all 1200 rounds; the ${rounds} rounds that ran cost ε 2.11`,
  meaning: ['At ε 2.11, the most that this study has cost any site: Whoever guesses from everything that left whether one particular patient was among the rows, and accepts one wrong accusation in a hundred, is right about at most 7 of 100.'],
  sites: names.map((name, site) => ({
    site, name, dataset: pad(site + 70, 64), rounds, study_micro: 2_104_000, limit_micro: site === names.length - 1 ? null : 8_000_000,
    spent_micro: site === names.length - 1 ? null : 3_333_333, words: `${name}: the chain has no budget of its data set (\`consilium budget audit\` says more)`,
  })),
});

/** A closed round. */
export function made(round, all, at, fault) {
  const losses = all.map((site) => [site, 0.7 / (1 + round / 40) + 0.002 * site + 0.03 * Math.abs(Math.sin(round * (site + 3)))]);
  return {
    kind: 'round', round, root: pad(round, 64), base: pad(round - 1, 64), inputs: all.map((site) => [site, 100 + site]), last: [],
    attesters: fault ? all.slice(1) : all, dissenters: fault ? [[0, pad(round + 5_000, 64)]] : [], silent: [], dropped: [], left_out: [], shortened: [],
    losses, mean: losses.reduce((sum, [, loss]) => sum + loss, 0) / losses.length, attempts: 1, opened: round * 4, closed: round * 4 + 4, closed_at_ms: at,
    spans: { training_ms: 800 + (round % 7) * 100, transfer_ms: 300, grace_ms: 400, votes_ms: 0, chain_ms: 500, estimated: false }, own_training_ms: 700, unusable: null, lost: [],
  };
}
