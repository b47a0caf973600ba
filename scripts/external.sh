#!/usr/bin/env bash
# Models of one's own, each from folder to certificate: the demo's study through local networks of four, over seeds, with Keras and, where
# there is one, PyTorch, and the built-in network's figures beside them; with a Flower NumPyClient and scikit-learn on the first seed alone.
# Those of the first seed are audited. The long form of ml-worker/tests/external: minutes a seed and example.
#
#   scripts/external.sh [SEED...]
#
# Keras, flwr and scikit-learn come in the versions of python/examples/requirements.txt into ENVIRONMENT, which is kept, or a temporary
# folder (2 GB, minutes), by PYTHON (/usr/bin/python3). TORCH names an interpreter with torch, numpy and safetensors; with it the
# lines of docs/own-model.md are run with PyTorch, too. Trainers run as the user nobody, who must be able to read these environments.
# EXAMPLES names others than all: "keras_demo torch_demo flower_client sklearn_logistic". Programs are taken from target/release,
# or CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
bin=${CARGO_TARGET_DIR:-$repository/target}/release
torch=${TORCH:-}
examples=${EXAMPLES:-keras_demo ${torch:+torch_demo} flower_client sklearn_logistic}
demo=$repository/examples/breast-cancer/study.toml
[ $# -gt 0 ] || set -- 1 2 3 4 5
work=$(mktemp -d)
network=
trap '[ -z "$network" ] || kill -INT "$network" 2>/dev/null || true; rm -rf "$work"' EXIT
chmod 755 "$work"
[ -z "$torch" ] || "$torch" -c 'import torch, numpy, safetensors' \
    || { echo "external.sh: TORCH names no interpreter with torch, numpy and safetensors" >&2; exit 1; }
case " $examples " in *" torch_demo "*)
    [ -n "$torch" ] || { echo "external.sh: torch_demo needs TORCH=INTERPRETER" >&2; exit 1; } ;;
esac
environment=${ENVIRONMENT:-$work/environment}
if ! cmp -s python/examples/requirements.txt "$environment/installed"; then
    echo "external.sh: TensorFlow, Keras, flwr and scikit-learn go into $environment (minutes)" >&2
    "${PYTHON:-/usr/bin/python3}" -m venv "$environment" || { echo "external.sh: no venv by ${PYTHON:-/usr/bin/python3} (package python3-venv)" >&2; exit 1; }
    "$environment/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r python/examples/requirements.txt
    cp python/examples/requirements.txt "$environment/installed"
fi
environment=$(realpath "$environment")
python=$environment/bin/python3

# An example's study in a folder of its own, checked.
prepare() {
    local interpreter=$python
    [ "$1" != torch_demo ] || interpreter=$torch
    mkdir "$work/$1"
    cd "$work/$1"
    "$bin/ml-worker" trainer new code >/dev/null
    cp "$repository/python/examples/$1.py" code/trainer.py
    "$interpreter" -B code/trainer.py --initial initial.safetensors
    "$bin/ml-worker" trainer pack code --out trainer.tar >code.txt
    "$bin/ml-worker" trainer describe initial.safetensors >described.txt
    "$python" - "$demo" "$interpreter" "$1" <<'PY'
import json, pathlib, re, subprocess, sys

study, interpreter, example = sys.argv[1:]
text = pathlib.Path(study).read_text()
code = pathlib.Path("code.txt").read_text()
initial, model = pathlib.Path("described.txt").read_text().split("\n\n")
begin, end = text.index("[model.dense]"), text.index("[training]")
# plain descent takes larger steps than Adam
rate = 0.01 if example.endswith("_demo") else 0.1
own = f"[model.external]\n{code}{model}[model.external.settings]\nlearning_rate = {rate}\n\n"
pathlib.Path("study.toml").write_text(text[:begin].replace("seed = 1\n", f"seed = 1\n{initial}\n") + own + text[end:])
root = re.search("[0-9a-f]{64}", code)[0]
# the environment, and what it was made from
said = subprocess.run([interpreter, "-c", "import sys; print(sys.prefix); print(sys.base_prefix)"], stdout=subprocess.PIPE, check=True, text=True)
read = sorted({*said.stdout.split(), str(pathlib.Path(interpreter).parent)} - {"/usr", "/usr/bin"})
pathlib.Path("trainer.toml").write_text(
    f'code = "{root}"\ncommand = {json.dumps([interpreter, "code/trainer.py"])}\nuser = "nobody"\nread = {json.dumps(read)}\n'
)
PY
    "$bin/ml-worker" trainer check --study study.toml --code trainer.tar --initial initial.safetensors --trainer trainer.toml --rows 20000
}

