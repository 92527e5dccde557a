"""`keymap:` of a config: which actions get which other keys, checked before any screen sees it."""

from __future__ import annotations

import difflib
import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stepflow_tui.actions import ACTIONS, BY_ID, Action, Scope

if TYPE_CHECKING:  # pydantic takes longer to load than anything else here, and the first picture waits for it
    from stepflow_tui.engine.model.config import Config

RESERVED = ("ctrl+c", "escape", "enter")
"""Leave, close, open: these mean the same on every screen, whatever the config says."""

MOVES = ("up", "down", "j", "k", "g", "G", "home", "end", "pageup", "pagedown")
"""Move in every list and text."""

_RENAMED = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


def key_name(key: str) -> str:
    """A key as Textual names it: `/` is `slash`; letters, digits and names stay."""
    key = key.strip()
    if len(key) != 1 or key.isalnum():
        return key
    name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return _RENAMED.get(name, name)


def key_label(key: str) -> str:
    """A key as people write it: `slash` is `/`."""
    return _CHARACTERS.get(key, key)


_CHARACTERS = {key_name(character): character for character in string.punctuation}
_NAMED = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "backspace", "tab", "space",
     *_CHARACTERS, *(f"f{n}" for n in range(1, 25)), *RESERVED}
)  # fmt: skip
_MODIFIED = re.compile(r"((?:ctrl|shift|alt)\+)*(.+)")


def check_keymap(config: Config) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What is wrong with a config's keymap: key path, problem, hint."""
    for name, keys in config.keymap.items():
        yield from ((("keymap", name), text, hint) for text, hint in _wrong(name, keys))
    yield from _clashes({k: v for k, v in config.keymap.items() if not list(_wrong(k, v))})


def _wrong(name: str, keys: str) -> Iterator[tuple[str, str]]:
    if name not in BY_ID:
        near = difflib.get_close_matches(name, BY_ID, n=1, cutoff=0.4)
        yield "unknown action", f"did you mean {near[0]}?" if near else "`stepflow keys` lists all"
        return
    for key in _split(keys):
        if key in RESERVED:
            yield f"{key} can't be given to another action", f"it keeps its meaning; reserved are {', '.join(RESERVED)}"
        elif key in MOVES:
            yield f"{key} moves in lists", f"choose another key; {', '.join(MOVES)} are taken everywhere"
        elif not _is_key(key):
            yield f"{key!r} is no key", "such as t, f7, ctrl+t, slash; `stepflow keys --listen` shows their names"


def _is_key(key: str) -> bool:
    match = _MODIFIED.fullmatch(key)
    base = match[2] if match else key
    return base in _NAMED or (len(base) == 1 and base.isalnum())


def _split(keys: str) -> list[str]:
    return [key_name(key) for key in keys.split(",")]


def _clashes(keymap: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Keys that a screen would have twice because of the keymap."""
    told = set()
    for scope in Scope:
        taken: dict[str, str] = {}
        # those that are not moved come first, so that the one that was moved there is blamed
        for action in sorted(_on(scope), key=lambda a: a.id in keymap):
            for key in keys_of(action, keymap):
                other = taken.setdefault(key, action.id)
                moved = action.id in keymap and key not in RESERVED
                if other != action.id and moved and (action.id, key, other) not in told:
                    told.add((action.id, key, other))
                    hint = "choose another key, or move the other action too"
                    yield ("keymap", action.id), f"{key} is the key of {other} there already", hint


def _on(scope: Scope) -> list[Action]:
    return [a for a in ACTIONS if scope in a.scopes or Scope.APP in a.scopes]


def keys_of(action: Action, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys an action has: those it was given and the reserved ones it has anyway, else its own."""
    if action.id not in keymap:
        return action.keys
    return (*_split(keymap[action.id]), *(key for key in action.keys if key in RESERVED))


def full_keymap(keymap: Mapping[str, str]) -> dict[str, str]:
    """The keymap as screens take it; what can't be used (written for another version) is left out."""
    usable = {k: v for k, v in keymap.items() if not list(_wrong(k, v))}
    return {name: ",".join(keys_of(BY_ID[name], usable)) for name in usable}
