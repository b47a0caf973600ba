"""What one site does in NVIDIA FLARE's swarm: it takes the model of each round, measures it, trains, and sends it back.

FLARE runs this as a client's script: flare_site.py TABLES NOTES, which are folders. Into NOTES go, by site, the number of each
round and the time at which its model had come.
"""

import sys
import time
from pathlib import Path

import network
import nvflare.client as flare

tables, notes = map(Path, sys.argv[1:3])
flare.init()
site = flare.get_site_name()
training, validation = network.split(*network.read(tables / f"{site}.csv"))
with open(notes / f"{site}.csv", "w", buffering=1) as file:
    while flare.is_running():
        given = flare.receive()
        if given is None:
            break
        # not by print, which FLARE turns into a log entry even where it names a file (findings/nvflare-print.sh)
        file.write(f"{given.current_round},{time.time()}\n")
        model = given.params["numpy_key"]
        measured = {"accuracy": network.accuracy(model, *validation)}
        trained = network.epoch(model, *training, seed=given.current_round)
        weight = {"NUM_STEPS_CURRENT_ROUND": len(training[1])}
        flare.send(flare.FLModel(params={"numpy_key": trained}, metrics=measured, meta=weight))
