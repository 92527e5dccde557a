"""Reads a file of environment variables (`.env`) as shells and frameworks do. No message ever repeats a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stepflow_tui.engine.errors import ConfigError

MAX_BYTES = 1_048_576
"""Largest file; real ones have a few kilobytes."""

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ONCE = "Quote the whole value once."
_PLAIN = re.compile(r"[^\n]*")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "'": "'"}


def read_dotenv(path: Path, env: Mapping[str, str]) -> dict[str, str] | None:
    """The file's variables; None when there is no such file.

    Quotes, `export`, comments, lines within quotes and `${NAME}` (the process's environment first, then lines above) are
    understood; a single `$` is a dollar sign.

    Raises:
        ConfigError: it can't be read, or a line can't; the message names file and line, never a value.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _bad(f"{path} can't be read: {exc.strerror}", "Check the file's permissions.") from exc
    if len(data) > MAX_BYTES:
        raise _bad(f"{path} is larger than {MAX_BYTES // 1024} KiB", "Is it the right file?")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise _bad(f"{path}:{line} isn't UTF-8", "Save the file as UTF-8.") from None
    return _variables(text, path, env)


def _bad(problem: str, hint: str) -> ConfigError:
    return ConfigError(f"The file of environment variables can't be used: {problem}.", hint=hint, code="database_env")


def _variables(text: str, path: Path, env: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank is not None:
            position = blank.end()
            continue
        name = _LINE.match(text, position)
        if name is None:
            raise _bad(f"line {_line(text, position)} of {path} is not NAME=value", "Write NAME=value, or # before it.")
        value, position = _value(text, name.end(), path, {**found, **{k: v for k, v in env.items() if v}})
        found[name[1]] = value
    return found


def _value(text: str, position: int, path: Path, known: Mapping[str, str]) -> tuple[str, int]:
    first = text[position : position + 1]
    if first not in ("'", '"'):
        plain = _PLAIN.match(text, position)
        assert plain is not None  # it matches nothing too
        return _expanded(re.sub(r"(?:^|[ \t])#.*", "", plain[0]).strip(), known), plain.end() + 1
    quoted = (_SINGLE if first == "'" else _DOUBLE).match(text, position)
    rest = _BLANK.match(text, quoted.end()) if quoted is not None else None
    if quoted is None:
        raise _bad(f"line {_line(text, position)} of {path} has no closing quote", _ONCE)
    if rest is None:
        raise _bad(f"line {_line(text, position)} of {path} goes on after its closing quote", _ONCE)
    if first == "'":
        return quoted[1], rest.end()
    return _unescaped(quoted[1], known), rest.end()


def _unescaped(text: str, known: Mapping[str, str]) -> str:
    """References first: an escaped dollar sign begins none."""
    pieces = re.split(r"(\\.)", text, flags=re.DOTALL)
    return "".join(
        _ESCAPES.get(piece[1], piece) if index % 2 else _expanded(piece, known) for index, piece in enumerate(pieces)
    )


def _expanded(text: str, known: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda m: known.get(m[1]) or m[2] or "", text)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
