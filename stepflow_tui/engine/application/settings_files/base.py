"""What the formats of settings files have in common: places in a text, types of values, and dotted keys.

Every format edits the characters of one value and leaves all others as they are, so comments, order and line ends stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

Steps = tuple[str | int, ...]
"""A key, taken apart."""
Facts = dict[Steps, str]
"""All values of a file by where they stand, in a form that can be compared."""
Scalar = bool | int | float | str | None

_SEGMENT = re.compile(
    r"""\[\s*(?:"(?P<d>[^"]*)"|'(?P<s>[^']*)'|(?P<n>-?\d+))\s*\]|"(?P<D>[^"]*)"|'(?P<S>[^']*)'|(?P<w>[^.\[\]"']+)"""
)
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_FRACTION = re.compile(r"-?\d+\.\d+")
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_NULL = ("null", "none", "~", "nil")


class Unfit(Exception):
    """A key that can't be changed in this text. Says nothing of values.

    Args:
        code: `setting_*`.
        text: what is the matter, one clause.
        hint: what to do.
    """

    def __init__(self, code: str, text: str, hint: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands: its characters, what kind it is, and what it says. `steps` finds it among the facts."""

    start: int
    end: int
    kind: str  # bool, int, float, null, str
    value: str = field(repr=False)
    steps: Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """Characters that are replaced. `whole`: for patterns, its lines as they stand and as they will stand.

    `facts` are what the file must say at `steps` afterwards; None for a text without structure.
    """

    key: str
    start: int
    end: int
    text: str = field(repr=False)
    old: str | None = field(repr=False, default=None)
    new: str = field(repr=False, default="")
    added: bool = False
    whole: tuple[str, str] | None = field(repr=False, default=None)
    steps: Steps = ()
    facts: Facts | None = field(repr=False, default=None)

    def apply(self, text: str) -> str:
        """The text with this change."""
        return text[: self.start] + self.text + text[self.end :]


class Format(Protocol):
    """One format. Its methods are pure, and raise Unfit."""

    def place(self, text: str, key: str) -> Place | None:
        """Where the key's value stands, None if there is no such key."""
        ...

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """The change that makes the key say that."""
        ...

    def facts(self, text: str) -> Facts:
        """Everything the text says."""
        ...


def split_key(key: str) -> Steps:
    """`a.0.b`, `a["b.c"][0]` → its steps; whole numbers stay text, so that they fit both lists and mappings."""
    steps: list[str | int] = []
    at = 0
    while at < len(key):
        match = _SEGMENT.match(key, at)
        if match is None:
            raise Unfit("setting_key", "the key can't be read", 'write it as a.b.0.c, or a["b.c"][0]')
        steps.append(next(g for g in match.groups() if g is not None))
        at = match.end()
        if at < len(key) and key[at] == "." and at + 1 < len(key):
            at += 1
        elif at < len(key) and key[at] != "[":
            raise Unfit("setting_key", "the key can't be read", 'write it as a.b.0.c, or a["b.c"][0]')
    return tuple(steps)


def index_of(step: str | int) -> int | None:
    """The step as the index of a list, None where it is none."""
    text = str(step)
    return int(text) if text.isdecimal() else None


def typed(kind: str, wanted: str) -> Scalar:
    """The wanted text as a value of that kind; a null, or a key that is new (""), takes what the text looks like.

    Raises:
        Unfit: `setting_type`.
    """
    low = wanted.lower()
    if kind == "str":
        return wanted
    if kind == "bool" and low in _TRUE + _FALSE:
        return low in _TRUE
    if kind == "int" and _INTEGER.fullmatch(wanted):
        return int(wanted)
    if kind == "float" and _NUMBER.fullmatch(wanted):
        return float(wanted)
    if kind in ("null", ""):
        return _looks_like(wanted, null=kind == "null")
    named = {"bool": "true or false", "int": "a whole number", "float": "a number"}.get(kind, kind)
    raise Unfit("setting_type", f"the present value is {named}, the new one is not", "write a value of the same kind")


def _looks_like(wanted: str, *, null: bool) -> Scalar:
    if wanted in ("true", "false", "True", "False"):
        return wanted.lower() == "true"
    if null and wanted.lower() in _NULL:
        return None
    return int(wanted) if _INTEGER.fullmatch(wanted) else wanted


def number(value: object, wanted: str) -> str:
    """A number as it is written: a fraction stays one, `5` is a whole number to every reader."""
    return repr(value) if isinstance(value, float) and not _FRACTION.fullmatch(wanted) else wanted


def fact(value: Scalar) -> str:
    """A value as facts hold it: `True`, `1` and `"1"` are three things."""
    return f"{type(value).__name__}:{value}"


def line_end(text: str) -> str:
    """The line end the text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def appended(text: str, line: str, *, key: str, new: str, steps: Steps, facts: Facts) -> Splice:
    """A new line at the end of the text; a text without a line end at its end still has none."""
    end = line_end(text)
    whole = text == "" or text.endswith(("\n", "\r"))
    return Splice(
        key=key, start=len(text), end=len(text), text=line + end if whole else end + line,
        new=new, added=True, steps=steps, facts=facts,
    )  # fmt: skip


def one_line(wanted: str) -> None:
    """Refuse line ends and control characters, for formats of lines."""
    if any(not c.isprintable() and c != "\t" for c in wanted):
        raise Unfit("setting_value", "the new value has control characters or line ends", "write it without them")


def twice(key: str) -> Unfit:
    """A key that stands there more than once."""
    return Unfit("setting_twice", f"{key} stands there more than once, and readers differ in which one counts",
                 "remove all but one")  # fmt: skip


def missing(key: str, why: str) -> Unfit:
    """A key that is not there and can't be added."""
    return Unfit("setting_missing", f"there is no {key}, and {why}", "add it to the file by hand, or correct the key")
