// Walks all that the metadata of both pallets names, with the library under the polkadot-js page: every call and event is built,
// encoded and read again, every error found by its number, every storage item and constant read. Changes nothing.
//
//   node walk.mjs ws://127.0.0.1:PORT
import { ApiPromise, WsProvider } from '@polkadot/api';
import { u8aConcat, u8aEq } from '@polkadot/util';

const [url] = process.argv.slice(2);
const fail = (why) => { console.error(`error: ${why}`); process.exit(1); };
if (!url) fail('give the address of a node: node walk.mjs ws://127.0.0.1:PORT');
const check = (holds, what) => { if (!holds) fail(what); };
setTimeout(() => fail('not done within two minutes'), 120_000).unref();

const api = await Promise.race([
  ApiPromise.create({ provider: new WsProvider(url, 1_000), noInitWarn: true }),
  new Promise((_, no) => setTimeout(() => no(new Error('no answer within 30 seconds')), 30_000)),
]).catch((e) => fail(`${url}: ${e.message}`));
const { registry } = api;
const empty = (type) => registry.createTypeUnsafe(registry.createLookupType(type), []);
const variants = (option) => registry.lookup.getSiType(option.unwrap().type).def.asVariant.variants;
const lower = (name) => name[0].toLowerCase() + name.slice(1);
const camel = (name) => name.toString().replace(/_(\w)/g, (_, c) => c.toUpperCase());

for (const [name, section] of [['Consortium', 'consortium'], ['SwarmLearning', 'swarmLearning']]) {
  const pallet = registry.metadata.pallets.find((p) => p.name.eq(name));
  const index = pallet.index.toNumber();
  const counts = {};
  const count = (kind, item, docs) => {
    counts[kind] = (counts[kind] ?? 0) + 1;
    const first = docs[0]?.toString().trim() ?? '';
    // the counters of maps are FRAME's own
    check(first.endsWith('.') || `${item}`.startsWith('CounterFor'), `${name}.${item}: its first line is no sentence: "${first}"`);
  };

  for (const { name: call, fields, docs } of variants(pallet.calls)) {
    const made = api.tx[section][camel(call)];
    check(made, `${name}.${call}: no such call`);
    const { method } = made(...fields.map((field) => empty(field.type)));
    const again = registry.createType('Call', method.toU8a());
    check(again.section === section && again.method === camel(call) && u8aEq(again.toU8a(), method.toU8a()), `${name}.${call}: not read as it was written`);
    JSON.stringify(again.toHuman());
    count('calls', call, docs);
  }
  for (const { name: event, index: number, fields, docs } of variants(pallet.events)) {
    const bytes = u8aConcat([index, number.toNumber()], ...fields.map((field) => empty(field.type).toU8a()));
    const read = registry.createType('Event', bytes);
    check(read.section === section && read.method === event.toString() && api.events[section][event.toString()].is(read), `${name}.${event}: read as ${read.section}.${read.method}`);
    const human = read.toHuman().data;
    // institutions are addresses, not bytes
    for (const who of ['institution', 'proposer']) check(!(who in human) || human[who].startsWith('5'), `${name}.${event}: ${who} is ${human[who]}`);
    count('events', event, docs);
  }
  for (const { name: error, index: number, docs } of variants(pallet.errors)) {
    const found = registry.findMetaError(new Uint8Array([index, number.toNumber()]));
    check(found.section === section && found.name === error.toString() && found.docs.join('').length > 0, `${name}.${error}: found as ${found.section}.${found.name}`);
    count('errors', error, docs);
  }
  for (const { name: constant, docs } of pallet.constants) {
    const value = api.consts[section][lower(constant.toString())];
    check(value !== undefined && value.toHuman() !== null, `${name}.${constant}: no such constant`);
    count('constants', constant, docs);
  }
  for (const { name: item, type, docs } of pallet.storage.unwrap().items) {
    const query = api.query[section][lower(item.toString())];
    check(query, `${name}.${item}: no such item`);
    const all = type.isPlain ? [[null, await query()]] : await query.entries();
    for (const [key, value] of all) JSON.stringify([key?.toHuman() ?? null, value.toHuman()]);
    count('storage items', item, docs);
  }
  console.log(`ok  ${name}: ${Object.entries(counts).map(([kind, n]) => `${n} ${kind}`).join(', ')}`);
}
check(api.consts.swarmLearning.maxParticipants.toNumber() === 64 && api.consts.swarmLearning.maxRounds.toNumber() === 1000, 'the limits of a study are not told');
check(!api.tx.balances, 'there is a pallet of balances');
await api.disconnect();
process.exit(0);
