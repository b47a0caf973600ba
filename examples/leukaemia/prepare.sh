#!/usr/bin/env bash
# Usage: examples/leukaemia/prepare.sh [--yes] [--seed N] [--out FOLDER]
# Writes the tables of examples/leukaemia/study.toml: 79 patients with acute lymphoblastic leukaemia, shared out over four
# sites, 24 of them held out (examples/leukaemia/tables.R). The data are Debian's package r-bioc-all (licence Artistic-2.0),
# the program that reads them is R: where they are missing, they are installed with apt, after a question; --yes is the answer.
# Nothing is written but to FOLDER (leukaemia-data, if it is not named), which must not be committed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seed=1 out=leukaemia-data yes=
while [ $# -gt 0 ]; do
    case $1 in
        --yes) yes=1 ;;
        --seed) seed=${2:?--seed needs a number}; shift ;;
        --out) out=${2:?--out needs a folder}; shift ;;
        *) sed -n '2,6s/^# //p' "$0" >&2; exit 2 ;;
    esac
    shift
done
case $seed in '' | *[!0-9]*) echo "--seed $seed: must be a whole number" >&2; exit 2 ;; esac

if ! command -v Rscript >/dev/null || ! Rscript -e 'quit(status = !requireNamespace("ALL", quietly = TRUE))' >/dev/null 2>&1; then
    command -v apt-get >/dev/null || { echo "R and its package ALL are missing, and this system has no apt" >&2; exit 1; }
    if [ -z "$yes" ]; then
        [ -t 0 ] || { echo "R and its package ALL are missing; --yes installs r-base-core and r-bioc-all with apt" >&2; exit 1; }
        read -r -p "Install r-base-core and r-bioc-all, with what they need, with apt? [y/N] " answer
        case $answer in y | Y | yes) ;; *) echo "nothing was installed" >&2; exit 1 ;; esac
    fi
    root=
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -q
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends r-base-core r-bioc-all
fi
mkdir -p "$out"
Rscript --vanilla "$here/tables.R" "$out" "$seed"
