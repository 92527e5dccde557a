"""Blotting known secrets out of text and data before they are written anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from stepflow_tui.engine.model.secret_words import sounds_secret

MASK = "***"
_URI_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]{0,40}://[^\s:/@]*:)[^\s@/]+@", re.IGNORECASE)
_OPTION = re.compile(
    r"((?:password|passwort|passwd|passphrase|passcode|kennwort|secret|token|api[_-]?key|private[_-]?key|signing[_-]?key)\s*=\s*)"
    r"(?!\*\*\*(?:[\s&;,\"'}\])]|$)|#fp:[0-9a-f]{10}\b)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;,]+)",
    re.IGNORECASE,
)
"""`password=…`, `client_secret = …`, as connection strings, addresses and files of settings write it."""
_VARIABLE = re.compile(r"\b([A-ZÄÖÜ][A-ZÄÖÜ0-9_]*)=")
_VALUE = re.compile(
    r"(?!\*\*\*(?:[\s&;,\"'}\])]|$)|#fp:[0-9a-f]{10}\b)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;,]+)",
)
"""`DB_PASSWORD=…`, as shells and files of environment variables write it."""
_BESIDE = re.compile(r"(?<![\w.-])([\w.-]+)[\"']?[ \t]*[:=][ \t]*")
_BESIDE_VALUE = re.compile(
    r"(?!\*\*\*(?:[\s&;,}\]\"']|$))(?:(?:bearer|basic)[ \t]+\S+|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&}\]]+)",
    re.IGNORECASE,
)
"""`token: …`, `"api_key": "…"`, as logs and JSON write it."""
_QUOTED = re.compile(r"(?s)b?'.*'|b?\".*\"")
_CUT = re.compile(r"[\s&;,@/'\"\\]")
"""At these the patterns take a value to be over: a secret that holds one is blotted out before them, or its end would stay."""
_SHORTEST = 4
"""Shorter secrets would blot out ordinary words; the forms around a password are found by pattern anyway."""

Redact = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """A function that replaces by `***` every given secret, every password in an address, and what is assigned (`=`) to a
    name that sounds secret."""
    known = sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True)
    pattern = _any_of(known)
    first = _any_of(s for s in known if _CUT.search(s))

    def redact(text: str) -> str:
        text = first.sub(MASK, text) if first else text
        text = _URI_PASSWORD.sub(rf"\g<1>{MASK}@", text)
        text = _beside(text, _VARIABLE, _VALUE)
        text = _OPTION.sub(rf"\g<1>{MASK}", text)
        return pattern.sub(MASK, text) if pattern else text

    return redact


def _any_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    found = [re.escape(secret) for secret in secrets]
    return re.compile("|".join(found)) if found else None


def without_named(text: str) -> str:
    """The text without values beside names that sound secret, however they are written: for lines of foreign logs."""
    return _beside(text, _BESIDE, _BESIDE_VALUE)


def _beside(text: str, name: re.Pattern[str], value: re.Pattern[str]) -> str:
    """A value is taken for one only behind a name that sounds secret: in `INFO: token=…` the first value holds the second name."""
    parts, done = [], 0
    for found in name.finditer(text):
        hidden = value.match(text, found.end()) if found.start() >= done and sounds_secret(found[1]) else None
        if hidden is not None:
            parts += [text[done : found.end()], MASK]
            done = hidden.end()
    return "".join([*parts, text[done:]])


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
