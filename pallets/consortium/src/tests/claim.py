#!/usr/bin/env python3
"""Makes the golden bytes in institution.rs: a peer id and its claim, with nothing of this project's code."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

node = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
key = node.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
peer_id = bytes.fromhex("002408011220") + key

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
number = 0
for digit in "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp":
    number = number * 58 + BASE58.index(digit)
assert number.to_bytes(38, "big") == peer_id

claim = b"consilium/peer/1" + bytes([0x45]) * 32 + (7).to_bytes(8, "little") + peer_id
print("key      ", key.hex())
print("peer id  ", peer_id.hex())
print("claim    ", claim.hex())
print("signature", node.sign(claim).hex())
