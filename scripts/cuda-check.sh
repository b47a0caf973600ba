#!/usr/bin/env bash
# Compiles and links the worker with its feature `cuda` where there need be neither a GPU nor CUDA, and checks that it says in
# words that a GPU is not there. Nothing is computed on a GPU. NVIDIA's compiler and libraries come as Python wheels (1.2 GB
# on disk) into the folder `cuda` of the target folder, or into the folder given, which is also what the build has for a target
# folder. CUDA_COMPUTE_CAP says for which GPUs: 80, unless it is set, for compute capability 8.0.
# The first run takes twenty to thirty minutes on two cores, half of it for candle's kernels.
set -euo pipefail

TOOLKIT=13.0.2 # cudarc knows 13.0 to 13.4; the oldest of them runs with the most drivers

say() { printf '[cuda] %s\n' "$*" >&2; }
die() { printf '[cuda] error: %s\n' "$*" >&2; exit 1; }

folder=${1:-}
case $folder in "" | /*) ;; *) folder=$PWD/$folder ;; esac
cd "$(dirname "$0")/.."
folder=${folder:-${CARGO_TARGET_DIR:-$PWD/target}/cuda}
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
command -v g++ >/dev/null || die "no g++: run scripts/setup.sh first"
python3 -c 'import ensurepip' 2>/dev/null || die "no python3 with venv: install python3-venv first"

venv=$folder/venv
wanted="cuda-toolkit[cccl,crt,cublas,cudart,curand,nvcc,nvrtc,nvvm]==$TOOLKIT"
if [ "$(cat "$venv/.installed" 2>/dev/null)" != "$wanted" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    say "fetching NVIDIA's compiler and libraries, CUDA $TOOLKIT (a minute)"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --only-binary :all: "$wanted" >&2
    printf '%s\n' "$wanted" >"$venv/.installed"
fi
CUDA_HOME=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
[ -x "$CUDA_HOME/bin/nvcc" ] || die "no nvcc in $CUDA_HOME"
# the linker looks for names without a version
for library in "$CUDA_HOME"/lib/lib*.so.*; do ln -sf "${library##*/}" "${library%%.so.*}.so"; done

# The driver's library comes with the driver alone. In its place to link with, and to run where there is none: functions that
# all give the error CUDA_ERROR_STUB_LIBRARY.
bindings=$(cargo metadata --locked --format-version 1 --features consilium-ml-worker/cuda | "$venv/bin/python" -c '
import json, pathlib, sys
package = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc")
print(pathlib.Path(package["manifest_path"]).parent / "src/driver/sys/mod.rs")')
mkdir -p "$CUDA_HOME/lib/stubs"
sed -n 's/^pub unsafe fn \(cu[A-Za-z0-9_]*\)(.*/int \1(void) { return 34; }/p' "$bindings" | sort -u \
    | gcc -shared -x c - -o "$CUDA_HOME/lib/stubs/libcuda.so.1" -Wl,-soname,libcuda.so.1
ln -sf libcuda.so.1 "$CUDA_HOME/lib/stubs/libcuda.so"

export CUDA_HOME PATH="$CUDA_HOME/bin:$PATH" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}" CARGO_TARGET_DIR="$folder"
# what a build of the feature must go by is this toolkit alone
unset NVCC CUDA_PATH CUDA_ROOT CUDA_TOOLKIT_ROOT_DIR CUDARC_CUDA_VERSION
worker=(--release --locked --package consilium-ml-worker --features cuda)
say "compiling and linking, with kernels for compute capability $CUDA_COMPUTE_CAP"
cargo build "${worker[@]}" --bins
say "running, with the stand-in for the driver"
export LD_LIBRARY_PATH="$CUDA_HOME/lib:$CUDA_HOME/lib/stubs"
"$folder/release/ml-worker" --version
cargo test "${worker[@]}" --test process --test training -- gpu
say "compiles, links, and says so where there is no GPU"
