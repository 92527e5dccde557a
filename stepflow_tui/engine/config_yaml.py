"""Reads a config file's text into mappings, lists and texts, each with its line. Nothing is guessed: every scalar stays text.

Works on the parser's events, so tags, anchors, duplicate keys and deep nesting are seen before anything is built from them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stepflow_tui.engine.errors import ConfigError

MAX_BYTES = 262_144
"""Largest config file; real ones have a few kilobytes."""
MAX_DEPTH = 16
"""Deepest nesting; the schema needs 6."""

Node = dict[str, Any] | list[Any] | str | None
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: where (line, key path), what, and how to solve it."""

    line: int
    keys: str
    text: str
    hint: str

    def show(self, file: str) -> str:
        """`file:line: key.path: problem (hint)`."""
        where = f"{file}:{self.line}:" + (f" {self.keys}:" if self.keys else "")
        return f"{where} {self.text}" + (f" ({self.hint})" if self.hint else "")


@dataclass(slots=True)
class Document:
    """The file's content as written, the line of every key path, and the problems found so far."""

    root: Node = None
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path_) -> int:
        """The line of a key path, else of its nearest parent."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: Path_, text: str, hint: str) -> None:
        """Note a problem at a key path."""
        self.problems.append(Problem(self.line(path), dotted(path), text, hint))


def dotted(path: Path_) -> str:
    """`a.b[0].c`."""
    shown = ""
    for part in path:
        name = part if isinstance(part, int) or part.isprintable() else ascii(part)
        shown += f"[{name}]" if isinstance(part, int) else f".{name}" if shown else str(name)
    return shown


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        ConfigError: it is missing, not a regular file, unreadable or too large.
    """
    try:
        # O_NONBLOCK: opening a pipe nobody writes to must not hang
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no config file {path}.",
            hint="`stepflow init sqlite-to-postgres` writes one; or name another file.",
            code="config_missing",
        ) from None
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        raise ConfigError(
            f"The config file {path} can't be opened: {reason}.", hint="Check the path and its permissions."
        ) from exc
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise ConfigError(f"{path} is {what}, not a config file.", hint="Name the YAML file itself.")
    with os.fdopen(fd, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"The config file {path} is larger than {MAX_BYTES // 1024} KiB.", hint="Is it the right file?"
        )
    return data


def parse(data: bytes) -> Document:
    """The document, with all problems that the text itself has; after a syntax error `root` is None."""
    document = Document()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        document.problems.append(Problem(line, "", "the text isn't UTF-8", "save the file as UTF-8"))
        return document
    try:
        _Builder(document, yaml.parse(text, Loader=yaml.SafeLoader)).build()
    except _Stop:
        document.root = None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        words, hint = _syntax_words(text, exc, mark.line if mark else 0)
        document.root = None
        document.problems.append(Problem(mark.line + 1 if mark else 1, "", words, hint))
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        document.root = None
        document.problems.append(
            Problem(line, "", f"the character U+{ord(text[exc.position]):04X} isn't allowed", "remove it")
        )
    return document


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _syntax_words(text: str, exc: yaml.MarkedYAMLError, line: int) -> tuple[str, str]:
    lines = text.splitlines()
    shown = lines[line] if line < len(lines) else ""
    if "\t" in shown[: len(shown) - len(shown.lstrip())] or "'\\t'" in (exc.problem or ""):
        return "a tab in the indentation", "indent with spaces"
    # the parser's words name single characters at most, never a value
    return (
        f"not valid YAML: {exc.problem or exc.context or 'syntax error'}",
        "check indentation, colons and quotes here",
    )


class _Stop(Exception):  # control flow: nothing after this place can be read
    pass


class _Builder:
    """Builds the nodes from parser events, noting problems."""

    def __init__(self, document: Document, events: Iterator[yaml.Event]) -> None:
        self._document = document
        self._events = events

    def build(self) -> None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self._document.root is not None:
                    self._stop(event, (), "a second document", "one `---` document per file")
                self._document.root = self._node(next(self._events), ())

    def _stop(self, event: yaml.Event, path: Path_, text: str, hint: str) -> None:
        self._document.problems.append(Problem(_line(event), dotted(path), text, hint))
        raise _Stop

    def _node(self, event: yaml.Event, path: Path_) -> Node:
        self._document.lines.setdefault(path, _line(event))
        if len(path) > MAX_DEPTH:
            self._stop(event, path[:3], "nested too deeply", f"at most {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            self._document.add(path, "an alias (`*`)", "write the value out; quote a text that begins with *")
            return None
        if getattr(event, "anchor", None) is not None:
            self._document.add(path, "an anchor (`&`)", "write the value out; quote a text that begins with &")
        if getattr(event, "tag", None) is not None:
            self._document.add(path, "a tag (`!`)", "remove it; quote a text that begins with !")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)
        return None if event.style is None and event.value in ("", "~", "null") else event.value

    def _mapping(self, path: Path_) -> Node:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, path, "a key that isn't plain text", "quote a key that begins with [, {, * or &")
            key = getattr(event, "value", "")
            here = (*path, key)
            if key in found:
                first = self._document.line(here)
                self._document.problems.append(
                    Problem(
                        _line(event),
                        dotted(here),
                        f"given twice, first in line {first}",
                        "keep one of them",
                    )
                )
            else:
                self._document.lines[here] = _line(event)
            found[key] = self._node(next(self._events), here)
        return found

    def _sequence(self, path: Path_) -> Node:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._node(event, (*path, len(found))))
        return found
