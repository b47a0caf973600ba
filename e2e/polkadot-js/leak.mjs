// Searches everything a chain has written (headers, extrinsics, events and state of every block) for pieces of models
// and of rows. The node must still have those states: those of `consilium localnet run` keep all, others the last 256.
//
//   node leak.mjs ws://127.0.0.1:PORT --blobs DIR... --csv FILE... [--plant]
//
// A piece is twelve bytes of any blob's numbers (three consecutive f32), or three consecutive cells of a row as text, as
// f32 or as f64. Ends with 1 and names them where one is found. --plant hides one of each kind in what was read; all
// must be found then.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiPromise, WsProvider } from '@polkadot/api';

const [url, ...rest] = process.argv.slice(2);
const fail = (why) => { console.error(`error: ${why}`); process.exit(1); };
const folders = [], tables = [];
let plant = false, list = null;
for (const word of rest) {
  if (word === '--blobs') list = folders; else if (word === '--csv') list = tables; else if (word === '--plant') plant = true;
  else if (list) list.push(word); else fail(`${word}: unknown`);
}
if (!url || !folders.length || !tables.length) fail('give an address, --blobs DIR... and --csv FILE...');

// What must not be there: latin1 strings, so that a Map finds them; of different lengths, each length apart.
const needles = new Map();
const add = (bytes, what) => {
  if (bytes.every((b) => b === bytes[0])) return; // twelve equal bytes, as zeros, say nothing
  const text = bytes.toString('latin1');
  if (!needles.has(text.length)) needles.set(text.length, new Map());
  needles.get(text.length).set(text, what);
};
const samples = [];
for (const folder of folders) for (const name of readdirSync(folder)) {
  const file = readFileSync(join(folder, name));
  const start = 8 + Number(file.readBigUInt64LE(0));
  for (let at = start; at + 12 <= file.length; at += 4) add(file.subarray(at, at + 12), `blob ${name} at ${at}`);
  if (!samples.length) samples.push(file.subarray(start, start + 12));
}
for (const table of tables) for (const [line, text] of readFileSync(table, 'utf8').split(/\r?\n/).slice(1).entries()) {
  const cells = text.split(/[,;\t]/);
  for (let c = 0; c + 3 <= cells.length; c += 1) {
    const three = cells.slice(c, c + 3);
    const what = `${table}, line ${line + 2}, columns ${c + 1} to ${c + 3}`;
    add(Buffer.from(three.join(',')), `${what}, text`);
    const numbers = three.map(Number);
    if (numbers.some(Number.isNaN)) continue;
    const [single, double] = [Buffer.alloc(12), Buffer.alloc(24)];
    numbers.forEach((n, i) => { single.writeFloatLE(n, 4 * i); double.writeDoubleLE(n, 8 * i); });
    add(single, `${what}, f32`);
    add(double, `${what}, f64`);
    if (samples.length === 1) samples.push(Buffer.from(three.join(',')), single, double);
  }
}

const api = await ApiPromise.create({ provider: new WsProvider(url, 1_000), noInitWarn: true });
const raw = (method, ...params) => api.rpc.provider?.send?.(method, params) ?? api._rpcCore.provider.send(method, params);
const hay = [];
const bytes = (hex) => Buffer.from(hex.slice(2), 'hex');
const head = await raw('chain_getFinalizedHead');
const last = Number((await raw('chain_getHeader', head)).number);
const stateAt = async (hash) => {
  const keys = [];
  for (;;) {
    const page = await raw('state_getKeysPaged', '0x', 1_000, keys.at(-1) ?? null, hash);
    keys.push(...page);
    if (page.length < 1_000) break;
  }
  const [{ changes }] = await raw('state_queryStorageAt', keys, hash);
  return changes;
};
// The state of every block, genesis and events included; what is as it was in the block before is not looked at again.
const known = new Map();
let values = 0;
for (let n = 0; n <= last; n += 1) {
  const hash = await raw('chain_getBlockHash', n);
  const { block } = await raw('chain_getBlock', hash);
  const { header } = block;
  for (const hex of [header.parentHash, header.stateRoot, header.extrinsicsRoot, ...header.digest.logs, ...block.extrinsics]) hay.push([`block ${n}`, bytes(hex)]);
  for (const [key, value] of await stateAt(hash)) {
    // the runtime's own code is no one's data
    if (key === '0x3a636f6465' || known.get(key) === value) continue;
    known.set(key, value);
    values += 1;
    hay.push([`state of block ${n}, ${key.slice(0, 66)}`, bytes(key), bytes(value ?? '0x')]);
  }
}
if (!known.has(api.query.system.events.key())) fail('the events are not among what was read');
if (plant) for (const [n, sample] of samples.entries()) hay.push([`planted ${n}`, Buffer.concat([Buffer.from([1, 2, 3]), sample, Buffer.from([4])])]);

let size = 0;
const found = [];
for (const [where, ...parts] of hay) for (const part of parts) {
  size += part.length;
  const text = part.toString('latin1');
  for (const [length, set] of needles) for (let at = 0; at + length <= text.length; at += 1) {
    const what = set.get(text.slice(at, at + length));
    if (what) found.push(`${where}: ${what}`);
  }
}
const count = [...needles.values()].reduce((sum, set) => sum + set.size, 0);
console.log(`${last} blocks with their states (${values} values, each once), ${size} bytes, searched for ${count} pieces`);
if (plant) {
  const missed = samples.map((_, n) => n).filter((n) => !found.some((f) => f.startsWith(`planted ${n}:`)));
  if (missed.length || found.some((f) => !f.startsWith('planted'))) fail(`planted pieces missed: ${missed}; found: ${found.join('; ')}`);
  console.log(`all ${samples.length} planted pieces were found`);
} else if (found.length) fail(found.join('\n'));
else console.log('none was found');
process.exit(0);
