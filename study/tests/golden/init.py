"""Makes init.json: hashes of the initial parameters of spec.json and of the whole initial model's
file, with streams.py's own ChaCha20 and a safetensors file written here. Needs blake3."""
import hashlib, json, math, pathlib, struct
from importlib.machinery import SourceFileLoader
from blake3 import blake3

here = pathlib.Path(__file__).parent
r = SourceFileLoader("streams", str(here / "streams.py")).load_module()
spec = json.loads((here / "spec.json").read_text())
sizes = [len(spec["data"]["features"]["columns"]), *spec["model"]["dense"]["hidden"], 1]
data, entries = b"", []

def tensor(name, shape, values):
    global data
    start = len(data)
    data += b"".join(struct.pack("<f", v) for v in values)
    entries.append(f'"{name}":{{"dtype":"F32","shape":{json.dumps(shape, separators=(",", ":"))},'
                   f'"data_offsets":[{start},{len(data)}]}}')

for n, (i, o) in enumerate(zip(sizes, sizes[1:])):
    tensor(f"layer{n:02}.bias", [o], [0.0] * o)
    stream = r.uniforms(r.key("consilium/init/1", struct.pack("<Q", spec["seed"]), f"layer{n:02}.weight".encode()))
    scale = math.sqrt(2.0 / (i + o if n + 2 == len(sizes) else i))
    tensor(f"layer{n:02}.weight", [o, i], [r.normal(stream) * scale for _ in range(i * o)])
header = ("{" + ",".join(entries) + "}").encode()
header = header.ljust(-(-len(header) // 8) * 8)
(here / "init.json").write_text(json.dumps({
    "blake2b_256": hashlib.blake2b(data, digest_size=32).hexdigest(),
    "file_blake3": blake3(struct.pack("<Q", len(header)) + header + data).hexdigest(),
}))
