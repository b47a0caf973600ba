"""Flower's side of masked_flower.py, in a process and a virtual environment of its own: one run of its simulation (Ray), with its
SecAgg+ workflow or without. Prints JSON: seconds of each round, processor time of each round, how far the model is from what it
should be, and how many processors other programs used from the second round on.

    flower_side.py plain|secagg CLIENTS NUMBERS ROUNDS PROCESSORS

Clients do not train: each gives back the model and a step that is its own, the same in every round. So a round is what Flower makes
of it: sending, masking, adding up. A round lasts from the moment at which its clients are chosen to that of the next one.
"""

import json
import os
import sys
import time
from pathlib import Path

# before Flower is imported: it sends nothing home
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import Context, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation

SECURE, CLIENTS, NUMBERS, ROUNDS = sys.argv[1] == "secagg", *map(int, sys.argv[2:5])
PROCESSORS = float(sys.argv[5])  # of a client: how many of them run at once
ROWS = [100 * (n + 1) for n in range(CLIENTS)]  # weights; SecAgg+ takes 1,000 at most
TICK = os.sysconf("SC_CLK_TCK")


def step(client):
    """What a client would have learnt."""
    return np.random.default_rng(client).uniform(-0.05, 0.05, NUMBERS).astype(np.float32)


class Client(NumPyClient):
    def __init__(self, number):
        self.number = number

    def fit(self, parameters, config):
        return [parameters[0] + STEPS.setdefault(self.number, step(self.number))], ROWS[self.number], {}


STEPS = {}  # made once in each of Ray's processes: the first round is not counted


def computed():
    """Seconds that this process and all that it has started have computed. Ray's processes live as long as the run."""
    parents, used = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(file.parent.name))
        used[int(file.parent.name)] = (int(fields[11]) + int(fields[12])) / TICK
    found = [os.getpid()]
    for each in found:
        found += parents.get(each, [])
    return sum(used[each] for each in found if each in used)


def everybody():
    """Seconds that all programs of this machine have computed."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / TICK


class Timed(FedAvg):
    """Flower's usual strategy, which notes when a round begins, and what came of each."""

    def __init__(self):
        first = ndarrays_to_parameters([np.zeros(NUMBERS, np.float32)])
        super().__init__(fraction_evaluate=0.0, min_fit_clients=CLIENTS, min_available_clients=CLIENTS, initial_parameters=first)
        self.began, self.models = [], []

    def configure_fit(self, server_round, parameters, client_manager):
        self.began.append((time.perf_counter(), computed(), everybody()))
        return super().configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(self, server_round, results, failures):
        if failures or len(results) != CLIENTS:
            raise SystemExit(f"round {server_round}: {len(results)} of {CLIENTS} clients, {failures}")
        merged, figures = super().aggregate_fit(server_round, results, failures)
        self.models.append(parameters_to_ndarrays(merged)[0])
        return merged, figures


strategy = Timed()
app = ServerApp()


@app.main()
def serve(grid, context: Context) -> None:
    # one round more than is wanted: the last one ends with the opening of none
    legacy = LegacyContext(context, ServerConfig(num_rounds=ROUNDS + 1), strategy)
    # each client's secrets are shared with all of them, and three of four open them, as ours
    secure = SecAggPlusWorkflow(num_shares=CLIENTS, reconstruction_threshold=2 * CLIENTS // 3 + 1)
    DefaultWorkflow(fit_workflow=secure if SECURE else None)(grid, legacy)


def client(context: Context):
    return Client(int(context.node_config["partition-id"])).to_client()


if __name__ == "__main__":
    if ROUNDS < 2 or CLIENTS > 10:
        sys.exit("flower_side.py: two rounds at least, and ten clients at most")
    clients = ClientApp(client_fn=client, mods=[secaggplus_mod] if SECURE else [])
    run_simulation(app, clients, CLIENTS, backend_config={"client_resources": {"num_cpus": PROCESSORS, "num_gpus": 0.0}})
    if len(strategy.began) != ROUNDS + 1:
        sys.exit(f"of {ROUNDS + 1} rounds it made {len(strategy.began)}")
    merged = sum(rows * step(n).astype(np.float64) for n, rows in enumerate(ROWS)) / sum(ROWS)
    off = max(float(np.abs(model - merged * (n + 1)).max()) for n, model in enumerate(strategy.models))
    rounds = list(zip(strategy.began, strategy.began[1:]))
    seconds, own, all_of_them = (last - first for first, last in zip(strategy.began[1], strategy.began[-1]))
    print(json.dumps({
        "seconds": [after[0] - before[0] for before, after in rounds],
        "processor": [after[1] - before[1] for before, after in rounds],
        "off": off,
        "others": max(0.0, all_of_them - own) / seconds,
    }))
