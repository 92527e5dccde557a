"""JSON, also with comments and trailing commas: the characters of one value are replaced, or a member is added."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from stepflow_tui.engine.application.settings_files.base import (
    Facts,
    Place,
    Splice,
    Steps,
    Unfit,
    fact,
    index_of,
    missing,
    number,
    split_key,
    twice,
    typed,
)

MAX_DEPTH = 100
_SKIP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_WORD = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_KIND = {"true": "bool", "false": "bool", "null": "null"}


@dataclass(slots=True, kw_only=True)
class _Node:
    kind: str  # map, list, and the kinds of scalars
    start: int
    end: int = 0
    pairs: list[tuple[str, int, _Node]] = field(default_factory=list)  # name, where its key begins, value
    items: list[_Node] = field(default_factory=list)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def bad(self) -> Unfit:
        line = self.text.count("\n", 0, self.at) + 1
        return Unfit(
            "setting_unreadable", f"it is no JSON (line {line})", "correct it; the application could not read it either"
        )

    def skip(self) -> str:
        """Past blanks and comments; the next character."""
        match = _SKIP.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def root(self) -> _Node:
        node = self.node(0)
        if self.skip():
            raise self.bad()
        return node

    def node(self, depth: int) -> _Node:
        first = self.skip()
        if depth > MAX_DEPTH:
            raise self.bad()
        if first in ("{", "["):
            return self._many(first, depth)
        node = _Node(kind="str", start=self.at)
        match = _STRING.match(self.text, self.at) if first == '"' else _WORD.match(self.text, self.at)
        if not match:
            raise self.bad()
        if first != '"':
            node.kind = _KIND.get(match[0], "float" if match[1] or match[2] else "int")
        node.end = self.at = match.end()
        return node

    def _many(self, first: str, depth: int) -> _Node:
        node = _Node(kind="map" if first == "{" else "list", start=self.at)
        close = "}" if first == "{" else "]"
        self.at += 1
        while self.skip() != close:
            if first == "{":
                self._pair(node, depth)
            else:
                node.items.append(self.node(depth + 1))
            if self.skip() == ",":
                self.at += 1
            elif self.skip() != close:
                raise self.bad()
        self.at += 1
        node.end = self.at
        return node

    def _pair(self, node: _Node, depth: int) -> None:
        begin = self.at
        match = _STRING.match(self.text, self.at)
        if not match:
            raise self.bad()
        self.at = match.end()
        if self.skip() != ":":
            raise self.bad()
        self.at += 1
        node.pairs.append((str(json.loads(match[0])), begin, self.node(depth + 1)))


def _flat(text: str, node: _Node, steps: Steps, found: Facts) -> None:
    if node.kind not in ("map", "list"):
        found[steps] = f"{node.kind}:{json.loads(text[node.start : node.end])}"
        return
    found[*steps, ""] = node.kind
    times: Counter[str] = Counter()
    for name, _, value in node.pairs:
        _flat(text, value, (*steps, name, times[name]), found)
        times[name] += 1
    for position, item in enumerate(node.items):
        _flat(text, item, (*steps, position), found)


class Json:
    """See `Format`."""

    def place(self, text: str, key: str) -> Place | None:
        """The value at the end of the key's way through objects and lists."""
        found = _walk(_Reader(text).root(), split_key(key), key)
        if found is None:
            return None
        node, way = found
        if node.kind in ("map", "list"):
            raise Unfit(
                "setting_not_a_value",
                f"{key} is {'an object' if node.kind == 'map' else 'a list'}",
                "name one value in it",
            )
        value = json.loads(text[node.start : node.end])
        return Place(
            start=node.start, end=node.end, kind=node.kind, value="null" if value is None else str(value), steps=way
        )

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """With the kind it has; a new member goes to the end of its object."""
        place = self.place(text, key)
        if place is None:
            return _added(text, key, wanted)
        value = typed(place.kind, wanted)
        written = number(value, wanted) if isinstance(value, float) else _dumped(text, value)
        return Splice(
            key=key, start=place.start, end=place.end, text=written, old=place.value, new=wanted, steps=place.steps,
            facts={place.steps: f"{_kind(written)}:{json.loads(written)}"},
        )  # fmt: skip

    def facts(self, text: str) -> Facts:
        """Every value by its way; and whether it is JSON without extensions."""
        found: Facts = {}
        _flat(text, _Reader(text).root(), (), found)
        return found | {("strict",): fact(_strict(text))}


def _strict(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _kind(written: str) -> str:
    return "str" if written.startswith('"') else _Reader(written).root().kind


def _dumped(text: str, value: object) -> str:
    return json.dumps(value, ensure_ascii=text.isascii())


def _walk(node: _Node, steps: Steps, key: str) -> tuple[_Node, Steps] | None:
    way: Steps = ()
    for step in steps:
        index = index_of(step)
        named = [v for n, _, v in node.pairs if n == str(step)]
        if len(named) > 1:
            raise twice(key)
        if named:
            node, way = named[0], (*way, str(step), 0)
        elif node.kind == "list" and index is not None and index < len(node.items):
            node, way = node.items[index], (*way, index)
        else:
            return None
    return node, way


def _added(text: str, key: str, wanted: str) -> Splice:
    steps = split_key(key)
    found = _walk(_Reader(text).root(), steps[:-1], key)
    if found is None or found[0].kind != "map":
        raise missing(key, "there is no object to add it to")
    parent, way = found
    value = _dumped(text, typed("", wanted))
    member = f"{json.dumps(str(steps[-1]), ensure_ascii=text.isascii())}: {value}"
    way = (*way, str(steps[-1]), 0)
    at, member = (
        (parent.pairs[-1][2].end, f",{_gap(text, parent)}{member}") if parent.pairs else (parent.start + 1, member)
    )
    return Splice(key=key, start=at, end=at, text=member, new=wanted, added=True, steps=way,
                  facts={way: f"{_kind(value)}:{json.loads(value)}"})  # fmt: skip


def _gap(text: str, parent: _Node) -> str:
    """The blanks before the last member, so that the new one stands like it."""
    begin = parent.pairs[-1][1]
    blanks = re.search(r"\s*\Z", text[parent.start + 1 : begin])
    return (blanks[0] if blanks else "") or ("" if len(parent.pairs) > 1 else " ")
