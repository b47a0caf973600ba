"""Speed and memory of training steps, the engine beside Keras, on this machine, one computing at a time.

A step is a whole one: forward, loss with penalty, backward, Adam, dropout on. Keras runs it as one tf.function over tensors
made beforehand, in whichever of four settings is fastest for the case: XLA on or off, oneDNN on or off. Which vector
instructions each side uses is printed last; with --avx2 both are held to AVX2.

Exits with 1 if a value misses its bar.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

import common
from common import engine, keras, note, relative

# Case: the network, how to name it to the engine, batch, rows of data, and the bars of the ratio engine / Keras, with vectors
# of 512 bits (AVX-512) and with shorter ones.
CASES = {
    "nature2021-128": ("nature2021", {"preset": "nature2021"}, 128, 1024, (0.55, 0.63)),
    "nature2021-32": ("nature2021", {"preset": "nature2021"}, 32, 1024, (0.45, 0.50)),
    "xray128-16": ("xray128", {"layers": common.xray128()}, 16, 128, (0.70, 0.77)),
}
# What holds the engine, oneDNN, and what XLA compiles, to AVX2.
AVX2 = {"CONSILIUM_VECTOR_BITS": "256", "ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
SETTINGS = [(onednn, xla) for onednn in (False, True) for xla in (False, True)]
MEMORY_BAR, AGREE = 1.2, 1e-4
SEED = 1
NAMES = {"engine": "engine", "keras": "Keras"}


def named(setting):
    onednn, xla = setting
    return ("oneDNN" if onednn else "no oneDNN") + (" + XLA" if xla else "")


def start(side, case, layout=None, **more):
    network, model, batch, rows, _ = CASES[case]
    shape = common.INPUTS[network]
    if side.name == "Keras":
        model = {"preset": network}
    made = side.new(model, shape, common.adam(), "f32", batch=batch, **more)
    layout = layout or made
    side.set("parameters", common.first_parameters(layout, SEED), layout)
    for what in ("first", "second"):
        # Written, not left to the system's zeros: they count as memory on both sides alike.
        side.set(what, np.zeros(layout.size, np.float32), layout)
    side.data(*common.rows_of(shape, rows, SEED))
    return layout


def rest():
    """Threads that still spin for work, of whichever side computed last, come to rest."""
    time.sleep(0.1)


class Others:
    """How much of the machine's processors other programs than ours used, in whole processors."""

    def __init__(self, sides):
        self.pids = ["self", *(side.process.pid for side in sides)]
        self.start = self.now()

    def now(self):
        tick = os.sysconf("SC_CLK_TCK")
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
        own = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat") as file:
                own += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        return time.monotonic(), (user + nice + system + irq + softirq - own) / tick

    def used(self):
        clock, others = self.now()
        return max(0.0, (others - self.start[1]) / (clock - self.start[0]))


def in_turn(sides, batch, blocks, steps):
    """Milliseconds of every step, block by block, the sides in turn."""
    made = {name: [] for name in sides}
    for side in sides.values():
        side.time(batch, 5)
    for _ in range(blocks):
        for name, side in sides.items():
            rest()
            made[name].append([1e3 * s for s in side.time(batch, steps)])
    return made


def middle(blocks):
    return statistics.median(ms for block in blocks for ms in block)


def fastest_setting(case, a):
    with contextlib.ExitStack() as stack:
        sides = {}
        for onednn, xla in SETTINGS:
            sides[onednn, xla] = side = stack.enter_context(keras(a.threads, onednn))
            start(side, case, threads=a.threads, xla=xla)
        found = {s: middle(blocks) for s, blocks in in_turn(sides, CASES[case][2], 4, a.probe).items()}
    return min(found, key=found.get), found


def agreement(ours, theirs, layout, case):
    """The worst tensor of one batch's gradient without dropout: that both do the same work."""
    rows = range(CASES[case][2])
    _, _, gradient = ours.gradient(rows, layout=layout)
    _, _, their_gradient = theirs.gradient(rows)
    their_tensors = layout.tensors(their_gradient)
    return max(relative(t, their_tensors[k]) for k, t in layout.tensors(gradient).items())


def speed(case, a):
    batch, (wide, narrow) = CASES[case][2], CASES[case][4]
    setting, probes = fastest_setting(case, a)
    result = {"case": case, "keras_setting": named(setting), "keras_probes_ms": {named(s): m for s, m in probes.items()}}
    with keras(a.threads, setting[0]) as theirs:
        layout = start(theirs, case, threads=a.threads, xla=setting[1])
        sides = {"keras": theirs}
        if not a.keras_only:
            sides["engine"] = ours = engine(a.engine, a.threads)
            start(ours, case, layout, threads=a.threads)
            result["gradients_differ"] = agreement(ours, theirs, layout, case)
            bar = wide if ours.described["vector_bits"] == 512 else narrow
        others = Others(sides.values())
        blocks = in_turn(sides, batch, a.blocks, a.steps)
        result["others_processors"] = others.used()
        if not a.keras_only:
            ours.__exit__()
    for name, of in blocks.items():
        result[f"{name}_ms"] = middle(of)
        result[f"{name}_block_medians_ms"] = [statistics.median(block) for block in of]
    if not a.keras_only:
        result |= {"ratio": result["engine_ms"] / result["keras_ms"], "bar": bar}
        result["pass"] = result["ratio"] <= bar and result["gradients_differ"] <= AGREE
    return result


def memory_of(side, a, layout=None, **more):
    case, batch = "nature2021-128", 128
    layout = start(side, case, layout, threads=a.threads, **more)
    if side.name == "Keras":
        side.ask({"op": "prepare", "batch": batch})
    side.ask({"op": "reset_peak"})
    before = side.ask({"op": "memory"})["rss"]
    side.time(batch, 20)
    peak = side.ask({"op": "memory"})["peak"]
    return layout, {"before": before, "peak": peak, "training": peak - before}


