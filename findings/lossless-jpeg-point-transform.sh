#!/bin/bash
# pylibjpeg-libjpeg 2.5.0, imagecodecs 2026.3.6, Pillow 13.0.0 (Python): one JPEG Lossless file with a point transform, four
# different pictures, of which one is right, no error.
#
# Expected: 100 108 / 200 208. Samples are divided by 4 before they are coded and multiplied by 4 afterwards (ITU-T T.81,
# H.1.1 and H.1.2.1).
# Seen: Pillow (libjpeg-turbo) gives these. pylibjpeg, which pydicom asks, gives other values; so do both of imagecodecs'
# decoders that are for this coding alone.
# Public report: none found; the text of the standard is meant.
# Why it matters: in DICOM's transfer syntax .57 this is allowed, so that "pydicom reads it" is not always proof of a value.
# jpeg-decoder 0.3.2 has it wrong too; `ml-worker` refuses such files by that name.
#
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" -q install numpy==2.4.6 pillow==13.0.0 pylibjpeg-libjpeg==2.5.0 imagecodecs==2026.3.6
"$dir/v/bin/python" - <<'PYTHON'
import io, sys
import imagecodecs, libjpeg, numpy as np
from PIL import Image

# 2 x 2 samples of 8 bits, divided by 4: 25 27 / 50 52, as differences -7 +2 / +25 +2
code = bytes([0xff, 0xd8, 0xff, 0xc3, 0, 11, 8, 0, 2, 0, 2, 1, 1, 0x11, 0])
code += bytes([0xff, 0xc4, 0, 36, 0, 0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
code += bytes([0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 2, 0x18, 0x14, 0x5c, 0x8a, 0xff, 0xd9])
right = [100, 108, 200, 208]
seen = {"Pillow": np.asarray(Image.open(io.BytesIO(code))), "pylibjpeg-libjpeg": libjpeg.decode(code),
        "imagecodecs, ljpeg": imagecodecs.ljpeg_decode(code), "imagecodecs, jpegsof3": imagecodecs.jpegsof3_decode(code)}
for name, pixels in seen.items():
    print(f"{name}: expected {right}, found {pixels.ravel().tolist()}")
wrong = [name for name, pixels in seen.items() if pixels.ravel().tolist() != right]
sys.exit(wrong != ["pylibjpeg-libjpeg", "imagecodecs, ljpeg", "imagecodecs, jpegsof3"])
PYTHON
