"""YAML: the characters of one scalar are replaced; the parser's events tell where it stands.

Nothing is constructed, so tags of the application's own (`!ENV`, `!vault`) are no obstacle, but are never changed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import yaml

from stepflow_tui.engine.application.settings_files.base import (
    Facts,
    Place,
    Scalar,
    Splice,
    Steps,
    Unfit,
    appended,
    index_of,
    missing,
    number,
    split_key,
    twice,
    typed,
)

MAX_DEPTH = 100
_KINDS = {"bool": "bool", "int": "int", "float": "float", "null": "null", "str": "str"}
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./:@%+=?&~$-]*(?<!:)")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_PAIRS = (("true", "false"), ("yes", "no"), ("on", "off"))
_RESOLVER = yaml.resolver.Resolver()


class _Mark(Protocol):
    """A place in the text, as the parser (in Python or C) counts it: in characters."""

    index: int
    column: int


@dataclass(slots=True, kw_only=True)
class _Node:
    kind: str  # map, list, scalar, alias
    event: yaml.Event = field(repr=False)
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)
    items: list[_Node] = field(default_factory=list)
    inside_flow: bool = False

    @property
    def anchor(self) -> str | None:
        return getattr(self.event, "anchor", None)

    @property
    def start(self) -> int:
        return _mark(self.event.start_mark).index

    @property
    def end(self) -> int:
        return _mark(self.event.end_mark).index


def _parse(text: str) -> _Node | None:
    try:
        events = list(_events(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise Unfit(
            "setting_unreadable", f"it is no YAML{where}", "correct it; the application could not read it either"
        ) from None
    if sum(isinstance(e, yaml.DocumentStartEvent) for e in events) > 1:
        raise Unfit("setting_documents", "it holds several documents", "put the settings into a file of one document")
    rest = iter(e for e in events if not isinstance(e, (yaml.DocumentStartEvent, yaml.DocumentEndEvent)))
    first = next(rest, None)
    return _build(first, rest, flow=False) if first else None


def _events(text: str) -> Iterator[yaml.Event]:
    """The parser's events; it takes ever longer the deeper a text is nested."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise Unfit("setting_unreadable", "it is nested too deeply", "name another file")
        if not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent)):
            yield event


def _build(event: yaml.Event, rest: Iterator[yaml.Event], *, flow: bool) -> _Node:
    if isinstance(event, yaml.AliasEvent):
        return _Node(kind="alias", event=event, inside_flow=flow)
    if isinstance(event, yaml.ScalarEvent):
        return _Node(kind="scalar", event=event, inside_flow=flow)
    inner = flow or bool(getattr(event, "flow_style", False))
    if isinstance(event, yaml.MappingStartEvent):
        node = _Node(kind="map", event=event, inside_flow=inner)
        while not isinstance(key := next(rest), yaml.MappingEndEvent):
            name = _build(key, rest, flow=inner)
            node.pairs.append((name, _build(next(rest), rest, flow=inner)))
        return node
    node = _Node(kind="list", event=event, inside_flow=inner)
    while not isinstance(item := next(rest), yaml.SequenceEndEvent):
        node.items.append(_build(item, rest, flow=inner))
    return node


def _readable(text: str) -> bool:
    try:
        _parse(text)
    except Unfit:
        return False
    return True


def _mark(mark: _Mark | None) -> _Mark:
    assert mark is not None  # only events made by hand have none
    return mark


def _tag(value: str, implicit: tuple[bool, bool]) -> str:
    return str(_RESOLVER.resolve(yaml.ScalarNode, value, implicit))  # type: ignore[no-untyped-call]


def _kind(node: _Node) -> str:
    """What a scalar is to a reader."""
    event = node.event
    assert isinstance(event, yaml.ScalarEvent)  # callers ask for scalars only
    if event.tag is not None:
        return f"tagged {event.tag}"
    tag = _tag(event.value, event.implicit)
    return _KINDS.get(tag.rpartition(":")[2], tag.rpartition(":")[2])


def _name(node: _Node, position: int) -> str:
    return str(node.event.value) if isinstance(node.event, yaml.ScalarEvent) else f"?{position}"


def _flat(node: _Node, steps: Steps, found: Facts) -> None:
    anchor = f" &{node.anchor}" if node.anchor else ""
    if isinstance(node.event, yaml.ScalarEvent):
        found[steps] = f"{_kind(node)}:{node.event.value}{anchor}"
        return
    found[*steps, ""] = node.kind + anchor + str(getattr(node.event, "tag", ""))
    times: Counter[str] = Counter()
    for position, (key, value) in enumerate(node.pairs):
        name = _name(key, position)
        _flat(value, (*steps, name, times[name]), found)
        times[name] += 1
        if not isinstance(key.event, yaml.ScalarEvent):
            _flat(key, (*steps, name, "key"), found)
    for position, item in enumerate(node.items):
        _flat(item, (*steps, position), found)


