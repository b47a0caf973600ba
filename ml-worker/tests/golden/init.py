"""Makes init.json: hash of the initial parameters of study/tests/golden/spec.json, with streams.py's own ChaCha20."""
import hashlib, json, math, pathlib, struct
from importlib.machinery import SourceFileLoader

here = pathlib.Path(__file__).parent
r = SourceFileLoader("streams", str(here / "streams.py")).load_module()
spec = json.loads((here / "../../../study/tests/golden/spec.json").read_text())
sizes = [spec["data"]["features"]["count"], *spec["model"]["dense"]["hidden"], 1]
data = b""
for n, (i, o) in enumerate(zip(sizes, sizes[1:])):
    data += bytes(4 * o)
    stream = r.uniforms(r.key("consilium/init/1", struct.pack("<Q", spec["seed"]), f"layer{n:02}.weight".encode()))
    scale = math.sqrt(2.0 / (i + o if n + 2 == len(sizes) else i))
    data += b"".join(struct.pack("<f", r.normal(stream) * scale) for _ in range(i * o))
(here / "init.json").write_text(json.dumps({"blake2b_256": hashlib.blake2b(data, digest_size=32).hexdigest()}))
