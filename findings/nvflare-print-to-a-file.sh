#!/bin/bash
# nvflare 2.9.0 (NVIDIA FLARE, Python): what a site's training script prints into a file, print(..., file=rows), is not written
# there. It becomes an entry of the site's log, without an error; where the job streams logs, it goes on to the server.
#
# Expected: the file has the lines, as it has when the same script runs in a process of its own.
# Seen: run in the client's process, the default, the file stays empty. builtins.print is replaced there by a function that
# logs its arguments with blanks between them: `file`, `sep` and `end` are ignored.
# Public report: none found; that print becomes log entries was wanted (https://github.com/NVIDIA/NVFlare/pull/2536), of `file`
# nothing is said there.
# Why it matters: a list of patients that a script keeps on its own disk stands in the log, and a job that asks for log.json
# (recipe.enable_log_streaming()) brings it to the server; a site that is provisioned without `allow_log_streaming: false` lets
# it. The notes of `bench/rounds` came out empty so; its script calls `file.write`. The project's worker runs nobody's scripts.
#
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" -q install nvflare==2.9.0 numpy==2.4.6
cd "$dir"
cat >client.py <<'PYTHON'
import sys
import nvflare.client as flare

flare.init()
with open(sys.argv[1], "w", buffering=1) as rows:
    print("patient", "diagnosis", sep=";", file=rows)
    while flare.is_running():
        model = flare.receive()
        if model is None:
            break
        print("4711", "malignant", sep=";", file=rows)
        flare.send(flare.FLModel(params=model.params))
PYTHON
cat >job.py <<'PYTHON'
import sys
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import SimEnv

rows, workspace, own_process = sys.argv[1], sys.argv[2], sys.argv[3] == "own"
recipe = NumpyFedAvgRecipe(
    model=[1.0], min_clients=1, num_rounds=1, train_script="client.py", train_args=rows, launch_external_process=own_process
)
recipe.enable_log_streaming()
recipe.execute(SimEnv(num_clients=1, workspace_root=workspace))
PYTHON
for process in own client; do
    PATH="$dir/v/bin:$PATH" v/bin/python job.py "$dir/$process.csv" "$dir/$process" "$process" >"$process.log" 2>&1 ||
        { tail -5 "$process.log" && exit 1; }
    echo "script in the process: $process; in its file: $(tr '\n' ' ' <"$process.csv"), bytes: $(wc -c <"$process.csv")"
    for place in site-1 server; do
        echo "  logs in the folder of $place with the row: $(grep -rl --include='log*' malignant "$process/fedavg/$place" | wc -l)"
    done
done
[ "$(cat own.csv)" = $'patient;diagnosis\n4711;malignant' ] && [ ! -s client.csv ] &&
    grep -rq --include='log*' malignant client/fedavg/server && ! grep -rq --include='log*' malignant own/fedavg
