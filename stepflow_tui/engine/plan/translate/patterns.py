"""LIKE and GLOB. SQLite's LIKE folds ASCII case and has no escape character by itself."""

from __future__ import annotations

from stepflow_tui.engine.plan.quote import pg_literal
from stepflow_tui.engine.plan.translate.values import C, Sort, Untranslatable, Value, condition, text

_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)})


def like(operand: Value, pattern: Value, escape: Value | None, *, negated: bool) -> Value:
    """`operand LIKE pattern`: both sides folded over ASCII, which ILIKE would do by locale."""
    if Sort.NULL in (operand.sort, pattern.sort):
        return condition("null::boolean")
    if Sort.BLOB in (operand.sort, pattern.sort):
        raise Untranslatable("LIKE on binary values")
    a, b = text(operand), text(pattern)
    word = "not like" if negated else "like"
    return condition(f"({_folded(a)} {word} {_folded(b)} escape {_escape(escape, b)})", a, b)


def _folded(value: Value) -> str:
    if value.is_constant:
        return pg_literal(str(value.constant).translate(_LOWER)).strip()
    return f"lower({value.sql} {C})"


def _escape(escape: Value | None, pattern: Value) -> str:
    if escape is None:
        return "''"
    character = escape.constant
    if not isinstance(character, str) or len(character) != 1 or character.isalpha():
        raise Untranslatable("LIKE with an escape that isn't one plain character")
    if not pattern.is_constant or _ends_in_escape(str(pattern.constant), character):
        raise Untranslatable("LIKE with a pattern that may end in its escape character, an error in PostgreSQL only")
    return pg_literal(character).strip()


def _ends_in_escape(pattern: str, escape: str) -> bool:
    return (len(pattern) - len(pattern.rstrip(escape))) % 2 == 1


def glob(operand: Value, pattern: Value, *, negated: bool) -> Value:
    """`operand GLOB pattern` for a constant pattern, as a regular expression in byte order."""
    if operand.sort is Sort.NULL:
        return condition("null::boolean")
    if operand.sort is Sort.BLOB or not isinstance(pattern.constant, str):
        raise Untranslatable("GLOB with a pattern that isn't constant")
    value = text(operand)
    regex = pg_literal("^" + _regex(pattern.constant) + "$").strip()
    return condition(f"({value.sql} {C} {'!~' if negated else '~'} {regex})", value)


def _regex(pattern: str) -> str:
    made: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "[":
            part, position = _class(pattern, position)
            made.append(part)
            continue
        made.append({"*": ".*", "?": "."}.get(character) or _quoted(character))
        position += 1
    return "".join(made)


def _quoted(character: str) -> str:
    return "\\" + character if character in "\\^$.|?*+()[]{}" else character


def _class(pattern: str, start: int) -> tuple[str, int]:
    """A bracket: `]` stands for itself right after `[` or `[^`."""
    position = start + 1
    negated = pattern[position : position + 1] == "^"
    position += negated
    end = pattern.find("]", position + 1)
    if end < 0:
        raise Untranslatable("GLOB with a bracket that doesn't close")
    members = pattern[position:end]
    if any(c in "[\\^]" for c in members) or "--" in members:
        raise Untranslatable("GLOB with special characters in a bracket")
    return f"[{'^' if negated else ''}{members}]", end + 1
