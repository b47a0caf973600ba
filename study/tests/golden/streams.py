"""Makes streams.json: numbers of the streams, with a ChaCha20 written from RFC 8439's description (with the
original 64-bit counter and nonce, both zero)."""
import hashlib, json, pathlib, struct

def key(purpose, *parts):
    text = b"".join(struct.pack("<Q", len(p)) + p for p in (purpose.encode(), *parts))
    return hashlib.blake2b(text, digest_size=32).digest()

def words(key):
    rot = lambda x, n: ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF
    counter = 0
    while True:
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter & 0xFFFFFFFF, counter >> 32, 0, 0]
        s = start[:]
        def quarter(a, b, c, d):
            for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & 0xFFFFFFFF
                s[z] = rot(s[z] ^ s[x], n)
        for _ in range(10):
            for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter(*q)
        yield from ((a + b) & 0xFFFFFFFF for a, b in zip(s, start))
        counter += 1

def uniforms(key):
    return ((w >> 8) / 2**24 for w in words(key))

def normal(stream):
    total = 0.0
    for _ in range(12):
        total += next(stream)
    return total - 6.0

def below(stream, n):
    whole = 0xFFFFFFFF - 0xFFFFFFFF % n
    while True:
        w = next(stream)
        if w < whole:
            return w % n

if __name__ == "__main__":
    k = key("consilium/test/1", b"part", b"")
    u, n, w = uniforms(k), uniforms(k), words(k)
    items = list(range(17))
    for i in range(16, 0, -1):
        j = below(w, i + 1)
        items[i], items[j] = items[j], items[i]
    here = pathlib.Path(__file__).parent
    (here / "streams.json").write_text(json.dumps({
        "key": k.hex(),
        "uniform": [next(u) for _ in range(20)],
        "normal": [normal(n) for _ in range(10)],
        "shuffle": items,
    }))
