#!/usr/bin/env python3
"""Runs every test program of the workspace that is built, several beside each other: most of them wait most of the time.

    scripts/tests.py [--at-once N] [WORD ...]

What there is, cargo says; nothing is listed here. A program is run as `cargo test` runs it, in its crate's folder. Of those of
consilium-e2e, whose tests start networks of processes, each test is a run of its own. What took longest the last time begins first.
Tests of the training engine run a second time, held to AVX2, where the processor has AVX-512.
The documentation's examples are one run more. Where this user may do so, each run has a loopback interface of its own, so that none
takes a port that another one has just found free. Where a few runs fail, each is started once more by itself, for a dozen nodes on two cores
may wait longer than a limit: what passes then is called unsteady at the end, and what fails again has failed. With words, only runs with
one of them in their name. Output goes to TARGET/test-logs, and to the screen where something fails. Exit code 0 if everything has passed,
else 1.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

# test programs that start networks, test by test
APART = "consilium-e2e"
# so long, in seconds, may anything run
LONGEST = 1500
# where more have failed, the machine is not to blame
FEW = 6
# tests of the engine, which also run with shorter vectors than the processor's
ENGINE = ("layers", "gradients", "keras", "private", "threads", "candle")
AVX2 = ["env", "CONSILIUM_VECTOR_BITS=256"]
# a loopback interface for what follows
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
CARGO = ["cargo", "test", "--release", "--locked", "--workspace"]
RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)


class Run:
    """One thing to run: a name, a command, the folder to run it in, and whether it is exactly one test."""

    def __init__(self, name, command, folder, single=False):
        self.name, self.command, self.folder, self.single = name, command, folder, single
        self.seconds, self.fault, self.passed, self.process = 0.0, None, 0, None
        # processor time, that of all processes that it has started and waited for too
        self.computed = 0.0
        # why it failed beside others, where it did
        self.beside = None

    def go(self, logs, prefix):
        name = self.name if self.beside is None else f"{self.name} once more"
        path = logs / (re.sub(r"[^A-Za-z0-9_.-]+", "-", name) + ".log")
        began = time.monotonic()
        with path.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            code = self.wait(began + LONGEST)
        self.seconds = time.monotonic() - began
        text = path.read_text(errors="replace")
        results = RESULT.findall(text)
        self.passed = sum(int(passed) for passed, _, _ in results)
        if code != 0:
            self.fault = f"exit code {code}" if isinstance(code, int) else code
        elif self.single and (self.passed, len(results)) != (1, 1):
            self.fault = "not exactly one test was run"
        elif not results:
            self.fault = "no result of any test"
        return path, text

    def wait(self, end):
        """Its exit code, or words where it has not ended in time."""
        late = False
        while True:
            process, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if process:
                self.computed = used.ru_utime + used.ru_stime
                self.process.returncode = os.waitstatus_to_exitcode(status)
                return f"nothing within {LONGEST} s" if late else self.process.returncode
            if not late and time.monotonic() > end:
                late = True
                os.killpg(self.process.pid, signal.SIGKILL)
            time.sleep(0.1)

    def end(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


def programs():
    """The test programs, each with its crate, its name and its crate's folder."""
    built = subprocess.run([*CARGO, "--no-run", "--message-format=json-render-diagnostics"], stdout=subprocess.PIPE, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            folder = Path(message["manifest_path"]).parent
            yield folder, message["target"]["name"], "/".join(message["target"]["kind"]), message["executable"]


def runs():
    packages = json.loads(subprocess.run(["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"],
                                         stdout=subprocess.PIPE, check=True).stdout)["packages"]
    names = {Path(package["manifest_path"]).parent: package["name"] for package in packages}
    processor = Path("/proc/cpuinfo")
    wide = processor.exists() and "avx512f" in processor.read_text().split()
    for folder, target, kind, program in programs():
        crate = names[folder]
        if crate == APART and kind == "test":
            listed = subprocess.run([program, "--list", "--format=terse"], cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
            ignored = subprocess.run([program, "--list", "--format=terse", "--ignored"], cwd=folder, stdout=subprocess.PIPE,
                                     check=True, text=True).stdout.splitlines()
            for line in listed.stdout.splitlines():
                test, found, _ = line.rpartition(": test")
                if found and line not in ignored:
                    yield Run(f"{target} {test}", [program, "--exact", "--nocapture", test], folder, single=True)
        else:
            yield Run(f"{crate} {kind} {target}", [program], folder)
            if crate == "consilium-ml-worker" and kind == "test" and target in ENGINE and wide:
                yield Run(f"{crate} {kind} {target} with AVX2", [*AVX2, program], folder)
    yield Run("documentation", [*CARGO, "--doc"], Path.cwd())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=2 * (os.cpu_count() or 2), help="how many run beside each other")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only runs whose name holds one of these")
    asked = parser.parse_args()
    logs = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    times = logs / "seconds.json"
    before = json.loads(times.read_text()) if times.exists() else {}
    todo = [run for run in runs() if not asked.words or any(word in run.name for word in asked.words)]
    if not todo:
        sys.exit("nothing to run has such a name")
    # what was never run begins first, a network before anything else
    todo.sort(key=lambda run: (before.get(run.name, LONGEST), run.single))
    prefix = ALONE if subprocess.run([*ALONE, "true"], stderr=subprocess.DEVNULL).returncode == 0 else []
    done, lock, began = [], threading.Lock(), time.monotonic()

    def one(run):
        with lock:
            under_way.add(run)
        path, text = run.go(logs, prefix)
        with lock:
            under_way.discard(run)
            if run.fault is None:
                # as the test programs say it
                results = "\n".join(line for line in text.splitlines() if line.startswith("test result: "))
                print(f"ok     {run.seconds:6.1f} s, computed {run.computed:6.1f} s  {run.name}\n{results}", flush=True)
            else:
                print(f"{text}\nFAILED {run.seconds:6.1f} s  {run.name}: {run.fault}; all of it is in {path}", flush=True)

    def work():
        while True:
            with lock:
                if not todo:
                    return
                run = todo.pop()
            one(run)
            with lock:
                done.append(run)

    under_way = set()
    threads = [threading.Thread(target=work, daemon=True) for _ in range(asked.at_once)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        failed = [run for run in done if run.fault is not None]
        for run in failed if len(failed) <= FEW else []:
            run.beside, run.fault = run.fault, None
            print(f"once more, by itself: {run.name}", flush=True)
            one(run)
    finally:
        with lock:
            todo.clear()
            for run in under_way:
                run.end()
    times.write_text(json.dumps(before | {run.name: round(run.seconds, 1) for run in done}, indent=1, sort_keys=True))
    for run in done:
        if run.beside is not None and run.fault is None:
            print(f"UNSTEADY: {run.name} failed beside others ({run.beside}), and passed by itself", flush=True)
    failed = [run for run in done if run.fault is not None]
    computed = sum(run.computed for run in done)
    print(f"{sum(run.passed for run in done)} tests passed in {len(done)} runs, in {time.monotonic() - began:.0f} s, of which "
          f"{computed:.0f} s were computed on {os.cpu_count()} processors", flush=True)
    if failed:
        sys.exit("FAILED: " + "; ".join(f"{run.name} ({run.fault})" for run in failed))


if __name__ == "__main__":
    main()
