"""Blotting known secrets out of text and data before they are written anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

MASK = "***"
_URI_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@", re.IGNORECASE)
_PASSWORD_WORD = re.compile(r"(\bpassword\s*=\s*)(?!#fp:[0-9a-f]{10}\b)('(?:[^'\\]|\\.)*'|[^\s&;,]+)", re.IGNORECASE)
_VARIABLE = re.compile(
    r"(\b[A-Z][A-Z0-9_]*(?:PASSWORD|PASSWD|PASSPHRASE)=)(?!#fp:[0-9a-f]{10}\b)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;,]+)"
)
"""`DB_PASSWORD=…`, as shells and files of environment variables write it."""
_QUOTED = re.compile(r"(?s)b?'.*'|b?\".*\"")
_SHORTEST = 4
"""Shorter secrets would blot out ordinary words; the forms around a password are found by pattern anyway."""

Redact = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """A function that replaces every given secret, and every password in a URI or keyword DSN, by `***`."""
    known = sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(s) for s in known)) if known else None

    def redact(text: str) -> str:
        text = _URI_PASSWORD.sub(rf"\g<1>{MASK}@", text)
        text = _VARIABLE.sub(rf"\g<1>{MASK}", text)
        text = _PASSWORD_WORD.sub(rf"\g<1>{MASK}", text)
        return pattern.sub(MASK, text) if pattern else text

    return redact


def unquoted(text: str) -> str:
    """The text without what stands in quotation marks: Python's own errors quote the value they are about."""
    return _QUOTED.sub(MASK, text)


def redact_data(value: Any, redact: Redact) -> Any:
    """Plain data with every string in it redacted; keys stay, they are ours."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: redact_data(v, redact) for k, v in value.items()}
    if isinstance(value, list):
        return [redact_data(v, redact) for v in value]
    return value
