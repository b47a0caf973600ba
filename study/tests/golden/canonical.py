"""Writes a specification's canonical text in Python, from nothing but docs/study-file.md, and makes canonical.json: numbers and
their text. Run as `python canonical.py`; `python canonical.py SPEC.json` says whether a file is canonical, and its hash."""
import decimal, hashlib, json, math, pathlib, random, struct, sys

def number(x):
    """The fewest digits that read back as this number; from .00001 on and below 10^16 without an exponent."""
    if isinstance(x, int):
        return str(x)
    if x == 0:
        return "-0.0" if math.copysign(1, x) < 0 else "0.0"
    sign, digits, exponent = decimal.Decimal(repr(x)).as_tuple()
    digits = "".join(map(str, digits))
    exponent += len(digits) - len(digits.rstrip("0"))
    digits = digits.rstrip("0")
    point = len(digits) + exponent
    if -5 < point <= 0:
        text = "0." + "0" * -point + digits
    elif 0 < point <= 16:
        text = digits[:point].ljust(point, "0") + "." + (digits[point:] or "0")
    else:
        text = digits[0] + ("." + digits[1:] if digits[1:] else "") + f"e{point - 1:+}"
    return "-" * sign + text

def text(value):
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode())
        return "{" + ",".join(text(key) + ":" + text(item) for key, item in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)

if len(sys.argv) > 1:
    found = pathlib.Path(sys.argv[1]).read_bytes()
    canonical = text(json.loads(found)).encode()
    print("canonical" if canonical == found else "NOT canonical", hashlib.blake2b(canonical, digest_size=32).hexdigest())
else:
    rng = random.Random(5)
    numbers = [1.0, -1.0, 0.1, 1e-4, 1e-5, 1e-6, 1e-7, 1.5e-7, 0.00001234, 1e15, 1e16, 123456789012345680.0, 1e21, 5e-324, 0.05, -0.0, 0.3]
    while len(numbers) < 300:
        x = struct.unpack("<d", rng.randbytes(8))[0] if len(numbers) % 2 else rng.uniform(-1, 1) * 10 ** rng.randrange(-9, 20)
        numbers += [x] if math.isfinite(x) else []
    rows = [json.dumps([struct.pack(">d", x).hex(), number(x)]) for x in numbers]
    (pathlib.Path(__file__).parent / "canonical.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
