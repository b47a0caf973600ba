"""A consortium of any size on this machine, for what is measured: founded from cards like any other, each institution with its node
and its worker on the loopback interface, and a study of all of them.

Needs nothing but Python's own library. Whoever uses it holds a `Consortium` in a `with`; at its end all programs are ended.
"""

import contextlib
import json
import os
import random
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

PORTS = range(20_000, 30_000)  # below those that the system gives to outgoing connections
START = 120  # seconds in which all nodes must have met
TICK = os.sysconf("SC_CLK_TCK")


class Wrong(Exception):
    """What stood in the way, in words."""


def free_ports(count):
    """The first of so many ports in a row that are free."""
    first = PORTS.start + random.SystemRandom().randrange(len(PORTS) - count)
    for start in [*range(first, PORTS.stop - count), *range(PORTS.start, first)]:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(start, start + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return start
    raise Wrong(f"there are no {count} free ports in a row between {PORTS.start} and {PORTS.stop}")


class Institution:
    """One of them: its folder, its two programs, and what they tell of themselves."""

    def __init__(self, name, port, folder, programs):
        self.name, self.programs = name, programs
        self.dir, self.port = folder / name, port
        self.running = {}

    def cli(self, *words):
        done = subprocess.run([self.programs / "consilium", *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise Wrong(f"{self.name}: consilium {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def init(self):
        address = f"/ip4/127.0.0.1/tcp/{self.port}"
        self.cli("init", "--consortium", "bench", "--name", self.name, "--dir", self.dir, "--address", address,
                 "--ports-from", self.port + 1, "--bin-dir", self.programs)

    def words(self, program):
        """How its service starts one of its programs: the environment and the command."""
        units = self.cli("units", "--dir", self.dir, "--user", "one", "--worker-user", "two", "--bin-dir", self.programs)
        unit = units.split(f"# consilium-{program}.service")[1].replace("\\\n", " ")
        unit = unit.split("# consilium")[0]
        told = re.search(r"^Environment=(.*)$", unit, re.M)
        return dict(each.split("=") for each in told[1].split()) if told else {}, re.search(r"^ExecStart=(.*)$", unit, re.M)[1].split()

    def start(self, program, *more):
        log = open(self.dir / f"{program}.log", "a")
        nice = 5 if program == "worker" else 0
        told, words = self.words(program)
        command = ["setpriv", "--pdeathsig", "KILL", "nice", "-n", str(nice), *words, *more]
        self.running[program] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **told})

    def rpc(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port + 1}", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = json.loads(answer.read())
        if "error" in told:
            raise Wrong(f"{self.name}: {method}: {told['error']}")
        return told["result"]

    def figures(self, program="node"):
        """What a program counts: {name with its labels: value}."""
        port, head = self.port + 2, {}
        if program == "worker":
            port, head = self.port + 3, {"authorization": f"Bearer {(self.dir / 'token').read_text().strip()}"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=head)
        with urllib.request.urlopen(request, timeout=30) as answer:
            lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line and line[0] != "#"]
        # the SDK says of each figure which chain it is of
        return {re.sub(r',?chain="[^"]*"', "", name).replace("{}", "").replace("{,", "{"): float(value) for name, value in lines}

    def memory(self, program):
        """MiB that are resident now, and the most that ever were."""
        text = Path(f"/proc/{self.running[program].pid}/status").read_text()
        return tuple(int(re.search(rf"{what}:\s+(\d+) kB", text)[1]) / 1024 for what in ("VmRSS", "VmHWM"))

    def own_memory(self, program):
        """MiB that are resident now and stand in no file: what the system cannot take back."""
        text = Path(f"/proc/{self.running[program].pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) / 1024

    def computed(self, program):
        """Seconds that it has computed."""
        fields = Path(f"/proc/{self.running[program].pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def disk(self, part="node"):
        """Bytes that a part of its folder takes on the disk, but for the compiled runtime."""
        found = subprocess.run(["du", "-s", "--block-size=1", "--exclude=wasm", self.dir / part], capture_output=True, text=True)
        return int(found.stdout.split()[0])


class Consortium:
    """So many institutions below a folder, which is made."""

    def __init__(self, count, folder, programs, node=(), terms=(), worker=()):
        self.folder, self.programs = folder, programs.resolve()
        self.node, self.terms, self.worker = node, terms, worker
        folder.mkdir(parents=True)
        ports = free_ports(4 * count)
        self.all = [Institution(f"site-{n:02}", ports + 4 * n, folder, self.programs) for n in range(count)]

    def __enter__(self):
        try:
            self.found()
            self.meet()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for each in self.all:
            for process in each.running.values():
                process.terminate()
        for each in self.all:
            for process in each.running.values():
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def found(self):
        cards, chain, wasm = self.folder / "cards", self.folder / "chain.json", self.folder / "wasm"
        cards.mkdir()
        wasm.mkdir(mode=0o700)
        for each in self.all:
            each.init()
            (cards / f"{each.name}.json").write_bytes((each.dir / "card.json").read_bytes())
        self.all[0].cli("found", "--consortium", "bench", "--cards", cards, "--out", chain, "--private-addresses", "--test",
                        "--motion-life", "10m", "--wasm-cache", wasm, "--bin-dir", self.programs, *self.terms)
        for each in self.all:
            (each.dir / "chain.json").write_bytes(chain.read_bytes())
            (each.dir / "node/wasm").symlink_to(wasm)

    def meet(self):
        """Starts all nodes, and waits until each has found the others and a block is final."""
        for each in self.all:
            each.start("node", *self.node)
        end = time.monotonic() + START
        for each in self.all:
            while True:
                with contextlib.suppress(OSError):
                    peers = each.rpc("system_health")["peers"]
                    if peers >= len(self.all) - 1 and self.height(each, final=True) > 0:
                        break
                if each.running["node"].poll() is not None:
                    raise Wrong(f"{each.name}'s node has ended; see {each.dir / 'node.log'}")
                if time.monotonic() > end:
                    raise Wrong(f"{each.name}'s node has not met the others within {START} s; see {each.dir / 'node.log'}")
                time.sleep(0.2)

    @staticmethod
    def height(each, final=False):
        header = each.rpc("chain_getHeader", *([each.rpc("chain_getFinalizedHead")] if final else []))
        return int(header["number"], 16)

    def study(self, text, tables):
        """Registers a study, has all enrol with their tables, and starts their workers and it; its number."""
        file = self.folder / f"study-{time.time_ns()}.toml"
        file.write_text(text)
        first = self.all[0]
        told = json.loads(first.cli("study", "register", file, "--dir", first.dir, "--format", "json"))
        number = str(told["study"])
        for each, table in zip(self.all, tables):
            each.cli("study", "enrol", number, "--agreement", told["agreement"], "--data", table, "--dir", each.dir, "--bin-dir", self.programs, "--yes")
            if "worker" not in each.running:
                each.start("worker", *self.worker)
        first.cli("study", "start", number, "--dir", first.dir)
        return number

    def look(self, number):
        """What the first one's node knows of a study."""
        first = self.all[0]
        return json.loads(first.cli("study", number, "--dir", first.dir, "--format", "json"))

    def over(self, number, minutes, meanwhile=lambda closed: None):
        """Waits for a study's certificate; what is known of it then. `meanwhile` is called every second, with how many rounds have closed.
        The figures are asked, which cost next to nothing, and not the chain, which tells the whole history each time."""
        end, first = time.monotonic() + 60 * minutes, self.all[0]
        while True:
            figures = first.figures()
            closed = int(figures.get(f'consilium_rounds_closed_total{{study="{number}"}}', 0))
            if not total(figures, "consilium_studies") and closed:
                study = self.look(number)
                if study["certificate"]:
                    return study
            dead = [f"{each.name}'s {name}" for each in self.all for name, it in each.running.items() if it.poll() is not None]
            if dead or time.monotonic() > end:
                why = f"{', '.join(dead)} ended" if dead else f"it is not over after {minutes:g} minutes"
                raise Wrong(f"study {number}, {self.look(number)['phase']}: {why}; logs are in {self.folder}")
            meanwhile(closed)
            time.sleep(1)

    def late(self, number):
        """Its rounds of training, as `consilium late` has them."""
        first = self.all[0]
        url = f"ws://127.0.0.1:{first.port + 1}"
        told = json.loads(first.cli("late", number, "--url", url, "--format", "json"))
        return [each for each in told["rounds"] if each["round"] is not None]


# Tables and studies


def tables(folder, count, rows, features):
    """A table for each of so many sites: rows of this many features, whose label a straight line through all of them decides."""
    folder.mkdir(exist_ok=True)
    made, draw = [], random.Random(1)
    line = [draw.gauss(0, 1) for _ in range(features)]
    for n in range(count):
        made.append(folder / f"table-{n:02}.csv")
        with open(made[-1], "w") as file:
            print("label", *(f"x{each:03}" for each in range(features)), sep=",", file=file)
            for _ in range(rows):
                row = [draw.gauss(0, 1) for _ in range(features)]
                print(int(sum(a * b for a, b in zip(row, line)) > 0), *(f"{value:.4f}" for value in row), sep=",", file=file)
    return made


def study(features, hidden, rounds, epochs=1, least=3):
    """A study file on such tables; its number of parameters."""
    columns = ", ".join(f'"x{each:03}"' for each in range(features))
    sizes = [features, *hidden, 1]
    text = f"""title = "Measured"
[data]
label = "label"
positive = "1"
negative = "0"
scaling = "none"
[data.features]
columns = [{columns}]
[model.dense]
hidden = {list(hidden)}
activation = "relu"
[training]
optimizer = {{ sgd = {{ learning_rate = 0.01 }} }}
batch_size = 32
epochs = {epochs}
[evaluation]
validation_share = 0.2
[rules]
rounds = {rounds}
training_seconds = 10
min_participants = {least}
"""
    return text, sum(before * after + after for before, after in zip(sizes, sizes[1:]))


# Figures


def mean(figures, name, labels=""):
    """The mean of a histogram, in its unit; None where it has counted nothing."""
    wanted = f"{{{labels}}}" if labels else ""
    count = figures.get(f"{name}_count{wanted}", 0)
    return figures.get(f"{name}_sum{wanted}", 0) / count if count else None


def total(figures, name):
    """A figure's sum over all its labels."""
    return sum(value for each, value in figures.items() if each.split("{")[0] == name)


def machine():
    """This machine, in words."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), os.uname().machine)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {os.uname().sysname} {os.uname().release}"


class Others:
    """How many processors other programs than those of a consortium use, from now on."""

    def __init__(self, consortium):
        self.consortium, self.began = consortium, time.monotonic()
        self.before, self.own = self.everybody(), self.ours()

    @staticmethod
    def everybody():
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
        return (user + nice + system + irq + softirq) / TICK

    def ours(self):
        used = os.times()
        return used.user + used.system + used.children_user + used.children_system + sum(
            each.computed(name) for each in self.consortium.all for name in each.running
        )

    def so_far(self):
        return max(0, (self.everybody() - self.before - (self.ours() - self.own)) / (time.monotonic() - self.began))
