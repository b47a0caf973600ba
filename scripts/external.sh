#!/usr/bin/env bash
# The demo's study in PyTorch through a local network of four, over seeds: a model of one's own from folder to certificate, each
# study audited; and the built-in network's figures beside it. The long form of ml-worker/tests/external: minutes a seed.
#
#   PYTHON=/opt/venv/bin/python3 scripts/external.sh [SEED...]
#
# PYTHON has torch, numpy and safetensors. Programs are taken from target/release, or CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
bin=${CARGO_TARGET_DIR:-$repository/target}/release
python=${PYTHON:-python3}
"$python" -c 'import torch, numpy, safetensors' || { echo "external.sh: PYTHON names no interpreter with torch, numpy and safetensors" >&2; exit 1; }
[ $# -gt 0 ] || set -- 1 2 3 4 5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/code"
cp -r python/consilium_trainer "$work/code/"
cp python/examples/torch_demo.py "$work/code/trainer.py"
cd "$work"
"$python" -B code/trainer.py --initial initial.safetensors
rm -rf code/consilium_trainer/__pycache__
"$bin/ml-worker" trainer pack code --out trainer.tar >code.txt
"$bin/ml-worker" trainer describe initial.safetensors >described.txt
"$python" - "$repository/examples/breast-cancer/study.toml" "$python" <<'PY'
import json, pathlib, re, sys

text = pathlib.Path(sys.argv[1]).read_text()
code = pathlib.Path("code.txt").read_text()
initial, model = pathlib.Path("described.txt").read_text().split("\n\n")
begin, end = text.index("[model.dense]"), text.index("[training]")
own = f"[model.external]\n{code}{model}[model.external.settings]\nlearning_rate = 0.01\n\n"
pathlib.Path("study.toml").write_text(text[:begin].replace("seed = 1\n", f"seed = 1\n{initial}\n") + own + text[end:])
root = re.search("[0-9a-f]{64}", code)[0]
# the environment, and what it was made from
read = sorted({sys.prefix, sys.base_prefix} - {"/usr"})
pathlib.Path("trainer.toml").write_text(
    f'code = "{root}"\ncommand = {json.dumps([sys.argv[2], "code/trainer.py"])}\nuser = "nobody"\nread = {json.dumps(read)}\n'
)
PY
"$bin/ml-worker" trainer check --study study.toml --code trainer.tar --initial initial.safetensors --trainer trainer.toml --rows 20000
for seed in "$@"; do
    "$bin/consilium" localnet run --study "$repository/examples/breast-cancer/study.toml" --seed "$seed" --out "built-in-$seed" >/dev/null
    "$bin/consilium" localnet run --study study.toml --seed "$seed" --out "own-$seed" --initial initial.safetensors \
        --trainer trainer.toml --code trainer.tar >/dev/null
    "$python" - "$seed" <<'PY'
import json, pathlib, sys

def auc(arm):
    figures = json.loads(pathlib.Path(f"{arm}-{sys.argv[1]}/report.json").read_text())["swarm"]["held_out"]
    return figures["auc"]

print(f"seed {sys.argv[1]}: AUC {auc('own'):.4f} in PyTorch, {auc('built-in'):.4f} of the built-in network")
PY
done
