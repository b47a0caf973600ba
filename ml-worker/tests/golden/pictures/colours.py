"""Makes colours.json: red, green and blue of pictures of this folder, by Pillow; those of rgb16.png, which Pillow halves, by zlib.

    pip install numpy pillow
"""
import json, pathlib, zlib
import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
out = []
for name in ["rgb.png", "rgba.png", "alpha.png", "palette.png", "grey8.png", "grey8.jpg", "rgb.jpg"]:
    picture = np.asarray(Image.open(HERE / name).convert("RGBA" if name == "rgba.png" else "RGB"))[..., :3]
    out.append(dict(file=name, planes=[(picture[..., c] / 255).ravel().tolist() for c in range(3)], width=picture.shape[1]))
data = (HERE / "rgb16.png").read_bytes()
width, height = (int.from_bytes(data[at:at + 4], "big") for at in (16, 20))
at = data.index(b"IDAT")
rows = np.frombuffer(zlib.decompress(data[at + 4:at + 4 + int.from_bytes(data[at - 4:at], "big")]), np.uint8).reshape(height, -1)
assert not rows[:, 0].any(), "each row as it is"
picture = rows[:, 1:].copy().view(">u2").reshape(height, width, 3)
out.append(dict(file="rgb16.png", planes=[(picture[..., c] / 65535).ravel().tolist() for c in range(3)], width=width))
(HERE / "colours.json").write_text(json.dumps(out) + "\n")
