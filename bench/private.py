"""Speed of private training steps: the engine beside its own plain step, and beside Opacus on PyTorch, on this machine, one
computing at a time.

A step is a whole one: forward, backward, each row's gradient clipped, noise, penalty, Adam, dropout on. Opacus runs in both of its
ways: "sample" writes each row's gradient out, "ghost" finds its norm without. That all three clip alike is tried first.

Exits with 1 if a value misses its bar.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys

import numpy as np

import common
from common import HERE, Side, engine, note, relative
from speed import Others, rest

# Case: the network, how to name it to the engine, batch, rows of data, and the bar of the ratio private / plain step.
CASES = {
    "nature2021-128": ("nature2021", {"preset": "nature2021"}, 128, 1024, 1.6),
    "nature2021-32": ("nature2021", {"preset": "nature2021"}, 32, 1024, 2.0),
    "xray128-16": ("xray128", {"layers": common.xray128()}, 16, 128, 1.6),
}
# Of the engine's private step over Opacus' in each mode.
BARS = {"sample": 0.5, "ghost": 1.0}
CLIP, SIGMA = 1.0, 1.0
PRIVATE = {"private": {"clip": CLIP, "sigma": SIGMA}}
AVX2 = {"CONSILIUM_VECTOR_BITS": "256", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
AGREE = 1e-4
SEED = 1


def opacus(threads, mode):
    return Side(f"Opacus, {mode}", [sys.executable, str(HERE / "opacus_worker.py"), str(threads)], common.threads_environment(threads))


def clipped(side, rows):
    return side.ask({"op": "clipped", "rows": list(rows), "clip": CLIP}, numbers=side.layout.size)[1]


def start(side, case, threads, layout=None, **more):
    network, model, batch, rows, _ = CASES[case]
    shape = common.INPUTS[network]
    if side.name != "engine":
        model = {"preset": network}
    made = side.new(model, shape, common.adam(), "f32", threads, batch, **more)
    layout = layout or made
    side.set("parameters", common.first_parameters(layout, SEED), layout)
    side.data(*common.rows_of(shape, rows, SEED))
    return layout


def seconds(side, case, steps, more):
    return side.ask({"op": "time", "batch": CASES[case][2], "steps": steps, **more})["seconds"]


def run(case, a):
    batch, bar = CASES[case][2], CASES[case][4]
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(engine(a.engine, a.threads))
        layout = start(ours, case, a.threads)
        # which way a step is made, by which side
        ways = {"plain": (ours, {}), "private": (ours, PRIVATE)}
        own = clipped(ours, range(batch))
        differ = 0.0
        if not a.engine_only:
            for mode in BARS:
                theirs = stack.enter_context(opacus(a.threads, mode))
                start(theirs, case, a.threads, layout, mode=mode)
                ways[mode] = (theirs, {})
                made = theirs.layout.translate(clipped(theirs, range(batch)), layout)
                differ = max(differ, relative(own, made))
        for side, more in ways.values():
            seconds(side, case, 3, more)
        others = Others({id(side): side for side, _ in ways.values()}.values())
        blocks = {way: [] for way in ways}
        for _ in range(a.blocks):
            for way, (side, more) in ways.items():
                rest()
                blocks[way].append([1e3 * s for s in seconds(side, case, a.steps, more)])
        result = {"case": case, "clipped_sums_differ": differ, "others_processors": others.used()}
    for way, of in blocks.items():
        result[f"{way}_ms"] = statistics.median(ms for block in of for ms in block)
        result[f"{way}_block_medians_ms"] = [statistics.median(block) for block in of]
    result["ratios"] = {"plain": [result["private_ms"] / result["plain_ms"], bar]}
    if not a.engine_only:
        result["ratios"] |= {mode: [result["private_ms"] / result[f"{mode}_ms"], most] for mode, most in BARS.items()}
    result["pass"] = all(ratio <= most for ratio, most in result["ratios"].values()) and differ <= AGREE
    return result


def tables(results):
    word = {True: "pass", False: "MISSED"}
    ways = [way for way in ("plain", "private", "sample", "ghost") if f"{way}_ms" in results[0]]

    def spread(r, way):
        blocks = r[f"{way}_block_medians_ms"]
        return f"{r[f'{way}_ms']:.1f} ({min(blocks):.1f}-{max(blocks):.1f})"

    names = {"plain": "engine, plain", "private": "engine, private", "sample": "Opacus, sample", "ghost": "Opacus, ghost"}
    common.table(["ms of a step (blocks)", *(names[way] for way in ways)], [[r["case"], *(spread(r, w) for w in ways)] for r in results])
    print()
    kinds = list(results[0]["ratios"])
    common.table(
        ["private step over", *(f"{kind} (bar)" for kind in kinds), "", "clipped sums differ", "others"],
        [
            [r["case"], *(f"{r['ratios'][k][0]:.2f} ({r['ratios'][k][1]:.1f})" for k in kinds)]
            + [word[r["pass"]], f"{r['clipped_sums_differ']:.1e}", f"{r['others_processors']:.2f}"]
            for r in results
        ],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.engine_argument(parser)
    parser.add_argument("--cases", default=",".join(CASES), help="which cases, with commas between")
    parser.add_argument("--blocks", type=int, default=8, help="blocks of each side, taken in turn")
    parser.add_argument("--steps", type=int, default=10, help="steps in a block")
    parser.add_argument("--avx2", action="store_true", help="hold both sides to AVX2")
    parser.add_argument("--engine-only", action="store_true", help="the private step beside the plain one, without Opacus")
    a = parser.parse_args()
    common.need(a.engine)
    if a.avx2:
        # before anything is started
        os.environ.update(AVX2)
    results = []
    for case in a.cases.split(","):
        if case not in CASES:
            parser.error(f"no case {case}; there are {', '.join(CASES)}")
        note(f"private.py: {case}")
        results.append(run(case, a))
    busy = max(r["others_processors"] for r in results)
    if busy > 0.1:
        note(f"private.py: other programs used {busy:.2f} processors meanwhile: these times are not to be trusted")
    if a.json:
        print(json.dumps({"cases": results}))
    else:
        tables(results)
    sys.exit(0 if all(r["pass"] for r in results) else 1)


if __name__ == "__main__":
    main()
