// Looks at a running network with the library under the polkadot-js page: reads institutions, studies and rounds,
// registers a study and enrols in it by signed extrinsics, decodes events, a refusal, and a block with round votes.
//
//   node look.mjs ws://127.0.0.1:PORT OUT
//
// The network must hold one study with at least one closed round; `consilium localnet run --keep --out OUT` leaves such a one.
import { readFileSync } from 'node:fs';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { blake2AsU8a } from '@polkadot/util-crypto';
import { u8aConcat } from '@polkadot/util';

const [url, out] = process.argv.slice(2);
const fail = (why) => { console.error(`error: ${why}`); process.exit(1); };
if (!out) fail('give the address of a node and the folder of the run: node look.mjs ws://127.0.0.1:PORT OUT');
const check = (holds, what) => { if (!holds) fail(what); console.log(`ok  ${what}`); };
setTimeout(() => fail('not done within five minutes'), 300_000).unref();

const provider = new WsProvider(url, 1_000);
const api = await Promise.race([
  ApiPromise.create({ provider, noInitWarn: true }),
  new Promise((_, no) => setTimeout(() => no(new Error('no answer within 30 seconds')), 30_000)),
]).catch((e) => fail(`${url}: ${e.message}`));
const keys = new Keyring({ type: 'sr25519' });
const [proposer, other] = ['hospital-a', 'hospital-b'].map((name) => keys.addFromUri(readFileSync(`${out}/${name}/institution.key`, 'utf8').trim()));

// Institutions and studies, from storage, by the types in the node's metadata.
const institutions = await api.query.consortium.institutions.entries();
const names = new Map(institutions.map(([key, value]) => [key.args[0].toHex(), value.unwrap().name.toString()]));
check(institutions.length === 4 && [...names.values()].includes('hospital-a'), `institutions: ${[...names.values()].sort().join(', ')}`);
const study = (await api.query.swarmLearning.studies(0)).unwrap();
const spec = (await api.query.swarmLearning.specs(0)).unwrap();
check(JSON.parse(spec.toString()).version === 1, `study 0: ${JSON.parse(spec.toString()).title}`);
const addresses = new Set(institutions.map(([key]) => key.args[0].toString()));
check(study.state.members.every((member) => addresses.has(member.id.toString())), 'its members are the institutions, by the same addresses');
const history = await api.query.swarmLearning.history.entries(0);
const rounds = history.map(([key, record]) => [key.args[1].toHuman(), record.unwrap()]);
const merges = rounds.filter(([, r]) => r.kind.isModel && !r.round.eqn(0)).sort((a, b) => a[1].round.cmp(b[1].round));
check(merges.length > 0, `${merges.length} merge rounds, the last closed in block ${merges.at(-1)?.[1].closedAt}`);
for (const [, r] of merges) {
  console.log(`    round ${r.round}: root ${r.root.toHex().slice(0, 18)}..., ${r.inputs.length} inputs, attested by ${r.attesters.map((a) => names.get(a.toHex())).join(', ')}`);
}

// What it costs, and who may not: an outsider is told that its address signs for nothing.
const fee = await api.tx.swarmLearning.withdraw(0).paymentInfo(proposer);
check(fee.partialFee.isZero() && !fee.weight.refTime.toBn().isZero(), `a call weighs ${fee.weight.refTime.toHuman()} and costs nothing`);
const outsider = await api.tx.swarmLearning.withdraw(0).signAndSend(keys.addFromUri('//Eve')).then(() => 'taken', (e) => e.message);
check(outsider.includes('Invalid signing address'), `an outsider is told: ${outsider}`);

// Signed extrinsics, their events, and an error of this chain by its name.
const send = (call, who) => new Promise((yes, no) => {
  call.signAndSend(who, ({ status, dispatchError, events }) => {
    if (dispatchError?.isModule) {
      const { section, name } = api.registry.findMetaError(dispatchError.asModule);
      no(new Error(`${section}.${name}`));
    } else if (dispatchError) no(new Error(dispatchError.toString()));
    else if (status.isInBlock) yes(events.map(({ event }) => event));
    else if (status.isDropped || status.isInvalid || status.isUsurped) no(new Error(status.type));
  }).catch(no);
});
const named = (events, method) => events.find((e) => e.section === 'swarmLearning' && e.method === method);
const rules = study.state.rules;
const registered = named(await send(api.tx.swarmLearning.register(rules, spec), proposer), 'Registered');
check(registered, `registered: ${JSON.stringify(registered?.toHuman().data)}`);
const number = (await api.query.swarmLearning.nextStudy()).toNumber() - 1;
const agreement = blake2AsU8a(u8aConcat(api.genesisHash.toU8a(), proposer.publicKey, rules.toU8a(), spec.toU8a(true)), 256);
check((await api.query.swarmLearning.studies(number)).unwrap().agreement.eq(agreement), 'the agreement hash computed here is the chain\'s');
const wrong = await send(api.tx.swarmLearning.enrol(number, new Uint8Array(32), 100), other).then(() => 'nothing', (e) => e.message);
check(wrong === 'swarmLearning.OtherAgreement', `another agreement is refused: ${wrong}`);
const enrolled = named(await send(api.tx.swarmLearning.enrol(number, agreement, 110), other), 'Enrolled');
check(enrolled, `enrolled: ${JSON.stringify(enrolled?.toHuman().data)}`);

// A block with round votes: general transactions, without a signer. Version 16.5.6 throws where `.signer` of such a one
// is asked for, and its `.hash` is not the chain's; the block as a whole, the vote as a call, and the events are read.
// toHuman() of a call that somebody has signed throws: it asks for a tip, which this chain's transactions do not have.
const closed = merges[0][1].closedAt.toNumber();
let votes = 0, thrown = 0, signed = 0;
const told = new Set();
for (let block = closed; block > closed - 12 && block > 0; block -= 1) {
  const hash = await api.rpc.chain.getBlockHash(block);
  const events = await api.query.system.events.at(hash);
  const { block: whole } = await api.rpc.chain.getBlock(hash);
  const { extrinsics } = whole;
  if (extrinsics.some((extrinsic) => extrinsic.isSigned)) {
    try { whole.toHuman(); } catch { signed += 1; }
  } else if (whole.toHuman().extrinsics.length !== extrinsics.length) fail(`block ${block} is not shown whole`);
  for (const { event } of events) if (event.section === 'swarmLearning') told.add(event.method);
  for (const [index, extrinsic] of extrinsics.entries()) {
    if (extrinsic.method.section !== 'swarmLearning' || extrinsic.method.method !== 'vote') continue;
    const vote = extrinsic.method.args[0];
    try { extrinsic.signer.toString(); } catch { thrown += 1; }
    const done = events.some(({ phase, event }) => phase.isApplyExtrinsic && phase.asApplyExtrinsic.eqn(index) && event.method === 'ExtrinsicSuccess');
    if (!done) fail(`block ${block}, extrinsic ${index}: a vote without success`);
    if (votes++ < 8) console.log(`    block ${block}: ${names.get(vote.institution.toHex())}, round ${vote.round}, ${vote.kind.type}: ${vote.body.type}`);
  }
}
check(votes > 0, `${votes} round votes decoded, in blocks that are shown whole; asking for the signer threw ${thrown} times, toHuman() of blocks with signed calls ${signed} times`);
check(['Committed', 'Frozen', 'Attested', 'RoundClosed'].every((name) => told.has(name)), `each step is an event of its own: ${[...told].sort().join(', ')}`);
await api.disconnect();
process.exit(0);
