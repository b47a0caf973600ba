#!/usr/bin/env bash
# Checks what Cargo.lock names against deny.toml: licences, sources, and what is banned. By cargo-deny, which is built first where
# it is missing (ten minutes on two cores).
#   --advisories   also looks for known vulnerabilities, in the RustSec database, which is fetched from GitHub for it
set -euo pipefail
cd "$(dirname "$0")/.."
deny=$(scripts/tool.sh cargo-deny 0.20.2)
checks=(bans licenses sources)
if [ "${1:-}" = --advisories ]; then checks+=(advisories); fi
"$deny" --locked check "${checks[@]}"
