"""Opens a run's model as any user of Python would, with the safetensors package, and names its tensors.

open.py OUT, where OUT is the folder of `consilium localnet run`. Needs numpy and safetensors."""
import json, pathlib, sys
import numpy as np
from safetensors.numpy import load_file

out = pathlib.Path(sys.argv[1])
tensors = load_file(out / "model.safetensors")
spec = json.loads((out / "spec.json").read_text())
layers = [*spec["model"]["dense"]["hidden"], 1] if "dense" in spec["model"] else [1]
if len(tensors) != 2 * len(layers):
    sys.exit(f"{len(tensors)} tensors where {len(layers)} layers with weights and biases were agreed")
for name, tensor in sorted(tensors.items()):
    if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
        sys.exit(f"{name}: not all finite numbers of 32 bits")
    print(name, tensor.shape)