def middle_memory(runs):
    return {what: statistics.median(run[what] for run in runs) for what in runs[0]}


def memory(a, setting):
    runs = {"keras": [], "engine": []}
    for _ in range(3):
        with keras(a.threads, setting[0]) as theirs:
            layout, used = memory_of(theirs, a, xla=setting[1])
            runs["keras"].append(used)
        if not a.keras_only:
            with engine(a.engine, a.threads) as ours:
                runs["engine"].append(memory_of(ours, a, layout)[1])
    result = {"keras_setting": named(setting), "keras": middle_memory(runs["keras"])}
    if not a.keras_only:
        result["engine"] = middle_memory(runs["engine"])
        result |= {"ratio": result["engine"]["training"] / result["keras"]["training"], "bar": MEMORY_BAR}
        result["pass"] = result["ratio"] <= MEMORY_BAR
    return result


# With XLA, TensorFlow compiles for the processor it finds; without, and without oneDNN, as its wheel was built.
PRODUCT = "import tensorflow as tf; a = tf.ones((64, 64)); tf.linalg.matmul(a, a).numpy()"


def instructions(a):
    """What each side says of itself: the engine how long its vectors are, oneDNN for which instructions it makes its code."""
    environment = {**os.environ, "ONEDNN_VERBOSE": "1", "TF_ENABLE_ONEDNN_OPTS": "1"}
    said = subprocess.run([sys.executable, "-c", PRODUCT], env=environment, capture_output=True, text=True)
    isa = [line.split("isa:", 1)[1] for line in said.stdout.splitlines() if "info,cpu,isa:" in line]
    found = {"keras": "oneDNN: " + (isa[0] if isa else "does not say")}
    if not a.keras_only:
        with engine(a.engine, a.threads) as ours:
            ours.new({"layers": [common.dense(1)]}, [1], common.adam())
            found["engine"] = f"vectors of {ours.described['vector_bits']} bits"
    return found


def tables(cases, memories, used):
    word = {True: "pass", False: "MISSED", None: ""}

    def spread(r, name):
        if f"{name}_ms" not in r:
            return ["-", "-"]
        blocks = r[f"{name}_block_medians_ms"]
        return [f"{r[f'{name}_ms']:.1f}", f"{min(blocks):.1f}-{max(blocks):.1f}"]

    def of(r, key, form):
        return format(r[key], form) if key in r else "-"

    common.table(
        ["case", "engine ms", "blocks", "Keras ms", "blocks", "ratio", "bar", "", "gradients differ", "others", "Keras' setting"],
        [
            [r["case"], *spread(r, "engine"), *spread(r, "keras"), of(r, "ratio", ".3f"), of(r, "bar", ".2f")]
            + [word[r.get("pass")], of(r, "gradients_differ", ".1e"), of(r, "others_processors", ".2f"), r["keras_setting"]]
            for r in cases
        ],
    )
    print()
    names = [named(s) for s in SETTINGS]
    common.table(
        ["Keras, ms of a step", *names], [[r["case"], *(f"{r['keras_probes_ms'][n]:.1f}" for n in names)] for r in cases]
    )
    if memories:
        print()
        sides = [s for s in ("engine", "keras") if s in memories]
        mb = lambda s, what: f"{memories[s][what] / 1e6:.0f}"
        rows = [[NAMES[s], mb(s, "before"), mb(s, "peak"), mb(s, "training"), "", "", ""] for s in sides]
        rows[0][4:] = [of(memories, "ratio", ".3f"), of(memories, "bar", ".2f"), word[memories.get("pass")]]
        common.table(["memory, MB", "before", "peak", "training", "ratio", "bar", ""], rows)
    print("\ninstructions: " + "; ".join(f"{NAMES[side]}: {what}" for side, what in sorted(used.items())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.engine_argument(parser)
    parser.add_argument("--cases", default=",".join(CASES), help="which cases, with commas between")
    parser.add_argument("--blocks", type=int, default=8, help="blocks of each side, taken in turn")
    parser.add_argument("--steps", type=int, default=15, help="steps in a block")
    parser.add_argument("--probe", type=int, default=6, help="steps in each of four blocks to choose Keras' setting by")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--avx2", action="store_true", help="hold both sides to AVX2, and measure by its bars")
    parser.add_argument("--keras-only", action="store_true", help="measure Keras alone")
    a = parser.parse_args()
    if not a.keras_only:
        common.need(a.engine)
    if a.avx2:
        # before anything is started
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ.update(AVX2 | {"XLA_FLAGS": f"{flags} {AVX2['XLA_FLAGS']}".strip()})
    cases = []
    for case in a.cases.split(","):
        if case not in CASES:
            parser.error(f"no case {case}; there are {', '.join(CASES)}")
        note(f"speed.py: {case}")
        cases.append(speed(case, a))
    memories = None
    if not a.no_memory:
        note("speed.py: memory")
        chosen = next((r["keras_setting"] for r in cases if r["case"] == "nature2021-128"), named(SETTINGS[0]))
        memories = memory(a, next(s for s in SETTINGS if named(s) == chosen))
    used = instructions(a)
    busy = max(r["others_processors"] for r in cases)
    if busy > 0.1:
        note(f"speed.py: other programs used {busy:.2f} processors meanwhile: these times are not to be trusted")
    if a.json:
        print(json.dumps({"cases": cases, "memory": memories, "instructions": used}))
    else:
        tables(cases, memories, used)
    failed = [r for r in [*cases, memories or {}] if r.get("pass") is False]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
