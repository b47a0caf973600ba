// Looks at a running network with polkadot-api: walks all that the metadata of both pallets names, as walk.mjs of polkadot-js does,
// and reads a block with round votes, which this library shows in full. Changes nothing.
//
//   node walk.mjs ws://127.0.0.1:PORT
import { createClient } from 'polkadot-api';
import { getWsProvider } from 'polkadot-api/ws';
import { getDynamicBuilder, getLookupFn } from '@polkadot-api/metadata-builders';
import { decAnyMetadata, unifyMetadata } from '@polkadot-api/substrate-bindings';
import { getExtrinsicDecoder } from '@polkadot-api/tx-utils';
import { WebSocket } from 'ws';

const [url] = process.argv.slice(2);
const fail = (why) => { console.error(`error: ${why}`); process.exit(1); };
if (!url) fail('give the address of a node: node walk.mjs ws://127.0.0.1:PORT');
const check = (holds, what) => { if (!holds) fail(what); };
const ok = (holds, what) => { check(holds, what); console.log(`ok  ${what}`); };
setTimeout(() => fail('not done within two minutes'), 120_000).unref();
const text = (value) => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}` : v));

// before version 22 Node.js has no WebSocket of its own
const client = createClient(getWsProvider(url, { websocketClass: globalThis.WebSocket ?? WebSocket }));
const api = client.getUnsafeApi();
const { hash } = await client.getFinalizedBlock();
const raw = await client.getMetadata(hash);
const metadata = unifyMetadata(decAnyMetadata(raw));
const lookup = getLookupFn(metadata);
const builder = getDynamicBuilder(lookup);

// The least value of a type.
const ACCOUNT = '5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM';
const least = (type) => {
  const record = (fields) => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, least(field)]));
  switch (type.type) {
    case 'primitive': return type.value === 'str' ? '' : type.value === 'bool' ? false : /(64|128|256)$/.test(type.value) ? 0n : 0;
    case 'compact': return type.isBig ? 0n : 0;
    case 'void': case 'option': return undefined;
    case 'AccountId32': return ACCOUNT;
    case 'sequence': return bytes(type.value) ? new Uint8Array(0) : [];
    case 'array': return bytes(type.value) ? `0x${'00'.repeat(type.len)}` : Array.from({ length: type.len }, () => least(type.value));
    case 'tuple': return type.value.map(least);
    case 'struct': return record(type.value);
    case 'enum': {
      const [[name, inner]] = Object.entries(type.value).sort(([, a], [, b]) => a.idx - b.idx);
      return { type: name, value: inner.type === 'lookupEntry' ? least(inner.value) : least(inner) };
    }
    default: return fail(`a type that is not known here: ${type.type}`);
  }
};
const bytes = (type) => type.type === 'primitive' && type.value === 'u8';
const inner = (of, name) => {
  const it = lookup(of).value[name];
  return it.type === 'lookupEntry' ? least(it.value) : least(it);
};
const same = (a, b) => a.length === b.length && a.every((byte, n) => byte === b[n]);
// written, read, and written again
const through = (codec, value, what) => {
  const written = codec.enc(value);
  check(same(codec.enc(codec.dec(written)), written), `${what}: not read as it was written`);
};

for (const name of ['Consortium', 'SwarmLearning']) {
  const pallet = metadata.pallets.find((it) => it.name === name);
  const variants = (part) => metadata.lookup[pallet[part].type].def.value;
  const counts = {};
  const count = (kind, item, docs) => {
    counts[kind] = (counts[kind] ?? 0) + 1;
    // the counters of maps are FRAME's own
    check(docs[0]?.trim().endsWith('.') || item.startsWith('CounterFor'), `${name}.${item}: its first line is no sentence`);
  };
  for (const [part, build] of [['calls', 'buildCall'], ['events', 'buildEvent'], ['errors', 'buildError']]) {
    for (const { name: item, docs } of variants(part)) {
      through(builder[build](name, item).codec, inner(pallet[part].type, item), `${name}.${item}`);
      count(part, item, docs);
    }
  }
  for (const { name: constant, docs } of pallet.constants) {
    check((await api.constants[name][constant]()) !== undefined, `${name}.${constant}: no value`);
    count('constants', constant, docs);
  }
  for (const { name: item, type, docs } of pallet.storage.items) {
    const query = api.query[name][item];
    text(type.tag === 'plain' ? await query.getValue() : await query.getEntries());
    count('storage items', item, docs);
  }
  console.log(`ok  ${name}: ${Object.entries(counts).map(([kind, n]) => `${n} ${kind}`).join(', ')}`);
}

// Institutions are addresses and names are texts, in both pallets and in what the runtime itself answers.
const institutions = await api.query.Consortium.Institutions.getEntries();
const names = new Map(institutions.map(({ keyArgs: [who], value }) => [who, value.name]));
ok(names.size === 4 && [...names.values()].includes('hospital-a'), `institutions: ${[...names.values()].sort().join(', ')}`);
const study = await api.query.SwarmLearning.Studies.getValue(0);
ok(study.state.members.every(({ id }) => names.has(id)), `members of study 0: ${study.state.members.map(({ id }) => names.get(id)).join(', ')}`);
ok(JSON.parse(await api.query.SwarmLearning.Specs.getValue(0)).version === 1, 'its spec is a text');
const answered = await api.apis.SwarmApi.institutions();
ok(answered.every(({ id, name }) => names.get(id) === name), 'and so the runtime answers');

// What a call costs: nothing.
const [someone] = names.keys();
const fee = await api.tx.SwarmLearning.withdraw({ study: 0 }).getEstimatedFees(someone);
ok(fee === 0n, `fees: ${fee}`);

// A block with round votes, in full, and what it told.
const closed = (await api.query.SwarmLearning.History.getEntries(0)).map(({ value }) => value).filter(({ kind, round }) => kind.type === 'Model' && round > 0);
const decode = getExtrinsicDecoder(raw);
const events = builder.buildStorage('System', 'Events');
const told = new Set();
let votes = 0;
for (let number = closed[0].closed_at; number > closed[0].opened_at; number -= 1) {
  const block = await client._request('chain_getBlockHash', [number]);
  const { block: { extrinsics } } = await client._request('chain_getBlock', [block]);
  for (const extrinsic of extrinsics.map(decode)) {
    if (extrinsic.type !== 'general' || extrinsic.call.type !== 'SwarmLearning' || extrinsic.call.value.type !== 'vote') continue;
    const { vote } = extrinsic.call.value.value;
    check(names.has(vote.institution), `a vote of nobody: ${vote.institution}`);
    if (votes++ < 4) console.log(`    block ${number}: ${names.get(vote.institution)}, round ${vote.round}, ${vote.kind.type}: ${vote.body.type}`);
  }
  const stored = await client._request('state_getStorage', [events.keys.enc(), block]);
  for (const { event } of events.value.dec(stored)) if (event.type === 'SwarmLearning') told.add(event.value.type);
}
ok(votes > 0, `${votes} round votes read in full`);
ok(['Frozen', 'Attested', 'RoundClosed'].every((step) => told.has(step)), `each step is an event of its own: ${[...told].sort().join(', ')}`);
client.destroy();
process.exit(0);
