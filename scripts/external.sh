#!/usr/bin/env bash
# Models of one's own, each from folder to certificate: the demo's study through local networks of four, over seeds, in Keras and, where
# there is one, PyTorch, and the built-in network's figures beside them; with a Flower NumPyClient and scikit-learn on the first seed alone.
# Those of the first seed are audited. The long form of ml-worker/tests/external. Ends with a table, and with 1 where a mean AUC in Keras or
# PyTorch is .005 or more from the built-in network's on the same seeds, where a run failed, or where a merge is not what an audit computes.
#
#   scripts/external.sh [--seeds 1,2,3,4,5] [--examples NAME,NAME] [--out FOLDER]
#
# On two cores that did other work a seed took 41 to 107 s in Keras and PyTorch, and 15 built in; installing not counted.
# What has come to an end is kept in FOLDER (by default a temporary one,
# which goes), and not done again; FOLDER must be one that the user nobody can reach, so none below /root.
#
# Keras, flwr and scikit-learn come in the versions of python/examples/requirements.txt into ENVIRONMENT, which is kept, or into
# FOLDER/environment (2 GB, minutes), by PYTHON (/usr/bin/python3). TORCH names an interpreter with torch, numpy and safetensors; with it the
# lines of docs/own-model.md are run with PyTorch, too. Trainers run as the user nobody, who must be able to read these environments.
# Examples are keras_demo, torch_demo (with TORCH), flower_client, sklearn_logistic. Programs are taken from target/release, or
# CARGO_TARGET_DIR.
set -euo pipefail
die() { echo "external.sh: $*" >&2; exit 1; }
# paths are the caller's
torch=${TORCH:-}
[ -z "$torch" ] || torch=$(realpath -s "$(command -v "$torch" || die "TORCH=$torch: no such interpreter")")
caller=$PWD
cd "$(dirname "$0")/.."
repository=$PWD
bin=${CARGO_TARGET_DIR:-$repository/target}/release
demo=$repository/examples/breast-cancer/study.toml
seeds=1,2,3,4,5
examples=keras_demo,${torch:+torch_demo,}flower_client,sklearn_logistic
out=
while [ $# -gt 0 ]; do
    case $1 in
    --seeds | --examples | --out)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in --seeds) seeds=$2 ;; --examples) examples=$2 ;; --out) out=$2 ;; esac
        shift 2
        ;;
    *) die "$1 is not known; see the head of this script" ;;
    esac
done
[[ $seeds =~ ^[0-9]+(,[0-9]+)*$ ]] || die "--seeds $seeds: whole numbers with commas between them, as 1,2,3"
for example in ${examples//,/ }; do
    [ -f "python/examples/$example.py" ] || die "--examples $example: there is no python/examples/$example.py"
done
for program in consilium consilium-node ml-worker; do
    [ -x "$bin/$program" ] || die "$bin/$program is missing: cargo build --release --locked --workspace"
done
if [ -n "$out" ]; then
    case $out in /*) ;; *) out=$caller/$out ;; esac
    mkdir -p "$out"
    work=$(realpath "$out")
else
    work=$(mktemp -d)
fi
network=
trap '[ -z "$network" ] || kill -INT "$network" 2>/dev/null || true; [ -n "$out" ] || rm -rf "$work"' EXIT
chmod 755 "$work"
[ -z "$torch" ] || "$torch" -c 'import torch, numpy, safetensors' || die "TORCH names no interpreter with torch, numpy and safetensors"
case ",$examples," in *,torch_demo,*) [ -n "$torch" ] || die "torch_demo needs TORCH=INTERPRETER" ;; esac
environment=${ENVIRONMENT:-$work/environment}
if ! cmp -s python/examples/requirements.txt "$environment/installed"; then
    echo "external.sh: TensorFlow, Keras, flwr and scikit-learn go into $environment (minutes)" >&2
    "${PYTHON:-/usr/bin/python3}" -m venv "$environment" || die "no venv by ${PYTHON:-/usr/bin/python3} (package python3-venv)"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r python/examples/requirements.txt
    cp python/examples/requirements.txt "$environment/installed"
fi
environment=$(realpath "$environment")
python=$environment/bin/python3
# what trainers run by, they must be able to run
if [ "$(id -u)" = 0 ]; then
    for interpreter in "$python" ${torch:+"$torch"}; do
        setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$interpreter" -c 'import numpy, safetensors' \
            || die "the user nobody cannot run $interpreter: make the environment elsewhere, by an interpreter outside of /root (PYTHON, TORCH)"
    done
fi
# results of other sources are none of these
made_from=$(cat "$demo" python/examples/*.py python/consilium_trainer/*.py python/examples/requirements.txt "$bin/ml-worker" "$bin/consilium-node" | sha256sum)
if [ -e "$work/made-from" ] && [ "$(cat "$work/made-from")" != "$made_from" ]; then
    die "$work is of other programs or examples than these: name another folder with --out"
fi
printf '%s\n' "$made_from" >"$work/made-from"

# An example's study in a folder of its own, checked.
prepare() {
    local interpreter=$python
    [ "$1" != torch_demo ] || interpreter=$torch
    if [ -e "$work/$1/checked" ] && [ "$(cat "$work/$1/checked")" = "$interpreter" ]; then
        cd "$work/$1"
        return
    fi
    rm -rf "${work:?}/$1"
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
# plain descent takes larger steps than Adam
rate = 0.01 if example.endswith("_demo") else 0.1
# nobody waits for this time where all are there; importing TensorFlow on a busy machine takes long
assert "training_seconds = 10 " in text
text = text.replace("training_seconds = 10 ", "training_seconds = 120 ")
begin, end = text.index("[model.dense]"), text.index("[training]")
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
    echo "$interpreter" >checked
}

# The AUC of a run's swarm on the held-out patients.
auc() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1] + "/report.json"))["swarm"]["held_out"]["auc"])' "$1"; }

# One run, unless it has come to an end before; its AUC and seconds go into a file of that name with .auc. With `audited` its merges are computed
# again while its network still runs: some minutes later the updates of earlier rounds are gone, as agreed, and sooner where it is started anew.
run_once() {
    local folder=$1 audited=$2 began=$SECONDS
    shift 2
    [ ! -s "$folder.auc" ] || return 0
    rm -rf "$folder"
    "$bin/consilium" localnet run ${audited:+--keep} --out "$folder" "$@" >"$folder.log" 2>&1 &
    network=$!
    if [ -n "$audited" ]; then
        until grep -q 'the network keeps running' "$folder.log"; do
            sleep 1
            kill -0 "$network" 2>/dev/null || { wait "$network"; return 1; }
        done
        local verdict=0
        audit "$folder" || verdict=1
        kill -INT "$network"
        wait "$network" || true
        [ "$verdict" = 0 ] || return 1
    else
        wait "$network" || return 1
    fi
    network=
    local own
    own=$(auc "$folder") || return 1
    echo "$own $((SECONDS - began))" >"$folder.auc"
}

# Computes each merge of a finished run again, all of them.
audit() {
    local url folders=() folder
    url=$(grep -om1 'ws://127.0.0.1:[0-9]*' "$1.log") || return 1
    for folder in "$1"/hospital-*/blobs; do folders+=(--blobs "$folder"); done
    "$bin/consilium" audit 0 --url "$url" "${folders[@]}" >"$1.audit" || { cat "$1.audit" >&2; return 1; }
    tail -n 1 "$1.audit"
    tail -n 1 "$1.audit" | grep -q '; \([0-9]*\) of \1 merges were computed again$'
}

