#!/bin/bash
# @polkadot/api 16.5.6: a transaction without a signature but with extensions (a "general" one, version 5) is written back as other
# bytes than it was read from, so that its hash is not the one by which nodes know it.
#
# Expected: toHex() of what was read gives what was read, and `.hash` is BLAKE2b-256 of these bytes, as it is for signed ones.
# Seen: length and version stand twice in front, and the hash is of neither form.
# Source: GeneralExtrinsic in @polkadot/types/extrinsic/v5; its type is the newest of a chain's three kinds of transactions.
# Why it matters: votes of Consilium's rounds are general transactions. Who copies a vote's hash from the page of polkadot-js finds it
# in no node's log and by no other client; docs/clients.md says where it is read right.
#
# Exits 0 while this is so, 1 when it has changed. Needs Node.js and npm.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @polkadot/api@16.5.6 @polkadot/types-support@16.5.6
cat >look.mjs <<'JS'
import { TypeRegistry, Metadata } from '@polkadot/types';
import metadata from '@polkadot/types-support/metadata/static-substrate';
import { blake2AsHex } from '@polkadot/util-crypto';
import { compactAddLength, u8aToHex } from '@polkadot/util';

const registry = new TypeRegistry();
const extensions = ['CheckSpecVersion', 'CheckTxVersion', 'CheckGenesis', 'CheckMortality', 'CheckNonce', 'CheckWeight'];
registry.setMetadata(new Metadata(registry, metadata), extensions);
const call = registry.createType('Call', { callIndex: [0, 0], args: {} });
// as it stands in a block: its length; version 5, general; version 0 of the extensions; an immortal era; nonce 0; the call
const bytes = compactAddLength(Uint8Array.from([0x45, 0, 0, 0, ...call.toU8a()]));
const read = registry.createType('Extrinsic', bytes);
console.log(`read: ${u8aToHex(bytes)}, a call of ${read.method.section}.${read.method.method}`);
console.log(`written: ${read.toHex()}`);
const hashes = [bytes, bytes.slice(1)].map((form) => blake2AsHex(form, 256));
console.log(`its hash: ${read.hash.toHex()}\nthat of its bytes, with their length: ${hashes[0]}, and without: ${hashes[1]}`);
const right = read.toHex() === u8aToHex(bytes) || hashes.includes(read.hash.toHex());
process.exit(read.method.method === 'remark' && !right ? 0 : 1);
JS
node look.mjs
