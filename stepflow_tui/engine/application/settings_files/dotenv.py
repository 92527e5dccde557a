"""`.env`: names and values, one a line; quoted values may run over several lines.

Values are written so that every common reader (shells, dotenv libraries, compose, systemd) understands the same; a value that
can't be is refused. `docker run --env-file` alone takes quotes for a part of the value: a value goes without them where it can. A name that stands there twice is refused: some readers take the first, some the last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from stepflow_tui.engine.application.settings_files.base import (
    Facts,
    Place,
    Splice,
    Unfit,
    appended,
    fact,
    line_end,
    one_line,
    twice,
)

_START = re.compile(r"[^\S\r\n]*(export[^\S\r\n]+)?([A-Za-z_][\w.\-]*)[^\S\r\n]*=")
_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_BLANK = re.compile(r"[^\S\r\n]*")
_REST = re.compile(r"[^\r\n]*")
_AFTER = re.compile(r"[^\S\r\n]*(?:#[^\r\n]*)?(?=[\r\n]|\Z)")
_COMMENT = re.compile(r"[^\S\r\n]+#")
_NEXT = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    "'": re.compile(r"'([^']*)'"),
    "`": re.compile(r"`([^`]*)`"),
}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_NEEDS_QUOTES = re.compile(r"[\s#'\"`$\\]|(?:^|:)~")
_SHELL = re.compile(r"[&;|<>()*!?~{}\[\]]")
"""What a shell may not take as it is in `export NAME=value`."""
_ENDS_COMMAND = re.compile(r"[&;|<>()]")
"""What cuts even a plain `NAME=value` off: a shell that reads the file would lose the variable and run the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name with its value: `start` to `end` are the value's characters with its quotes."""

    name: str
    start: int
    end: int
    value: str = field(repr=False)
    quote: str
    exported: bool
    broken: bool = False  # begins with a quote that is not closed


_GOES_ON = re.compile(r"\\\Z|;[^\S\n]*(?:export|set|declare)\b")
"""`NAME=x\\` before a line end, and `NAME=x; export NAME`."""


def entries(text: str) -> list[Entry]:
    """All entries in order; lines that are none are passed over."""
    return list(_scan(text))


def _scan(text: str) -> Iterator[Entry]:
    at = 0
    while at < len(text):
        begin = _START.match(text, at)
        if begin:
            entry = _value(text, begin)
            yield entry
            at = entry.end
        at = _end(_NEXT, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _value(text: str, begin: re.Match[str]) -> Entry:
    name, exported = begin[2], bool(begin[1])
    at = _end(_BLANK, text, begin.end())
    quote = text[at : at + 1] if text[at : at + 1] in _QUOTED else ""
    quoted = _QUOTED[quote].match(text, at) if quote else None
    if quoted and _AFTER.match(text, quoted.end()):
        value = _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), quoted[1]) if quote == '"' else quoted[1]
        return Entry(name=name, start=at, end=quoted.end(), value=value, quote=quote, exported=exported)
    if text[at : at + 1] == "#" and at > begin.end():
        at = begin.end()  # `NAME= # nothing but a comment`
    raw = text[at : _end(_REST, text, at)]
    comment = _COMMENT.search(raw)
    plain = (raw[: comment.start()] if comment else raw).rstrip()
    if not plain:
        at = begin.end()
    return Entry(name=name, start=at, end=at + len(plain), value=plain, quote="", exported=exported, broken=bool(quote))


class Dotenv:
    """See `Format`."""

    def place(self, text: str, key: str) -> Place | None:
        """The name's value."""
        found = [e for e in entries(text) if e.name == key]
        if len(found) > 1:
            raise twice(key)
        if not found:
            return None
        entry = found[0]
        if entry.broken:
            raise Unfit("setting_unreadable", "its value begins with a quote that is not closed", "correct the line")
        if not entry.quote and _GOES_ON.search(entry.value):
            why = "its value goes on in the next line, or a command follows it: readers differ in where it ends"
            raise Unfit("setting_unreadable", why, "write the value alone, in one line")
        return Place(start=entry.start, end=entry.end, kind="str", value=entry.value, steps=(key, 0))

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """In the quotes it has where they can hold the value; a new name goes to the end."""
        if not _NAME.fullmatch(key):
            raise Unfit("setting_key", "this is no name of a variable", "letters, digits and _")
        facts: Facts = {(key, 0): fact(wanted)}
        found = entries(text)
        exporting = any(e.exported for e in found)
        shell: re.Pattern[str] | None = _SHELL if exporting else _ENDS_COMMAND
        if any(not e.quote and _ENDS_COMMAND.search(e.value) for e in found if e.name != key):
            shell = None  # no shell reads this file
        place = self.place(text, key)
        if place is None and re.search(
            rf"^[^\S\n]*(export[^\S\n]+)?{re.escape(key)}[^\S\n]*(:|\r?$)", text, re.MULTILINE
        ):
            raise Unfit(
                "setting_unreadable",
                "it stands there without =",
                "write NAME=value: not every reader takes it as it is",
            )
        if place is None:
            lead = "export " if exporting and all(e.exported for e in found) else ""
            line = f"{lead}{key}={_written(wanted, '', shell=shell, end=line_end(text))}"
            return appended(text, line, key=key, new=wanted, steps=(key, 0), facts=facts)
        quote = text[place.start : place.start + 1] if place.end > place.start else ""
        quote = quote if quote in _QUOTED else ""
        written = _written(wanted, quote, shell=shell, end=line_end(text))
        return Splice(
            key=key, start=place.start, end=place.end, text=written, old=place.value, new=wanted,
            steps=place.steps, facts=facts,
        )  # fmt: skip

    def facts(self, text: str) -> Facts:
        """Every entry by name and occurrence."""
        found: Facts = {}
        times: Counter[str] = Counter()
        for entry in entries(text):
            found[entry.name, times[entry.name]] = fact(entry.value)
            times[entry.name] += 1
        return found


def _written(wanted: str, quote: str, *, shell: re.Pattern[str] | None, end: str) -> str:
    lines = "\n" in wanted
    one_line(wanted.replace("\n", ""))
    if (lines and end != "\n") or "${" in wanted:
        raise Unfit(
            "setting_value",
            "readers of .env files would not agree on the new value",
            "choose one without line ends and ${",
        )
    if not quote and not _NEEDS_QUOTES.search(wanted) and not (shell and shell.search(wanted)):
        return wanted
    fits = {
        '"': not set(wanted) & set('"\\$`'),
        "'": "'" not in wanted and not wanted.endswith("\\") and "\\\\" not in wanted,
        "`": False,
    }
    for mark in ('"' if lines else quote, "'", '"'):
        if fits.get(mark):
            return f"{mark}{wanted}{mark}"
    raise Unfit("setting_value", "the new value has characters that no quotes of a .env file can hold for all readers",
                "choose one without both kinds of quotes, or percent-encode it")  # fmt: skip
