"""One job of NVIDIA FLARE's swarm in its simulator, with four sites: flare_job.py FOLDER TABLES ROUNDS SEED default|tuned.

FOLDER, which must be there, gets the sites' notes and FLARE's own workspace. "tuned" asks 20 times a second where FLARE by
itself asks once, and lets all sites send their results at a time. Ends with the simulator's code.
"""

import sys
from pathlib import Path

import network
import numpy
from nvflare.apis.dxo import DataKind
from nvflare.app_common.aggregators import InTimeAccumulateWeightedAggregator
from nvflare.app_common.ccwf.ccwf_job import CCWFJob, SwarmClientConfig, SwarmServerConfig
from nvflare.app_common.ccwf.comps.np_file_model_persistor import NPFileModelPersistor
from nvflare.app_common.ccwf.comps.simple_model_shareable_generator import SimpleModelShareableGenerator
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.job_config.script_runner import FrameworkType, ScriptRunner

SITES = 4
TUNED = {
    "learn_task_check_interval": 0.05,
    "request_to_submit_result_interval": 0.05,
    "max_concurrent_submissions": SITES,
}


def main(folder, tables, rounds, seed, form):
    folder, tables = Path(folder).resolve(), Path(tables).resolve()
    notes, first = folder / "notes", folder / "first.npy"
    notes.mkdir()
    numpy.save(first, network.initial(int(seed)))
    job = CCWFJob(name="rounds", min_clients=SITES)
    job.add_swarm(
        server_config=SwarmServerConfig(num_rounds=int(rounds), configure_task_timeout=60, start_task_timeout=60),
        client_config=SwarmClientConfig(
            executor=ScriptRunner(
                script=str(Path(__file__).with_name("flare_site.py")),
                script_args=f"{tables} {notes}",
                framework=FrameworkType.NUMPY,
            ),
            persistor=NPFileModelPersistor(source_ckpt_file_full_name=str(first)),
            shareable_generator=SimpleModelShareableGenerator(),
            aggregator=InTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHTS),
            model_selector=IntimeModelSelector(key_metric="accuracy"),
            min_responses_required=SITES,
            **{"default": {}, "tuned": TUNED}[form],
        ),
    )
    return job.simulator_run(str(folder / "workspace"), n_clients=SITES, threads=SITES)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
