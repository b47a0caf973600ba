"""One run of ours, `consilium localnet run`, four institutions as eight processes with a chain of their own: its command, and
what its report says."""

import json


def command(programs, study, sites, held_out, rounds, seed, out, more=()):
    """What starts it; every site measures on the same held-out rows."""
    given = [f"--site={name}={file},{held_out}" for name, file in sites.items()]
    wanted = [f"--study={study}", f"--rounds={rounds}", f"--seed={seed}", f"--out={out}", f"--bin-dir={programs}", *more]
    return [programs / "consilium", "localnet", "run", *given, *wanted]


def read(out, rounds):
    """Seconds of all rounds but the last, from the block that opens one to the block that opens the next; how many rounds lack a
    site; the held-out accuracy."""
    report = json.loads((out / "report.json").read_text())
    models = [record for record in report["rounds"] if record["kind"] == "round" and record["round"] > 0]
    numbers = [record["round"] for record in models]
    if numbers != list(range(1, rounds + 1)):
        raise SystemExit(f"{out / 'report.json'}: of {rounds} rounds it has {numbers}")
    for before, after in zip(models, models[1:]):
        if before["closed_at"] != after["opened_at"]:
            raise SystemExit(f"{out / 'report.json'}: round {after['round']} does not open where the one before closes")
    short = sum(len(record["inputs"]) < len(report["sites"]) for record in models)
    accuracy = report["sites"][0]["own"]["swarm"]["accuracy"]
    return [record["seconds"] for record in models[:-1]], short, accuracy
