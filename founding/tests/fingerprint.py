"""Prints the fingerprint of a card with nothing of this project: python3 fingerprint.py CARD.json

BLAKE2b-256 of "consilium/card/1" and the card as JSON, without its two signatures, keys sorted, without white space; of it
the first 24 hexadecimal digits.
"""
import hashlib
import json
import sys

card = json.load(open(sys.argv[1], encoding="utf-8"))
said = {name: value for name, value in card.items() if name not in ("node_signature", "account_signature")}
canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
digits = hashlib.blake2b(b"consilium/card/1" + canonical, digest_size=32).hexdigest()[:24]
print(" ".join(digits[at : at + 4] for at in range(0, 24, 4)))