# The AUC of a run's swarm on the held-out patients.
auc() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1] + "/report.json"))["swarm"]["held_out"]["auc"])' "$1"; }

# Computes each merge of a finished run again.
audit() {
    "$bin/consilium" localnet resume "$1" --keep >"$1.kept" 2>&1 &
    network=$!
    local seconds=0 url= folders=() folder
    until grep -q 'the network keeps running' "$1.kept"; do
        sleep 1
        seconds=$((seconds + 1))
        kill -0 "$network" 2>/dev/null && [ "$seconds" -lt 600 ] || { cat "$1.kept" >&2; exit 1; }
    done
    url=$(grep -om1 'ws://127.0.0.1:[0-9]*' "$1.kept")
    for folder in "$1"/hospital-*/blobs; do folders+=(--blobs "$folder"); done
    "$bin/consilium" audit 0 --url "$url" "${folders[@]}" | tail -n 1
    kill -INT "$network"
    wait "$network" || true
    network=
}

for example in $examples; do
    echo "== $example"
    prepare "$example"
    first=$1
    for seed in "$@"; do
        case $example in *_demo) ;; *) [ "$seed" = "$first" ] || continue ;; esac
        began=$SECONDS
        "$bin/consilium" localnet run --study study.toml --seed "$seed" --out "$work/$example/run-$seed" --initial initial.safetensors \
            --trainer trainer.toml --code trainer.tar >/dev/null
        own=$(auc "run-$seed")
        took=$((SECONDS - began))
        built_in=$work/built-in-$seed
        [ -e "$built_in" ] || "$bin/consilium" localnet run --study "$demo" --seed "$seed" --out "$built_in" >/dev/null
        echo "$own $(auc "$built_in")" >>auc.txt
        printf '%s, seed %s: AUC %.4f, %.4f of the built-in network; %s s\n' "$example" "$seed" "$own" "$(auc "$built_in")" "$took"
        [ "$seed" != "$first" ] || audit "$work/$example/run-$seed"
    done
    "$python" - "$example" <<'PY'
import statistics, sys

pairs = [tuple(map(float, line.split())) for line in open("auc.txt")]
own, built_in = (statistics.mean(column) for column in zip(*pairs))
print(f"{sys.argv[1]}: mean AUC {own:.4f} over {len(pairs)} seeds, {built_in:.4f} of the built-in network")
# the demo's network is the built-in one in other words; a logistic model is another
if sys.argv[1].endswith("_demo") and abs(own - built_in) >= 0.005:
    sys.exit(f"{sys.argv[1]}: the means are .005 apart or more")
PY
done

if [ -n "$torch" ]; then
    echo "== docs/own-model.md, with PyTorch"
    mkdir -p "$work/page/venv/bin"
    ln -s "$repository/examples" "$work/page/examples"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$torch" >"$work/page/venv/bin/python3"
    chmod +x "$work/page/venv/bin/python3"
    PATH=$bin:$PATH "$python" - "$repository/docs/own-model.md" "$work/page" <<'PY'
import pathlib, re, subprocess, sys, time

page, folder = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
trainer = next(block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "import torch" in block)
began = time.monotonic()
for block in re.findall(r"```sh\n(.*?)```", page, re.S):
    subprocess.run(["sh", "-ec", block], cwd=folder, check=True)
    if "trainer new" in block:
        (folder / "code/trainer.py").write_text(trainer)
print(f"the page's lines took {time.monotonic() - began:.0f} s")
PY
fi
