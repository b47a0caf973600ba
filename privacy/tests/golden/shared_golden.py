"""Golden numbers for noise that the sites of a masked sum share.

    python3 shared_golden.py > shared_golden.json

By `decimal`, with 50 digits; mpmath says the same by

    s = 30 - range_log2;  C_eff = mpf(clip_micro) / 10**6 + sqrt(P) * mpf(2)**-s
    deviation = mpf(sigma_1024) / 1024 * C_eff / sqrt(u - c);  units = deviation * mpf(2)**s
"""
import json
from decimal import Decimal, getcontext

getcontext().prec = 50
CASES = [  # clip_micro, sigma_1024, range_log2, parameters, least, colluders, what
    (1_000_000, 22690, 16, 513, 4, 1, "30-16-1 at epsilon 1 in 30 rounds, shared by three"),
    (1_000_000, 22690, 16, 513, 3, 1, "the same, shared by two"),
    (1_000_000, 6494, 9, 513, 4, 1, "at epsilon 4, on a finer grid"),
    (500_000, 13100, 16, 4_560_000, 5, 3, "a large net, where rounding shows"),
    (1_000_000, 13100, 16, 513, 3, 2, "one site alone has all of it"),
    (250_000, 2885, -16, 1, 64, 21, "the finest grid"),
    (1_000, 3579, 16, 1_000_000, 9, 1, "more rounding than clip"),
]


def case(clip_micro, sigma_1024, range_log2, parameters, least, colluders, what):
    unit = Decimal(2) ** (range_log2 - 30)
    rounding = Decimal(parameters).sqrt() * unit
    effective = Decimal(clip_micro) / 10**6 + rounding
    deviation = Decimal(sigma_1024) / 1024 * effective / Decimal(least - colluders).sqrt()
    return {
        "what": what, "clip_micro": clip_micro, "sigma_1024": sigma_1024, "range_log2": range_log2, "parameters": parameters,
        "least": least, "colluders": colluders, "exponent": 30 - range_log2, "rounding": str(rounding), "sensitivity": str(effective),
        "deviation": str(deviation), "units": str(deviation / unit),
    }


print(json.dumps({"cases": [case(*c) for c in CASES]}, indent=1))
