#!/bin/bash
# @polkadot/api 16.5.6: toHuman() of a signed transaction throws on a chain whose transactions have no tip.
#
# Expected: a chain says in its metadata which extensions its transactions have, and those that it has not are left out, as
# `assetId` and `metadataHash` are.
# Seen: "Cannot read properties of undefined (reading 'toHuman')". toHuman() of a whole block with one such transaction throws, too; a
# block without one is shown.
# Source: toHuman in @polkadot/types/extrinsic/Extrinsic.js, which asks for `tip` without looking whether there is one.
# Why it matters: nothing is paid on a chain of hospitals, so there is nothing to tip, and the SDK lets a chain leave the extension
# out. Scripts and pages that print transactions by toHuman() stop at the first signed one; `.method.toHuman()` works
# (docs/clients.md).
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

const common = ['CheckSpecVersion', 'CheckTxVersion', 'CheckGenesis', 'CheckMortality', 'CheckNonce', 'CheckWeight'];
const zero = new Uint8Array(32);
const shown = (extensions) => {
  const registry = new TypeRegistry();
  registry.setMetadata(new Metadata(registry, metadata), extensions);
  const method = registry.createType('Call', { callIndex: [0, 0], args: {} });
  const runtimeVersion = { specVersion: 1, transactionVersion: 1 };
  // well-known: Alice of every development chain
  const alice = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY';
  const signed = registry.createType('Extrinsic', { method }, { version: 4 })
    .signFake(alice, { blockHash: zero, genesisHash: zero, nonce: 0, runtimeVersion, method });
  const again = registry.createType('Extrinsic', signed.toU8a());
  if (again.signer.toString() !== alice) process.exit(1);
  try { return `shown, nonce ${again.toHuman().nonce}`; } catch (error) { return `throws: ${error.message}`; }
};
const [paid, free] = [shown([...common, 'ChargeTransactionPayment']), shown(common)];
console.log(`a signed transaction with a tip: ${paid}\nthe same without one: ${free}`);
process.exit(paid.startsWith('shown') && free.startsWith('throws') ? 0 : 1);
JS
node look.mjs
