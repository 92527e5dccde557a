"""The syntax tree of SQLite's expressions and statements. Nodes hold what was written, nothing resolved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `word` marks TRUE and FALSE (which may turn out to be columns)."""

    value: int | float | str | bytes | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Now:
    """CURRENT_TIMESTAMP, CURRENT_DATE or CURRENT_TIME (upper case)."""

    word: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A name with up to three parts. `quote` is the opening quote of the last one: `"x"` may be a string after all."""

    parts: tuple[str, ...]
    quote: str = ""

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-`, `+`, `~` or NOT."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands; `=` for `==`, `<>` for `!=`, IS and IS NOT with `is` and `is not`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Between:
    """operand [NOT] BETWEEN low AND high."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class In:
    """operand [NOT] IN (items), (select) or table."""

    operand: Expr
    items: tuple[Expr, ...] | None
    select: Select | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """LIKE, GLOB, REGEXP or MATCH."""

    op: str
    operand: Expr
    pattern: Expr
    escape: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Case:
    """CASE [base] WHEN … THEN … [ELSE …] END."""

    base: Expr | None
    whens: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr | None


@dataclass(frozen=True, slots=True)
class Call:
    """A function, name in lower case. `star` is count(*)."""

    name: str
    args: tuple[Expr, ...]
    distinct: bool = False
    star: bool = False
    filter: Expr | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """CAST(operand AS type)."""

    operand: Expr
    type: str


@dataclass(frozen=True, slots=True)
class Collate:
    """operand COLLATE name."""

    operand: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Exists:
    """EXISTS (select); NOT is a Unary around it."""

    select: Select


@dataclass(frozen=True, slots=True)
class Scalar:
    """(select) as a value."""

    select: Select


@dataclass(frozen=True, slots=True)
class Row:
    """(a, b, …)."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Raise:
    """RAISE(action[, message]), action in upper case."""

    action: str
    message: str


Expr = (
    Literal | Now | Ref | Unary | Binary | Between | In | Like | Case | Call | Cast | Collate | Exists | Scalar | Row | Raise
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """One result column. `star_of` is the table of `t.*`, "" of `*`, None of an expression."""

    expression: Expr | None
    alias: str | None = None
    star_of: str | None = None
    text: str = ""  # as written: SQLite's own name for an expression without alias


@dataclass(frozen=True, slots=True)
class Source:
    """One member of FROM. `join` is "" for the first, else `cross`, `inner`, `left`, `right`, `full`."""

    table: str | None
    select: Select | None
    alias: str | None
    join: str
    on: Expr | None = None
    using: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Core:
    """One SELECT without what follows a compound."""

    distinct: bool
    results: tuple[Result, ...]
    sources: tuple[Source, ...] = ()
    where: Expr | None = None
    group_by: tuple[Expr, ...] = ()
    having: Expr | None = None
    values: tuple[tuple[Expr, ...], ...] = ()  # VALUES instead of SELECT


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY; `nulls` is "", `first` or `last`."""

    expression: Expr
    desc: bool
    nulls: str = ""


@dataclass(frozen=True, slots=True)
class Cte:
    """One member of WITH."""

    name: str
    columns: tuple[str, ...]
    select: Select


@dataclass(frozen=True, slots=True)
class Select:
    """A whole select: cores joined by operators (`union all`, `union`, `intersect`, `except`; "" for the first)."""

    cores: tuple[tuple[str, Core], ...]
    order_by: tuple[Order, ...] = ()
    limit: Expr | None = None
    offset: Expr | None = None
    ctes: tuple[Cte, ...] = ()
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT [OR action] INTO table [(columns)] select, or DEFAULT VALUES (`select` None)."""

    action: str
    table: str
    columns: tuple[str, ...]
    select: Select | None


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE [OR action] table SET … [WHERE …]."""

    action: str
    table: str
    assignments: tuple[tuple[str, Expr], ...]
    where: Expr | None


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE FROM table [WHERE …]."""

    table: str
    where: Expr | None


Action = Insert | Update | Delete | Select


class Timing(StrEnum):
    """When a trigger fires."""

    BEFORE = "before"
    AFTER = "after"
    INSTEAD = "instead of"


@dataclass(frozen=True, slots=True)
class Trigger:
    """CREATE TRIGGER. `event` is insert, update or delete; `of` the columns of UPDATE OF."""

    name: str
    timing: Timing
    event: str
    of: tuple[str, ...]
    table: str
    when: Expr | None
    body: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class View:
    """CREATE VIEW; `columns` is the written list."""

    name: str
    columns: tuple[str, ...]
    select: Select
