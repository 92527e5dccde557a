"""TOML: tomlkit finds the value, its characters are replaced, and the standard library proves what the file says then."""

from __future__ import annotations

import datetime
import json
import tomllib
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

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
    typed,
)

_MARK = "stepflow-place-of-this-value"


def _document(text: str) -> Any:
    try:
        tomllib.loads(text)
        return tomlkit.parse(text)
    except (tomllib.TOMLDecodeError, TOMLKitError, ValueError):
        raise Unfit(
            "setting_unreadable", "it is no TOML", "correct it; the application could not read it either"
        ) from None


def _kind(value: object) -> str:
    kinds = {bool: "bool", int: "int", float: "float", str: "str"}
    return kinds.get(type(value), "date" if isinstance(value, (datetime.date, datetime.time)) else "")


def _step(parent: Any, step: str | int) -> Any:
    """The key or index under which the parent holds it, None if it holds none such."""
    index = index_of(step)
    if isinstance(parent, dict):
        return str(step) if str(step) in parent else None
    return index if isinstance(parent, list) and index is not None and index < len(parent) else None


def _flat(value: Any, steps: Steps, found: Facts) -> None:
    if isinstance(value, dict | list):
        found[*steps, ""] = "map" if isinstance(value, dict) else "list"
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in pairs:
            _flat(inner, (*steps, name), found)
        return
    found[steps] = fact(value) if _kind(value) != "date" else f"date:{value!r}"


class Toml:
    """See `Format`."""

    def place(self, text: str, key: str) -> Place | None:
        """Puts a mark in the value's place: what stands around it is the same in both texts, the rest is the value."""
        plain: Any = tomllib.loads(text) if _document(text) is not None else {}
        document = parent = _document(text)
        way: Steps = ()
        for step in split_key(key):
            name = _step(plain, step)
            if name is None:
                return None
            parent = document if not way else parent[way[-1]]
            plain, way = plain[name], (*way, name)
        if isinstance(plain, dict | list):
            raise Unfit(
                "setting_not_a_value",
                f"{key} is a {'table' if isinstance(plain, dict) else 'list'}",
                "name one value in it",
            )
        start, end = _span(text, document, parent, way[-1])
        return Place(start=start, end=end, kind=_kind(plain), value=str(plain), steps=way)

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """With the kind and the quotes it has; a new key goes to the end of its table."""
        place = self.place(text, key)
        if place is None:
            return _added(text, key, wanted)
        value = typed(place.kind, wanted)
        written = _written(value, text[place.start : place.end], wanted)
        return Splice(
            key=key, start=place.start, end=place.end, text=written, old=place.value, new=wanted, steps=place.steps,
            facts={place.steps: fact(value)},
        )  # fmt: skip

    def facts(self, text: str) -> Facts:
        """Every value by its way."""
        found: Facts = {}
        _document(text)
        _flat(tomllib.loads(text), (), found)
        return found


def _span(text: str, document: Any, parent: Any, name: str | int) -> tuple[int, int]:
    parent[name] = _MARK
    marked = tomlkit.dumps(document)
    before, found, after = marked.partition(f'"{_MARK}"')
    if not found or not text.startswith(before) or not text.endswith(after) or len(before) + len(after) > len(text):
        raise Unfit("setting_not_proven", "the value's place in the file can't be told for sure", "use `pattern`")
    return len(before), len(text) - len(after)


def _written(value: object, raw: str, wanted: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return number(value, wanted)
    if raw[:1] == "'" and "'" not in value and value.isprintable():
        return f"'{value}'"
    # What JSON escapes, TOML reads alike; but surrogates are two escapes there, and DEL is none.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _added(text: str, key: str, wanted: str) -> Splice:
    steps = split_key(key)
    document = parent = _document(text)
    plain: Any = tomllib.loads(text)
    way: Steps = ()
    for step in steps[:-1]:
        name = _step(plain, step)
        if name is None:
            raise missing(key, "there is no table to add it to")
        parent, plain, way = parent[name], plain[name], (*way, name)
    if not isinstance(plain, dict):
        raise missing(key, "there is no table to add it to")
    value = typed("", wanted)
    parent[str(steps[-1])] = value
    start, added = _insertion(text, tomlkit.dumps(document))
    way = (*way, str(steps[-1]))
    return Splice(
        key=key, start=start, end=start, text=added, new=wanted, added=True, steps=way, facts={way: fact(value)}
    )


def _insertion(text: str, changed: str) -> tuple[int, str]:
    """Where one text has characters that the other lacks, and which."""
    more = len(changed) - len(text)
    same = next((i for i, (a, b) in enumerate(zip(text, changed, strict=False)) if a != b), len(text))
    if more <= 0 or text[same:] != changed[same + more :]:
        raise Unfit(
            "setting_not_proven", "the new key can't be added without changing more", "add it to the file by hand"
        )
    return same, changed[same : same + more]
