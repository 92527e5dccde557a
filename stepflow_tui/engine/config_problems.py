"""Words for what the schema refuses: pydantic's errors as problems with line, key path and hint, never with a secret."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from stepflow_tui.engine.config_expand import is_secret, redact_text
from stepflow_tui.engine.config_yaml import Document, Path_
from stepflow_tui.engine.model.config import Config

UNKNOWN_KEY = "unknown key"

_WORDS = {
    "missing": ("missing", "this key is needed"),
    "string_type": ("not a text", "one plain value"),
    "string_too_short": ("empty", "write a value"),
    "string_too_long": ("too long", "at most {max_length} characters"),
    "dict_type": ("not a mapping", "lines of `key: value` below it, or {{key: value}}"),
    "model_type": ("not a mapping", "lines of `key: value` below it, or {{key: value}}"),
    "tuple_type": ("not a list", "[a, b], or lines that begin with `- `"),
    "int_type": ("not a whole number", "decimal digits only"),
    "float_type": ("not a number with a unit", "such as 30s"),
    "bool_type": ("not true or false", "write true or false"),
    "path_type": ("not a path", "the path of a file, relative to this config file"),
    "too_short": ("empty", "at least one entry"),
    "enum": ("an unknown value", "one of {expected}"),
    "literal_error": ("an unknown value", "one of {expected}"),
    "greater_than": ("too small", "more than {gt}"),
    "greater_than_equal": ("too small", "at least {ge}"),
    "less_than_equal": ("too large", "at most {le}"),
    "string_pattern_mismatch": (
        "not a name",
        "letters, digits, dot, underscore and hyphen, beginning with a letter or digit, at most 63",
    ),
}


def add_schema_problems(document: Document, exc: ValidationError) -> None:
    """Every error of the schema as a problem of the document."""
    for error in exc.errors(include_url=False, include_input=False):
        path = _written_path(document, error["loc"])
        text, hint = _words(error["type"], error.get("ctx", {}), path)
        # the value of an unknown key may be a misplaced password
        shown = "" if text == UNKNOWN_KEY else _shown(document, path)
        document.add(path, text + shown, hint)


def _written_path(document: Document, loc: tuple[int | str, ...]) -> Path_:
    """The path as the file spells it: without pydantic's own markers such as `[key]` and union members."""
    path: Path_ = ()
    node: Any = document.root
    for part in loc:
        if part == "[key]":
            continue
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        if not inside and node is not None and not isinstance(node, dict):
            break  # a marker of a union member, not a key
        node = node[part] if inside else None
        path = (*path, part)
    return path


def _words(kind: str, context: dict[str, Any], path: Path_) -> tuple[str, str]:
    if kind == "config":
        return str(context["text"]), str(context["hint"])
    if kind == "extra_forbidden":
        return UNKNOWN_KEY, _nearest(path)
    text, hint = _WORDS.get(kind, ("not accepted", "config.example.yaml shows the form"))
    return text, hint.format_map(context)


def _shown(document: Document, path: Path_) -> str:
    """The value as written in the file (references unexpanded), if it is short and no secret."""
    node: Any = document.root
    for part in path:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return ""
    if not isinstance(node, str) or is_secret(path) or "${" in node or len(node) > 60:
        return ""
    return f", got {redact_text(node)!r}"


def _nearest(path: Path_) -> str:
    *parents, last = (str(p) for p in path)
    model = _model_at(path[:-1])
    known = list(keys_of(model)) if model else []
    close = difflib.get_close_matches(last, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    elsewhere = [p for p in schema_paths() if p.split(".")[-1] == last]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"known here: {', '.join(known)}" if parents and known else "config.example.yaml shows every key"


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """The keys a section knows, as written in the file."""
    for name, info in model.model_fields.items():
        yield info.alias or name


def _model_at(path: Path_) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Config
    for part in path:
        if model is None:
            return None
        for name, info in model.model_fields.items():
            if (info.alias or name) == part:
                model = _section_in(info.annotation)
                break
    return model


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section a field holds: itself, or in a list, a mapping or an optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in typing.get_args(annotation) if (found := _section_in(arg))), None)


def schema_paths(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Every key of the schema as a dotted path (entries of lists and free mappings without an index)."""
    found = []
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        found.append(path)
        section = _section_in(info.annotation)
        if section:
            found += schema_paths(section, f"{path}.")
    return found
