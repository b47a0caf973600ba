"""Makes same.csv and same.parquet, which have the same rows, and bad.csv and bad.parquet, of which some cannot be read.

    pip install numpy pyarrow
"""
import csv, datetime, pathlib
import numpy as np, pyarrow as pa, pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(3)


def cell(value):
    """As a CSV file has it."""
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def write(name, columns, **options):
    with open(HERE / f"{name}.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(columns)
        out.writerows([cell(v) for v in row] for row in zip(*(values for _, values in columns.values())))
    table = pa.table({n: pa.array(values, kind) for n, (kind, values) in columns.items()})
    pq.write_table(table, HERE / f"{name}.parquet", **options)


def rows(count):
    ill = [bool(v) for v in rng.random(count) < 0.45]
    age = [None if n % 17 == 5 else float(v) + 9.0 * i for n, (v, i) in enumerate(zip(rng.normal(60, 11, count), ill))]
    return {
        "patient": (pa.int64(), [int(n * 2 // 3) + 1000 for n in range(count)]),
        "age": (pa.float64(), age),
        "crp": (pa.int32(), [int(v) for v in rng.integers(1, 300, count)]),
        "spo2": (pa.string(), [f"{v:.2f}" for v in rng.uniform(80, 100, count)]),
        "ward": (pa.string(), [["north", "south", "west"][int(v)] for v in rng.integers(0, 3, count)]),
        "bed": (pa.int16(), [int(v) for v in rng.integers(1, 4, count)]),
        "ill": (pa.string(), ["yes" if i else "no" for i in ill]),
        "code": (pa.int8(), [int(i) for i in ill]),
        "stage": (pa.string(), [["I", "II", "III"][int(v)] for v in rng.integers(0, 3, count)]),
        "cough": (pa.int8(), [int(v) for v in rng.integers(0, 2, count)]),
        "fever": (pa.int64(), [int(v) for v in rng.integers(0, 2, count)]),
        "note": (pa.string(), [None if n % 3 else f"a, \"note\" {n}" for n in range(count)]),
    }


write("same", rows(90), row_group_size=37, compression="zstd")
bad = rows(30)
for column, place, value in [("spo2", 4, "x"), ("ill", 11, "perhaps"), ("ward", 20, "east")]:
    bad[column][1][place] = value
write("bad", bad, row_group_size=7)
# of a kind that is not read, which matters only where a study wants it
same = pq.read_table(HERE / "same.parquet")
when = pa.array([datetime.datetime(2020, 1, 1)] * 90)
pq.write_table(same.append_column("when", when), HERE / "dates.parquet")
# the pictures that tests/sources/pictures.rs draws
names = [f"scans/{'' if n % 2 else 'new/'}p{n}.png" for n in range(12)]
write("files", {"file": (pa.string(), names), "ill": (pa.string(), ["no" if n % 3 else "yes" for n in range(12)])})
(HERE / "files.csv").unlink()
