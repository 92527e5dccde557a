"""INI: `section.key`, also keys before the first section; `=` or `:`, full-line and inline comments.

A value is written as it is; `%` is doubled where the file's own values show that its reader interpolates.
"""

from __future__ import annotations

import configparser
import re
from collections import Counter
from dataclasses import dataclass, field

from stepflow_tui.engine.application.settings_files.base import (
    Facts,
    Place,
    Splice,
    Unfit,
    appended,
    fact,
    line_end,
    missing,
    one_line,
    twice,
)

_SECTION = re.compile(r"[^\S\r\n]*\[([^\]\r\n]+)\]")
_COMMENT = re.compile(r"[^\S\r\n]*[#;]")
_PAIR = re.compile(r"([^\s=:#;\[][^=:\r\n]*?)[^\S\r\n]*([=:])[^\S\r\n]*")
_INLINE = re.compile(r"[^\S\r\n]+[#;]")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_INTERPOLATES = re.compile(r"%\([^)\r\n]+\)s|%%")
_PERCENT = re.compile(r"%(?![(%])")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    section: str
    name: str
    start: int
    end: int
    value: str = field(repr=False)
    lines: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    options: tuple[_Option, ...]
    sections: tuple[tuple[str, int], ...]  # name, where a new line of it would go
    doubled: bool


def _scan(text: str) -> _Read:
    options: list[_Option] = []
    sections: list[tuple[str, int]] = []
    section, at = "", 0
    while at < len(text):
        match = _LINE.match(text, at)
        line, end = (match[0], match.end()) if match else (text[at:], len(text))
        head = _SECTION.match(line)
        if _COMMENT.match(line) or not line.strip():
            pass
        elif line[0] in " \t" and options and not head:
            options[-1] = _longer(options[-1])
            sections = _moved(sections, end)
        elif head:
            section = head[1]
            sections.append((section, end))
        else:
            options += _option(line, at, section)
            sections = _moved(sections, end)
        at = end
    values = " ".join(o.value for o in options)
    doubled = bool(_INTERPOLATES.search(values)) and not _PERCENT.search(_INTERPOLATES.sub("", values))
    return _Read(options=tuple(options), sections=tuple(sections), doubled=doubled)


def _moved(sections: list[tuple[str, int]], end: int) -> list[tuple[str, int]]:
    return [*sections[:-1], (sections[-1][0], end)] if sections else sections


def _longer(option: _Option) -> _Option:
    return _Option(section=option.section, name=option.name, start=option.start, end=option.end, value=option.value,
                   lines=option.lines + 1)  # fmt: skip


def _option(line: str, at: int, section: str) -> list[_Option]:
    pair = _PAIR.match(line)
    if not pair:
        return []
    start = pair.end()
    raw = line[start:].rstrip("\r\n")
    if raw[:1] in ("#", ";") and pair[0][-1:].isspace():
        start = pair.end(2)
        raw = line[start:].rstrip("\r\n")
    inline = _INLINE.search(raw)
    value = (raw[: inline.start()] if inline else raw).rstrip()
    return [_Option(section=section, name=pair[1], start=at + start, end=at + start + len(value), value=value)]


class Ini:
    """See `Format`."""

    def place(self, text: str, key: str) -> Place | None:
        """The option; its name may differ in case, as most readers don't tell."""
        read = _scan(text)
        section, name = _split(read, key)
        found = [o for o in read.options if o.section == section and o.name == name]
        found = found or [o for o in read.options if o.section == section and o.name.lower() == name.lower()]
        if len(found) > 1 or sum(1 for s, _ in read.sections if s == section) > 1:
            raise twice(key)
        if not found:
            return None
        if found[0].lines > 1:
            raise Unfit("setting_lines", "its value runs over several lines", "write it in one line")
        return Place(start=found[0].start, end=found[0].end, kind="str", value=found[0].value,
                     steps=(section, found[0].name, 0))  # fmt: skip

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """In the quotes it has; a new option goes to the end of its section."""
        one_line(wanted)
        read = _scan(text)
        place = self.place(text, key)
        section, _ = _split(read, key)
        value = wanted.replace("%", "%%") if read.doubled or section == "alembic" else wanted
        if place is None:
            return _added(text, read, key, value)
        quote = (
            place.value[0]
            if len(place.value) > 1 and place.value[0] in "\"'" and place.value[-1] == place.value[0]
            else ""
        )
        written = f"{quote}{value}{quote}"
        _check(value, quote)
        lead = " " if place.start == place.end and text[place.start - 1 : place.start] in "=:" and " = " in text else ""
        return Splice(
            key=key, start=place.start, end=place.end, text=lead + written, old=place.value, new=wanted,
            steps=place.steps, facts={place.steps: fact(written)},
        )  # fmt: skip

    def facts(self, text: str) -> Facts:
        """Every option by section, name and occurrence; and what the standard reader makes of it, where it can read it."""
        found: Facts = {}
        times: Counter[tuple[str, str]] = Counter()
        for option in _scan(text).options:
            where = (option.section, option.name)
            found[*where, times[where]] = fact(option.value) + "\n" * (option.lines - 1)
            times[where] += 1
        return found | {("configparser",): str(_readable(text))}


def _readable(text: str) -> bool:
    """Whether the standard reader takes the file."""
    parser = configparser.RawConfigParser(strict=True, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return False
    return True


def _split(read: _Read, key: str) -> tuple[str, str]:
    """Section and name: names of sections may contain dots themselves."""
    dots = [i for i, c in enumerate(key) if c == "."]
    known = {s for s, _ in read.sections}
    fits = [(key[:i], key[i + 1 :]) for i in dots if key[:i] in known and i + 1 < len(key)]
    if len(fits) > 1:
        there = [f for f in fits if any((o.section, o.name) == f for o in read.options)]
        if len(there) != 1:
            raise Unfit("setting_key", "it fits several sections", "rename a section, or use `pattern`")
        return there[0]
    if fits:
        return fits[0]
    whole = [o for o in read.options if not o.section and o.name == key]
    return ("", key) if whole or not dots or not known else (key[: dots[0]], key[dots[0] + 1 :])


def _check(value: str, quote: str) -> None:
    bad = (
        quote in value
        if quote
        else bool(_INLINE.search(f" {value}" if value[:1] in "#;" else value)) or value != value.strip()
    )
    if bad:
        raise Unfit(
            "setting_value", "the new value would be read as a comment, or cut", "choose one without # ; and quotes"
        )


def _added(text: str, read: _Read, key: str, value: str) -> Splice:
    section, name = _split(read, key)
    if not name or not _PAIR.fullmatch(f"{name}=") or (not section and read.sections):
        raise missing(key, "it names no section of the file")
    _check(value, "")
    facts: Facts = {(section, name, 0): fact(value)}
    line = f"{name} = {value}" if " = " in text or "=" not in text else f"{name}={value}"
    ends = [end for s, end in read.sections if s == section]
    if section and not ends:
        raise missing(key, f"there is no section [{section}]")
    if not ends or ends[0] == len(text):
        return appended(text, line, key=key, new=value, steps=(section, name, 0), facts=facts)
    return Splice(key=key, start=ends[0], end=ends[0], text=line + line_end(text), new=value, added=True,
                  steps=(section, name, 0), facts=facts)  # fmt: skip
