#!/usr/bin/env python3
"""Makes the examples of docs/duty-protocol.md: bytes of messages between node and worker, by the rules that the page states.

    cli/tests/golden/duty.py

Nothing but Python's own library; cli/tests/duty.rs compares the page with the crate that both programs use.
"""

import hashlib


def u8(n):
    return n.to_bytes(1, "little")


def u16(n):
    return n.to_bytes(2, "little")


def u32(n):
    return n.to_bytes(4, "little")


def u64(n):
    return n.to_bytes(8, "little")


def compact(n):
    """The length of a list of fewer than 64, or of fewer than 16,384 elements."""
    return u8(n << 2) if n < 64 else u16(n << 2 | 1)


def some(inner):
    return b"\1" + inner


def a_list(items):
    return compact(len(items)) + b"".join(items)


NONE = b"\0"
ZERO = bytes(32)
GENESIS, AGREEMENT, SPEC = bytes([0x11]) * 32, bytes([0x22]) * 32, bytes([0x33]) * 32
ALDER, BIRCH = bytes([0xA1]) * 32, bytes([0xB1]) * 32
BASE, STATISTICS, UPDATE, MERGED = bytes([0x44]) * 32, bytes([0x55]) * 32, bytes([0x66]) * 32, bytes([0x77]) * 32
INPUTS = bytes([0x88]) * 32
TRAIN, MERGE = 3, 4


def duty(kind, round_, base, statistics):
    return u8(kind) + GENESIS + u32(7) + AGREEMENT + u32(round_) + ALDER + base + statistics


def order(named, base, inputs, merge, output, attested, before):
    return (named + SPEC + some(base + u64(1_000)) + some(STATISTICS + u64(400)) + a_list(inputs) + merge + u64(output)
            + a_list(attested) + u8(before))


def request(orders, ahead):
    return u8(6) + a_list([]) + a_list(orders) + a_list(ahead)


def reply(named, state):
    return u8(6) + a_list([hashlib.blake2b(named, digest_size=32).digest() + state])


train = duty(TRAIN, 3, BASE, STATISTICS)
attested = u8(1) + u32(2) + INPUTS + BASE
merge = duty(MERGE, 3, INPUTS, ZERO)
inputs = [who + bytes([mark]) * 32 + root + u64(1_200) + u32(weight)
          for who, mark, root, weight in [(ALDER, 0x0A, UPDATE, 130), (BIRCH, 0x0B, MERGED, 120)]]
# the mean, weighted by samples; no liars, no bound, no mixing, no optimiser
mean = some(u8(0) + u8(1) + u32(0) + NONE + u8(0) + NONE)

EXAMPLES = {
    "A training is asked for": request([order(train, BASE, [], NONE, 1_200, [attested], True)], [NONE]),
    "The name of that duty": hashlib.blake2b(train, digest_size=32).digest(),
    "The worker lacks the specification": reply(train, u8(2)),
    "A quarter of it is done": reply(train, u8(1) + u32(250_000)),
    "The update is there": reply(train, u8(4) + u8(0) + UPDATE + some(u32(431_200))),
    "The site does not allow it": reply(train, u8(5) + u8(9)),
    "A merge is asked for, and what follows it": request([order(merge, BASE, inputs, mean, 1_000, [attested], False)],
                                                        [some(u8(0) + u64(1_200))]),
    "The second input is not here yet": reply(merge, u8(3) + u64(0b01) + u64(0)),
}

for title, example in EXAMPLES.items():
    text = example.hex()
    print(f"### {title}\n\n```hex")
    print("\n".join(text[at:at + 96] for at in range(0, len(text), 96)))
    print("```\n")
