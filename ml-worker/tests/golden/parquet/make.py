"""Makes the Parquet files beside it with pyarrow, and expected.json: what their columns read as.

    pip install numpy pyarrow
"""
import datetime, decimal, json, math, pathlib
import numpy as np, pyarrow as pa, pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
ROWS = 20
rng = np.random.default_rng(11)
expected = {}


def holes(values, every):
    return [None if n % every == every - 1 else v for n, v in enumerate(values)]


def plain(values):
    """As the reader gives them: numbers as floating point, bytes as text."""
    def one(v):
        if v is None or isinstance(v, float) and math.isnan(v):
            return None
        if isinstance(v, bytes):
            return v.decode()
        return v if isinstance(v, str) else float(v)
    return [one(v) for v in values]


def write(name, columns, **options):
    table = pa.table({n: pa.array(v, t) for n, (v, t) in columns.items()})
    pq.write_table(table, HERE / name, **options)
    assert pq.read_table(HERE / name).num_rows == table.num_rows
    expected[name] = {n: plain(v) for n, (v, t) in columns.items()}


def whole(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    low, high = max(low, -(1 << 53)), min(high, 1 << 53)
    return [low, high] + [int(v) for v in rng.integers(low, high, ROWS - 2)]


words = ["", "yes", "no", "ä\u20ac\U0001f600", "a longer text than the others"]
texts = [words[i] for i in rng.integers(0, 5, ROWS)]
floats = [0.5, -0.0, math.inf, -math.inf, math.nan] + rng.normal(size=ROWS - 5).tolist()
columns = {
    "bool": ([bool(b) for b in rng.integers(0, 2, ROWS)], pa.bool_()),
    "bool?": (holes([bool(b) for b in rng.integers(0, 2, ROWS)], 3), pa.bool_()),
    "float": ([float(np.float32(v)) for v in floats], pa.float32()),
    "double": (floats, pa.float64()),
    "double?": (holes(floats, 4), pa.float64()),
    "text": (texts, pa.string()),
    "text?": (holes(texts, 5), pa.string()),
    "large": (texts, pa.large_string()),
    "bytes": ([t.encode() for t in texts], pa.binary()),
    "fixed": ([b"%03d" % n for n in range(ROWS)], pa.binary(3)),
    "fixed?": (holes([b"%03d" % n for n in range(ROWS)], 2), pa.binary(3)),
    "category": (holes(texts, 7), pa.dictionary(pa.int8(), pa.string())),
    "nothing": ([None] * ROWS, pa.null()),
    "empty": ([None] * ROWS, pa.float64()),
}
for bits in (8, 16, 32, 64):
    columns[f"int{bits}"] = (whole(bits, True), getattr(pa, f"int{bits}")())
    columns[f"uint{bits}?"] = (holes(whole(bits, False), 6), getattr(pa, f"uint{bits}")())
write("types.parquet", columns, row_group_size=7)

few = {n: columns[n] for n in ("int32", "double?", "text?", "bool")}
long = {"n": (list(range(120)), pa.int64()), "same": ([1.5] * 120, pa.float64()), "word": (["abc"] * 120, pa.string())}
for codec in ("none", "snappy", "gzip", "zstd"):
    write(f"{codec}.parquet", long, compression=codec, use_dictionary=["word"])
    expected["small_pages.parquet"] = expected.pop(f"{codec}.parquet")  # said once
write("lz4.parquet", few, compression="lz4")
write("brotli.parquet", few, compression="brotli")
write("pages2.parquet", few, data_page_version="2.0", compression="zstd", row_group_size=6)
write("required.parquet", {"x": ([1.0, 2.0, 3.0], pa.float64())})
schema = pa.schema([pa.field("x", pa.float64(), False), pa.field("t", pa.string(), False)])
pq.write_table(pa.table({"x": [1.0, 2.5], "t": ["a", "b"]}, schema=schema), HERE / "required.parquet")
expected["required.parquet"] = {"x": [1.0, 2.5], "t": ["a", "b"]}
write("small_pages.parquet", long, data_page_size=64, write_batch_size=16, use_dictionary=False, row_group_size=50)
write("split.parquet", {n: columns[n] for n in ("double", "float")}, use_dictionary=False, use_byte_stream_split=True)
write("delta.parquet", {n: columns[n] for n in ("int32", "int64", "text?")}, use_dictionary=False,
      column_encoding={"int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED", "text?": "DELTA_BYTE_ARRAY"})
write("none_rows.parquet", {"x": ([], pa.float64()), "t": ([], pa.string())})

# each column but the first is refused
now = datetime.datetime(2020, 1, 2, 3, 4, 5)
refused = {
    "fine": ([1, 2], pa.int32()),
    "list": ([[1], [2, 3]], pa.list_(pa.int32())),
    "struct": ([{"a": 1}, {"a": 2}], pa.struct([("a", pa.int32())])),
    "map": ([[("a", 1)], []], pa.map_(pa.string(), pa.int32())),
    "decimal": ([decimal.Decimal("1.25")] * 2, pa.decimal128(9, 2)),
    "date": ([now.date()] * 2, pa.date32()),
    "time": ([now.time()] * 2, pa.time32("ms")),
    "timestamp": ([now] * 2, pa.timestamp("us")),
    "half": ([np.float16(1.5)] * 2, pa.float16()),
    "bytes": ([b"a", b"\xff\xfe"], pa.binary()),
    "long": (["a", "b" * (2 ** 16 + 1)], pa.string()),
    "beyond": ([1, 2 ** 53 + 1], pa.int64()),
    "below": ([None, -2 ** 53 - 1], pa.int64()),
    "unsigned": ([1, 2 ** 64 - 1], pa.uint64()),
}
pq.write_table(pa.table({n: pa.array(v, t) for n, (v, t) in refused.items()}), HERE / "refused.parquet", compression="gzip")
pq.write_table(pa.table({"old": pa.array([now] * 2, pa.timestamp("ns"))}), HERE / "int96.parquet",
               use_deprecated_int96_timestamps=True)
pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"]), HERE / "twice.parquet")
(HERE / "text.parquet").write_text("name;age\nHidden;42\n")
# JSON has no infinities
expected = {name: columns for name, columns in expected.items() if name not in ("lz4.parquet", "brotli.parquet")}
dump = json.dumps(dict(versions=dict(numpy=np.__version__, pyarrow=pa.__version__), files=expected))
(HERE / "expected.json").write_text(dump.replace("-Infinity", '"-inf"').replace("Infinity", '"inf"'))
