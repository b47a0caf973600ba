#!/bin/bash
# nvflare 2.9.0 (NVIDIA FLARE, Python): a training script that runs in a process of its own is ended with the job. What it wrote
# into a file that is still open is lost, what stands behind its loop is not done, and the job ends well.
#
# Expected: as in the client's process, where the same script writes its rows and its last file.
# Seen: with launch_external_process=True both are missing. `shutdown_timeout` is 0 by default in recipes and ScriptRunner: at
# the job's end the script gets SIGTERM, which Python does not survive to flush a file. With shutdown_timeout=10 all is there.
# Public report: none found. The option is documented ("seconds to wait before shutdown"), what 0 does to files is not.
# Why it matters: a site's own figures, or its copy of the model, written by usual Python (`with open(...)`, csv.writer), are
# silently not there, and only in this mode. `bench/rounds` runs its script in the client's process.
#
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" -q install nvflare==2.9.0 numpy==2.4.6
cd "$dir"
cat >client.py <<'PYTHON'
import csv, sys
import nvflare.client as flare

flare.init()
with open(sys.argv[1], "w", newline="") as file:
    rows = csv.writer(file)
    while flare.is_running():
        model = flare.receive()
        if model is None:
            break
        rows.writerow([model.current_round, "trained"])
        flare.send(flare.FLModel(params=model.params))
with open(sys.argv[1] + ".last", "w") as file:
    file.write("done")
PYTHON
cat >job.py <<'PYTHON'
import sys
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import SimEnv

rows, workspace, own_process, more = sys.argv[1], sys.argv[2], sys.argv[3] == "own", sys.argv[4:]
recipe = NumpyFedAvgRecipe(
    model=[1.0], min_clients=1, num_rounds=2, train_script="client.py", train_args=rows,
    launch_external_process=own_process, **{"shutdown_timeout": float(seconds) for seconds in more},
)
recipe.execute(SimEnv(num_clients=1, workspace_root=workspace))
PYTHON
seen=
for form in "client" "own" "own 10"; do
    rows=$dir/rows-${form// /-}
    # shellcheck disable=SC2086
    PATH="$dir/v/bin:$PATH" v/bin/python job.py "$rows" "$rows.w" $form >log 2>&1 || { tail -5 log && exit 1; }
    behind=$([ -e "$rows.last" ] && echo done || echo "not done")
    echo "process and shutdown_timeout: $form; rows in the file: $(wc -l <"$rows") of 2; what is behind the loop: $behind"
    seen+="$(wc -l <"$rows") $behind, "
done
[ "$seen" = "2 done, 0 not done, 2 done, " ]