bad=
for example in ${examples//,/ }; do
    echo "== $example"
    prepare "$example"
    first=${seeds%%,*}
    for seed in ${seeds//,/ }; do
        # of these the first seed alone
        case $example in *_demo) ;; *) [ "$seed" = "$first" ] || continue ;; esac
        run=$work/$example/run-$seed
        for folder in "$run" "$work/built-in-$seed"; do
            if [ "$folder" = "$run" ]; then
                how=(--study study.toml --initial initial.safetensors --trainer trainer.toml --code trainer.tar)
            else
                how=(--study "$demo")
            fi
            audited=
            [ "$folder" != "$run" ] || [ "$seed" != "$first" ] || audited=yes
            run_once "$folder" "$audited" "${how[@]}" --seed "$seed" ||
                { bad=1; echo "$folder: no certificate, or not every merge computed again; its last words:" >&2; tail -n 20 "$folder.log" >&2; }
        done
    done
done

echo
"$python" - "$work" "$seeds" "$examples" <<'PY' || bad=1
import pathlib, statistics, sys

work, seeds, examples = pathlib.Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")


def found(path):
    return tuple(map(float, path.read_text().split())) if path.exists() else None


missed = False
print(f"{'example':<18}{'seed':>5}{'AUC':>9}{'built-in':>10}{'seconds':>9}")
for example in examples:
    rows = []
    # a logistic model is another than the demo's network, and has no bar
    same = example.endswith("_demo")
    for seed in seeds if same else seeds[:1]:
        own, built_in = found(work / example / f"run-{seed}.auc"), found(work / f"built-in-{seed}.auc")
        if own and built_in:
            rows.append((own[0], built_in[0]))
            print(f"{example:<18}{seed:>5}{own[0]:>9.4f}{built_in[0]:>10.4f}{own[1]:>9.0f}")
        else:
            missed = True
            print(f"{example:<18}{seed:>5}  not done")
    if same and rows:
        own, built_in = (statistics.mean(column) for column in zip(*rows))
        good = abs(own - built_in) < 0.005 and len(rows) == len(seeds)
        missed |= not good
        bar = f"{abs(own - built_in):.4f} apart, bar .005, of {len(rows)} of {len(seeds)} seeds: {'good' if good else 'MISSED'}"
        print(f"{example:<18} mean{own:>9.4f}{built_in:>10.4f}  {bar}")
sys.exit(missed)
PY
echo

if [ -n "$torch" ]; then
    echo "== docs/own-model.md, with PyTorch"
    rm -rf "${work:?}/page"
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
[ -z "$bad" ] || die "a run or a bar failed: see above; with --out the same command goes on where this ended"
