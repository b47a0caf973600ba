"""PNGs and JPEGs by hand: for kinds that no encoder at hand writes."""
import struct, zlib
import numpy as np


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, width, height, bits, colour, rows, extra=b""):
    """A PNG by hand: for kinds that Pillow does not write."""
    data = b"".join(b"\0" + bytes(r) for r in rows)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


class Bits:
    """Coded data of a JPEG: bits, with a zero after each 255 and ones up to the next byte's end."""
    def __init__(self):
        self.bits, self.bytes = "", bytearray()

    def put(self, value, length):
        self.bits += f"{value:0{length}b}" if length else ""

    def difference(self, d, prefix):
        size = abs(d).bit_length()
        self.put(size, prefix)
        self.put(d if d > 0 else d + (1 << size) - 1, size)

    def flush(self, mark=b""):
        self.bits += "1" * (-len(self.bits) % 8)
        data = bytes(int(self.bits[n:n + 8], 2) for n in range(0, len(self.bits), 8))
        self.bytes += data.replace(b"\xff", b"\xff\0") + mark
        self.bits = ""


def segment(mark, data):
    return bytes([0xff, mark]) + struct.pack(">H", len(data) + 2) + bytes(data)


def blocks(planes, sampling, ids=(1, 2, 3), apps=b"", together=True, restart=0):
    """A baseline JPEG whose blocks of 8 x 8 have one value each, in one scan or in one for each component."""
    most = [max(s[n] for s in sampling) for n in (0, 1)]
    rows, cols = planes[0].shape[0] // sampling[0][1], planes[0].shape[1] // sampling[0][0]
    frame = struct.pack(">BHHB", 8, rows * most[1] * 8, cols * most[0] * 8, len(planes))
    frame += b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in zip(ids, sampling))
    out = b"\xff\xd8" + apps + segment(0xdb, b"\0" + bytes([8] * 64)) + segment(0xc0, frame)
    out += segment(0xc4, b"\0" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
    out += segment(0xc4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
    out += segment(0xdd, struct.pack(">H", restart)) if restart else b""
    for scan in [range(len(planes))] if together else [[c] for c in range(len(planes))]:
        if len(scan) == 1:
            units = [[(scan[0], *at)] for at in np.ndindex(planes[scan[0]].shape)]
        else:
            units = [[(c, y * sampling[c][1] + j, x * sampling[c][0] + i) for c in scan
                      for j in range(sampling[c][1]) for i in range(sampling[c][0])] for y, x in np.ndindex(rows, cols)]
        code, before = Bits(), [0] * 3
        for n, unit in enumerate(units):
            if restart and n and n % restart == 0:
                code.flush(bytes([0xff, 0xd0 + (n // restart - 1) % 8]))
                before = [0] * 3
            for c, y, x in unit:
                value = int(planes[c][y, x]) - 128
                code.difference(value - before[c], 4)
                code.put(0, 1)
                before[c] = value
        code.flush()
        out += segment(0xda, bytes([len(scan)]) + b"".join(bytes([ids[c], 0]) for c in scan) + b"\0\x3f\0") + code.bytes
    return bytes(out) + b"\xff\xd9"


def lossless_jpeg(a, precision, predictor=1, shift=0, restart=False):
    """JPEG Lossless (ITU-T T.81 annex H); restart: a mark after each row."""
    code, v = Bits(), a.astype(int) >> shift
    for y, x in np.ndindex(v.shape):
        if y and x == 0 and restart:
            code.flush(bytes([0xff, 0xd0 + (y - 1) % 8]))
        if y == 0 or restart:
            guess = v[y, x - 1] if x else 1 << (precision - shift - 1)
        elif x == 0:
            guess = v[y - 1, 0]
        else:
            left, up, corner = v[y, x - 1], v[y - 1, x], v[y - 1, x - 1]
            guess = [left, up, corner, left + up - corner, left + (up - corner >> 1), up + (left - corner >> 1),
                     left + up >> 1][predictor - 1]
        code.difference(int(v[y, x] - guess), 5)
    code.flush()
    out = b"\xff\xd8" + segment(0xc3, struct.pack(">BHHB", precision, *a.shape, 1) + b"\1\x11\0")
    out += segment(0xc4, b"\0" + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17)))
    out += segment(0xdd, struct.pack(">H", a.shape[1])) if restart else b""
    return out + segment(0xda, bytes([1, 1, 0, predictor, 0, shift])) + bytes(code.bytes) + b"\xff\xd9"
