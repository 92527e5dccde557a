"""Words of a config file that is being written: names, texts and paths as YAML reads them back."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def relative(text: str, path: Path) -> str:
    """A path as it is written into the config at `path`: relative ones are relative to its folder."""
    if text.startswith("~") or Path(text).is_absolute():
        return text
    found = os.path.relpath(text, path.parent)
    return found if found.startswith("..") else f"./{found}"


def plain(text: str) -> str:
    """A word as it is, anything else in quotes."""
    return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) and text.lower() != "null" else quoted(text)


def quoted(text: str) -> str:
    """The text itself: what looks like a reference to a variable is none."""
    return as_json(text.replace("${", "$${"))


def as_json(text: str) -> str:
    """The text in quotes; `${VARIABLE}` in it stays a reference."""
    # JSON strings are YAML strings; what YAML forbids in a file, and what would turn its lines round, is written as escapes
    return _UNSAFE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text, ensure_ascii=False))
