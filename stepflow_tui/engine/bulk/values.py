"""SQLite values as Python sees them on the slow way, with the storage class kept apart, and the refusal of one."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.model.discrepancy import Scalar


@dataclass(frozen=True, slots=True)
class BadText:
    """TEXT that does not decode: its bytes as the file stores them."""

    raw: bytes
    encoding: str

    def replaced(self) -> str:
        """The text with U+FFFD where it does not decode."""
        return self.raw.decode(self.encoding, "replace")


Value = int | float | str | BadText | bytes
"""A value that is not NULL: `str` and `BadText` are TEXT, `bytes` is a BLOB."""


class Refusal(Exception):
    """The target can't hold a value exactly.

    Args:
        reason: one phrase.
        bad_text: it is text with NUL or undecodable bytes (`on_bad_value` speaks about these only).
    """

    def __init__(self, reason: str, *, bad_text: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.bad_text = bad_text


def decode(raw: bytes, encoding: str) -> str | BadText:
    """TEXT bytes strictly decoded."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return BadText(raw, encoding)


def printable_bytes(value: Value | None) -> bytes | None:
    """A value for the list of rejects: TEXT and BLOB as their bytes, numbers as written."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, BadText):
        return value.raw
    return value.encode() if isinstance(value, str) else repr(value).encode()


def scalar(value: Value | None) -> Scalar:
    """A value as part of a key in JSON: undecodable text as its bytes, infinities as text."""
    if isinstance(value, BadText):
        return value.raw
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return repr(value)
    return value
