"""Python: flags and settings, `NAME = literal`, also in classes and through literals of dicts and lists.

Nothing is run. Only a literal that is assigned once, unconditionally, is changed: of anything else nobody could say what the
application would see.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

from stepflow_tui.engine.application.settings_files.base import (
    Facts,
    Place,
    Scalar,
    Splice,
    Steps,
    Unfit,
    index_of,
    missing,
    number,
    split_key,
    twice,
    typed,
)

_KINDS = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}
_Scope = ast.Module | ast.ClassDef


def _module(text: str) -> ast.Module:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode()).readline)
        if encoding not in ("utf-8", "utf-8-sig"):
            raise Unfit("setting_not_utf8", f"it says that its encoding is {encoding}", "save it as UTF-8")
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unfit(
            "setting_unreadable", "it is no Python", "correct it; the application could not read it either"
        ) from None


def _flat(node: ast.AST, steps: Steps, found: Facts) -> None:
    found[steps] = type(node).__name__
    for name, value in ast.iter_fields(node):
        for place, inner in enumerate(value) if isinstance(value, list) else [(-1, value)]:
            way = (*steps, name, place)
            if isinstance(inner, ast.AST):
                _flat(inner, way, found)
            else:
                found[way] = f"{type(inner).__name__}:{inner!r}"


class Python:
    """See `Format`."""

    def place(self, text: str, key: str) -> Place | None:
        """The literal of the assignment the key names."""
        module = _module(text)
        steps = [str(s) for s in split_key(key)]
        scope: _Scope = module
        way: Steps = ()
        while len(steps) > 1 and (inner := _class(scope, steps[0], key)):
            scope, way = inner[0], (*way, "body", inner[1])
            steps.pop(0)
        assigned = _assigned(module, scope, steps, key)
        if assigned is None:
            return None
        value, way = assigned[0], (*way, "body", assigned[1], "value", -1)
        for step in steps[1:]:
            value, way = _inner(value, step, way, key)
        start, end = _offsets(text, value)
        literal = _literal(value, key)
        return Place(start=start, end=end, kind=_KINDS[type(literal)], value=str(literal), steps=way)

    def splice(self, text: str, key: str, wanted: str) -> Splice:
        """With the kind and the quotes it has. New names are refused: where they belong only a person knows."""
        place = self.place(text, key)
        if place is None:
            raise missing(key, "new names are not added to programs")
        value = typed(place.kind, wanted)
        written = _written(value, text[place.start : place.end], wanted)
        facts: Facts = {}
        _flat(ast.parse(written, mode="eval").body, place.steps, facts)
        return Splice(
            key=key,
            start=place.start,
            end=place.end,
            text=written,
            old=place.value,
            new=wanted,
            steps=place.steps,
            facts=facts,
        )

    def facts(self, text: str) -> Facts:
        """The whole program, as the compiler sees it."""
        found: Facts = {}
        _flat(_module(text), (), found)
        return found


def _class(scope: _Scope, name: str, key: str) -> tuple[ast.ClassDef, int] | None:
    found = [(n, i) for i, n in enumerate(scope.body) if isinstance(n, ast.ClassDef) and n.name == name]
    if len(found) > 1:
        raise twice(key)
    return found[0] if found else None


def _assigned(module: ast.Module, scope: _Scope, steps: list[str], key: str) -> tuple[ast.expr, int] | None:
    """The only assignment of the name, among the statements of its scope."""
    name = steps[0]
    stores = list(_stores(scope, name))
    if isinstance(scope, ast.Module):
        stores += [n for n in ast.walk(module) if isinstance(n, ast.Global) and name in n.names]
        stores += [n for n in ast.walk(module) if _reached(n, name)] if len(steps) > 1 else []
    if not stores:
        return None
    if len(stores) > 1:
        raise twice(name)
    for position, statement in enumerate(scope.body):
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
        if (
            len(targets) == 1
            and isinstance(targets[0], ast.Name)
            and targets[0].id == name
            and getattr(statement, "value", None)
        ):
            return statement.value, position  # type: ignore[attr-defined]
    raise Unfit("setting_not_literal", f"{name} is not assigned by a statement of its own, or only under a condition",
                "assign it once, at the top level")  # fmt: skip


def _stores(scope: ast.AST, name: str) -> Iterator[ast.AST]:
    """Everything in this scope, not in functions and classes inside it, that gives the name a value."""
    for node in ast.iter_child_nodes(scope):
        named = getattr(node, "name", None) == name or getattr(node, "asname", None) == name
        if (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)) or named:
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _stores(node, name)


def _reached(node: ast.AST, name: str) -> bool:
    """`NAME["x"] = …`, `NAME.update(…)`: the literal is not the last word."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        inner: ast.AST = node
        while isinstance(inner, ast.Subscript):
            inner = inner.value
        return isinstance(inner, ast.Name) and inner.id == name
    changing = ("update", "setdefault", "pop", "clear", "append", "insert", "extend", "remove")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in changing:
        return False
    inner = node.func.value
    while isinstance(inner, ast.Subscript):
        inner = inner.value
    return isinstance(inner, ast.Name) and inner.id == name


def _inner(node: ast.expr, step: str, way: Steps, key: str) -> tuple[ast.expr, Steps]:
    index = index_of(step)
    if isinstance(node, ast.Dict):
        names = [(k.value if isinstance(k, ast.Constant) else None) for k in node.keys]
        found = [i for i, n in enumerate(names) if n == step or (isinstance(n, int) and str(n) == step)]
        if len(found) > 1 or (found and None in names[found[0] :]):
            raise twice(key)  # `**more`, or a computed key, may hold it as well
        if found:
            return node.values[found[0]], (*way, "values", found[0])
        raise missing(key, "new names are not added to programs")
    if isinstance(node, ast.List | ast.Tuple) and index is not None and index < len(node.elts):
        if any(isinstance(e, ast.Starred) for e in node.elts[: index + 1]):
            raise Unfit("setting_not_literal", f"the list of {key} is put together", "write it out")
        return node.elts[index], (*way, "elts", index)
    if isinstance(node, ast.List | ast.Tuple):
        raise missing(key, "new names are not added to programs")
    raise Unfit("setting_not_literal", f"{key} is not inside a dict or list that is written out", "write it out")


def _literal(node: ast.expr, key: str) -> Scalar:
    value = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    if isinstance(value, ast.Constant) and type(value.value) in _KINDS:
        if value is node:
            return value.value  # type: ignore[return-value]
        if isinstance(value.value, int | float) and not isinstance(value.value, bool):
            return -value.value
    if isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set):
        raise Unfit("setting_not_a_value", f"{key} is a collection", "name one value in it")
    raise Unfit(
        "setting_not_literal",
        f"{key} is computed, not written out",
        "change what it is computed from, an environment variable for example",
    )


def _offsets(text: str, node: ast.expr) -> tuple[int, int]:
    """The node's characters; the compiler counts bytes of lines."""
    lines = text.encode().splitlines(keepends=True)

    def offset(line: int, column: int) -> int:
        return len((b"".join(lines[: line - 1]) + lines[line - 1][:column]).decode())

    return offset(node.lineno, node.col_offset), offset(node.end_lineno or node.lineno, node.end_col_offset or 0)


def _written(value: Scalar, raw: str, wanted: str) -> str:
    if isinstance(value, float):
        return number(value, wanted)
    if not isinstance(value, str):
        return repr(value)
    quote = '"' if raw.lstrip("rRuU")[:1] == '"' else "'"
    inner = "".join(f"\\{c}" if c in (quote, "\\") else c if c.isprintable() else _escaped(c) for c in value)
    return quote + inner + quote


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