class Yaml:
    """See `Format`."""

    def place(self, text: str, key: str) -> Place | None:
        """The scalar at the end of the key's way through mappings and lists; in a list of `NAME=value`, the one of that name."""
        node, steps = _parse(text), split_key(key)
        if node is None:
            return None
        way: Steps = ()
        for step in steps:
            _own(node, key)
            found = _child(node, step, key)
            if found is None:
                return None
            node, way = found[0], (*way, *found[1])
        _own(node, key)
        if node.kind != "scalar":
            raise Unfit(
                "setting_not_a_value",
                f"{key} is a {'mapping' if node.kind == 'map' else node.kind}",
                "name one value in it",
            )
        return Place(
            start=node.start, end=node.end, kind=_kind(node), value=str(getattr(node.event, "value", "")), steps=way
        )

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """In the style it has; a new key of the top level goes to the end."""
        place = self.place(text, key)
        if place is None:
            return _added(text, key, wanted)
        if place.kind.startswith("tagged"):
            raise Unfit(
                "setting_tagged", f"its value has the tag {place.kind[7:]}", "change it where the tag takes it from"
            )
        name = _variable(place, key)
        value = typed(place.kind, name + wanted)
        raw = text[place.start : place.end]
        if raw[:1] in ("|", ">"):
            raise Unfit("setting_lines", "its value is a block of lines", "write it as one quoted text")
        written = _bool(value, raw) if isinstance(value, bool) else _text(value, raw, name + wanted)
        lead = " " if place.start == place.end else ""
        if "?" in written and not _readable(text[: place.start] + lead + written + text[place.end :]):
            written = f"'{written}'"  # within [] and {} a plain `?` is none for every reader
        return Splice(
            key=key, start=place.start, end=place.end, text=lead + written, old=place.value[len(name) :], new=wanted,
            steps=place.steps, facts={place.steps: _fact(value, written)},
        )  # fmt: skip

    def facts(self, text: str) -> Facts:
        """Every node by its way, with its kind as YAML 1.1 readers see it."""
        found: Facts = {}
        node = _parse(text)
        if node is not None:
            _flat(node, (), found)
        return found


def _own(node: _Node, key: str) -> None:
    if node.kind == "alias" or node.anchor:
        what = "an alias" if node.kind == "alias" else f"the anchor &{node.anchor}"
        raise Unfit(
            "setting_anchor",
            f"{key} stands behind {what}: changing it would change other keys too",
            "write its value out",
        )


def _child(node: _Node, step: str | int, key: str) -> tuple[_Node, Steps] | None:
    if node.kind == "map":
        found = [v for k, v in node.pairs if _name(k, -1) == str(step)]
        if len(found) > 1:
            raise twice(key)
        return (found[0], (str(step), 0)) if found else None
    index = index_of(step)
    if node.kind == "list" and index is not None and index < len(node.items):
        return node.items[index], (index,)
    if node.kind == "list" and index is None:
        entries = [(n, i) for i, n in enumerate(node.items) if n.kind == "scalar" and _value(n).startswith(f"{step}=")]
        if len(entries) > 1:
            raise twice(key)
        return (entries[0][0], (entries[0][1],)) if entries else None
    return None


def _value(node: _Node) -> str:
    return str(getattr(node.event, "value", ""))


def _variable(place: Place, key: str) -> str:
    """`NAME=` where the key means an entry of a list by its name, as Compose writes environments; else ""."""
    last, in_list = split_key(key)[-1], len(place.steps) == 1 or isinstance(place.steps[-2], int)
    return f"{last}=" if in_list and index_of(last) is None else ""


def _added(text: str, key: str, wanted: str) -> Splice:
    steps, node = split_key(key), _parse(text)
    empty = node is None or (node.kind == "scalar" and node.start == node.end)
    if len(steps) != 1 or not (empty or (node is not None and node.kind == "map" and not node.inside_flow)):
        raise missing(key, "new keys are added to the top level of a file of plain lines only")
    if node is not None and node.kind == "map" and _mark(node.event.start_mark).column:
        raise missing(key, "the top level is indented")
    value = typed("", wanted)
    written = _bool(value, "true") if isinstance(value, bool) else _text(value, "", wanted)
    name = _text(str(steps[0]), "", str(steps[0]))
    way: Steps = (str(steps[0]), 0)
    facts: Facts = {way: _fact(value, written)}
    if empty:
        facts[("",)] = "mapNone"
    return appended(text, f"{name}: {written}", key=key, new=wanted, steps=way, facts=facts)


def _bool(value: bool, raw: str) -> str:
    yes, no = next((p for p in _PAIRS if raw.lower() in p), _PAIRS[0])
    word = yes if value else no
    return word.upper() if raw.isupper() else word.title() if raw.istitle() else word


def _text(value: Scalar, raw: str, wanted: str) -> str:
    if not isinstance(value, str):
        return "null" if value is None else number(value, wanted)
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not value.startswith(("...", "---"))
    if raw[:1] not in ("'", '"') and plain and _tag(value, (True, False)).endswith(":str"):
        return value
    if raw[:1] != '"' and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else json.dumps(value)


def _fact(value: Scalar, written: str) -> str:
    kind = {bool: "bool", int: "int", float: "float", str: "str"}.get(type(value), "null")
    return f"{kind}:{value if isinstance(value, str) else written}"
