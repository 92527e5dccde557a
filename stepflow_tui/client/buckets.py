"""Which side a key reads from: the one bucket function, the same in Python, in SQL, and in any other language.

`bucket = first 8 bytes of sha256(length of salt ":" salt key), big-endian, mod 10,000`; the new side is read iff
`bucket < share`, where the share counts hundredths of a per cent. The salt stays the same for a whole run, so a rising
share only adds keys and a falling one only takes some away. Why not `hash()`: it differs from process to process.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

Side = Literal["sqlite", "postgresql"]
"""The two databases, as they are written everywhere."""

OLD: Final = "sqlite"
NEW: Final = "postgresql"

BUCKETS: Final = 10_000
"""A share of 10,000 is everything."""

Key = str | int | bytes | UUID
"""What a key may be."""

VECTORS: Final[tuple[tuple[str, str, int], ...]] = (
    ("", "", 3820),
    ("", "30", 4689),
    ("salt", "3432", 2210),
    ("salt", "757365722d31", 6268),
    ("salt", "5a6fc3ab", 5529),
    ("sälz", "3432", 5626),
    ("1:2", "33", 3499),
    ("1", "323a33", 9777),
    ("a1b2c3d4", "36663936313966662d386238362d643031312d623432642d303063303466633936346666", 6568),
    ("a1b2c3d4", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 9976),
    ("a1b2c3d4", "78" * 100, 3303),
)
"""Test vectors: salt, key bytes in hexadecimal, bucket."""


def key_bytes(key: Key) -> bytes:
    """The canonical bytes of a key: text as UTF-8 as it stands, integers in decimal, UUIDs in their 36 lower-case
    characters, bytes unchanged. So 42 and "42" are the same key.

    Raises:
        TypeError: anything else. A float or a tuple has no one way to be written; the caller chooses one.
    """
    if isinstance(key, str):
        return key.encode("utf-8")
    if isinstance(key, bytes):
        return key
    if isinstance(key, UUID) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(key).encode("ascii")
    raise TypeError(f"a key must be str, int, bytes or UUID, not {type(key).__name__}")


def bucket(salt: str, key: Key) -> int:
    """The bucket of a key, 0 to 9,999. Raises TypeError as `key_bytes`."""
    raw = salt.encode("utf-8")
    digest = sha256(b"%d:%b%b" % (len(raw), raw, key_bytes(key))).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def side_of(salt: str, share: int, key: Key) -> Side:
    """The side a key reads from at a share of 0 to 10,000 hundredths of a per cent."""
    return NEW if bucket(salt, key) < share else OLD
