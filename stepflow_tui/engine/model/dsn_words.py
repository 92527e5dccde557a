"""libpq's other way to write an address: `host=/run/x dbname=shop password='it\\'s'`. No message repeats the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SECRET_KEYS = frozenset({"password", "sslpassword"})

_START = re.compile(r"\s*[A-Za-z_]+\s*=")
_KEY = re.compile(r"\s*([^\s=]+)\s*(=?)\s*")
_VALUE = re.compile(r"'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<open>')|(?P<plain>(?:[^\s\\]|\\.|\\\Z)*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


class BadWordsError(ValueError):
    """The text isn't a keyword/value string that libpq would take; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One setting. `start` and `end` say where its value stands in the text, quotation marks included."""

    key: str
    value: str = field(repr=False)
    start: int
    end: int


def in_words(dsn: str) -> bool:
    """Whether the text is written as keywords and values, rightly or wrongly."""
    return _START.match(dsn) is not None


def words(dsn: str) -> tuple[Word, ...]:
    """The settings, in their order, as libpq reads them: `'…'` holds blanks, a backslash takes the next character as it is.

    Raises:
        BadWordsError: a name without `=`, a quotation mark that isn't closed, a NUL.
    """
    if "\x00" in dsn:
        raise BadWordsError("it holds a NUL character")
    return tuple(_each(dsn.rstrip() if not dsn.rstrip().endswith("\\") else dsn))


def _each(dsn: str) -> Iterator[Word]:
    position = 0
    while dsn[position:].strip():
        key = _KEY.match(dsn, position)
        if key is None or not key[2]:
            raise BadWordsError("a keyword has no = and value; a value with blanks stands in '…'")
        value = _VALUE.match(dsn, key.end())
        if value is None or value["open"]:
            raise BadWordsError("a quotation mark ' isn't closed")
        raw = value["plain"] if value["quoted"] is None else value["quoted"]
        yield Word(key=key[1], value=_ESCAPED.sub(r"\1", raw), start=value.start(), end=value.end())
        position = value.end()


def options(dsn: str) -> dict[str, str]:
    """The settings by name; of two with one name the last counts, as with libpq.

    Raises:
        BadWordsError: see `words`.
    """
    return {word.key: word.value for word in words(dsn)}


def replace_secrets(dsn: str, hidden: Callable[[str], str]) -> str:
    """The text with each password replaced. What can't be read is not returned in part.

    Args:
        hidden: what stands in the value's place, by the value as it is written.

    Raises:
        BadWordsError: see `words`.
    """
    parts, done = [], 0
    for word in words(dsn):
        if word.key.lower() in SECRET_KEYS:
            parts += [dsn[done : word.start], hidden(dsn[word.start : word.end])]
            done = word.end
    return "".join([*parts, dsn[done:]])


def secrets_in(dsn: str) -> set[str]:
    """The passwords of an address in this form, as they are and as they are written; empty of any other text."""
    if not in_words(dsn):
        return set()
    try:
        found = [w for w in words(dsn) if w.key.lower() in SECRET_KEYS]
    except BadWordsError:
        # where the password ends isn't known
        return {dsn} if any(key in dsn.lower() for key in SECRET_KEYS) else set()
    return {text for w in found for text in (w.value, dsn[w.start : w.end]) if text.strip("'")}


def quoted(value: str) -> str:
    """A value as libpq reads it back."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return escaped if re.fullmatch(r"\S+", value) else f"'{escaped}'"
