"""Finds config files: what lies in a folder and looks like one of ours."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 262_144
"""No config is longer."""
_KEYS = (re.compile(r"^version\s*:", re.MULTILINE), re.compile(r"^kind\s*:", re.MULTILINE))


def find_configs(folder: Path) -> list[Path]:
    """Config files of a folder, by name; none where the folder can't be read."""
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and _is_config(path))
    return []


def _is_config(path: Path) -> bool:
    """Whether it looks like one of ours: other programs' YAML is none of our business."""
    with suppress(OSError, UnicodeDecodeError):
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            text = path.read_text(encoding="utf-8")
            return all(key.search(text) for key in _KEYS)
    return False
