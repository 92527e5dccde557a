"""`${VAR}` in values: expansion, which variables were used, and a copy of the file without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stepflow_tui.engine.config_yaml import Document, Node, Path_
from stepflow_tui.engine.model import dsn_words

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:-)(.*))?", re.DOTALL)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^\s/@:]*):([^\s/]*)@")
_PASSWORD_OPTION = re.compile(
    r"(?i)\b(password|passwd|sslpassword|token|secret|apikey|api_key)(\s*[=:]\s*)('(?:[^'\\]|\\.)*'|[^\s&;,]+)"
)

HIDDEN = "***"


class Expander:
    """Expands one document's values; problems go into the document, used variables into `used`."""

    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document = document
        self._env = env
        self.used: dict[str, str] = {}

    def expand(self, node: Node, path: Path_ = ()) -> Node:
        """The node with every reference replaced."""
        if isinstance(node, dict):
            return {k: self.expand(v, (*path, k)) for k, v in node.items()}
        if isinstance(node, list):
            return [self.expand(v, (*path, i)) for i, v in enumerate(node)]
        if isinstance(node, str) and "${" in node:
            return _REFERENCE.sub(lambda m: self._value(m, path), node)
        return node

    def _value(self, match: re.Match[str], path: Path_) -> str:
        if match[0] == "$${":
            return "${"
        parts = _NAME.fullmatch(match[1] or "") if match[0].endswith("}") else None
        if parts is None:
            self._document.add(
                path,
                "a reference to a variable that can't be read",
                "${NAME}, ${NAME:-default}, or $${ for the text itself",
            )
            return "?"
        name, default = parts[1], parts[3]
        value = self._env.get(name, "")
        if value:
            self.used[name] = value
            return value
        if default:
            return default
        state = "is empty" if name in self._env else "isn't set"
        self._document.add(path, f"the variable {name} {state}", f"export {name}=…, or write ${{{name}:-default}}")
        return "?"


def is_secret(path: Path_) -> bool:
    """Whether the value there is a secret whatever it looks like."""
    if path[:2] == ("target", "dsn") or path[:2] == ("alerts", "channels"):
        return True
    if path[:1] == ("hooks",):
        return "env" in path[2:]
    if path[:1] != ("application",):
        return False
    return bool({"set", "to", "demand", "headers"} & set(path[2:])) or (path[1:2] == ("recipe",) and "env" in path)


def redact_text(text: str) -> str:
    """The text with passwords in addresses and `password=…` options hidden."""
    with suppress(dsn_words.BadWordsError):
        text = dsn_words.replace_secrets(text, lambda _raw: HIDDEN) if dsn_words.in_words(text) else text
    text = _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}@", text)
    return _PASSWORD_OPTION.sub(rf"\1\2{HIDDEN}", text)


def redact(node: Node, path: Path_ = ()) -> Any:
    """The unexpanded node without secrets: references stay, literal secrets become `***`."""
    if isinstance(node, dict):
        return {k: redact(v, (*path, k)) for k, v in node.items()}
    if isinstance(node, list):
        return [redact(v, (*path, i)) for i, v in enumerate(node)]
    if not isinstance(node, str):
        return node
    if re.fullmatch(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", node):
        return node
    if path[:2] == ("target", "dsn"):
        return redact_text(node)
    return HIDDEN if is_secret(path) else redact_text(node)
