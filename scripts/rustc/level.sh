#!/usr/bin/env bash
# Stands before rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER): compiles them for the level of processor
# that the file is named by. What lies underneath is that of the ordinary build.
set -euo pipefail
level=${0##*/}
exec "$@" -C target-cpu="${level%%.*}"
