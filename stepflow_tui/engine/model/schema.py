"""What a SQLite file holds, as read from its catalog and its CREATE statements.

Names are raw and unquoted everywhere; quoting happens where SQL is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Affinity(StrEnum):
    """SQLite's column affinities, by the rules of its datatype documentation."""

    INTEGER = "INTEGER"
    TEXT = "TEXT"
    BLOB = "BLOB"
    REAL = "REAL"
    NUMERIC = "NUMERIC"


class TableKind(StrEnum):
    """Which sort of table an entry is."""

    ORDINARY = "ordinary"
    VIRTUAL = "virtual"  # CREATE VIRTUAL TABLE; `module` says which
    SHADOW = "shadow"  # storage of a virtual table, never copied


class Generated(StrEnum):
    """How a column gets its value."""

    NO = "no"
    VIRTUAL = "virtual"
    STORED = "stored"
    HIDDEN = "hidden"  # hidden column of a virtual table


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumn:
    """One column. `default` and `expression` are SQL text as written in the file."""

    name: str
    declared: str  # the type as written, "" when none
    affinity: Affinity
    not_null: bool = False
    default: str | None = None
    pk: int = 0  # 1-based position in the primary key, 0 = not part of it
    collation: str = "BINARY"  # upper case for the built-in ones
    generated: Generated = Generated.NO
    expression: str | None = None  # of a generated column


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexTerm:
    """One term of an index: a column or an expression."""

    column: str | None  # None: `expression` holds the SQL text
    expression: str | None = None
    desc: bool = False
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIndex:
    """One index. `origin` is c (CREATE INDEX), u (UNIQUE constraint) or pk, as in PRAGMA index_list."""

    name: str
    table: str
    unique: bool
    origin: str
    terms: tuple[IndexTerm, ...]
    where: str | None = None
    sql: str | None = None
    constraint: str | None = None  # name of the UNIQUE constraint it belongs to, if written


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceForeignKey:
    """One foreign key. `ref_columns` are resolved (an omitted list means the parent's primary key);
    empty when the parent does not exist or has no such key."""

    columns: tuple[str, ...]
    ref_table: str
    ref_columns: tuple[str, ...]
    on_update: str = "NO ACTION"
    on_delete: str = "NO ACTION"
    deferrable: bool = False
    initially_deferred: bool = False
    name: str | None = None  # CONSTRAINT name, if written


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCheck:
    """One CHECK constraint; `expression` is the SQL text between its parentheses."""

    expression: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """One table, virtual or ordinary."""

    name: str
    kind: TableKind
    columns: tuple[SourceColumn, ...]
    sql: str
    without_rowid: bool = False
    strict: bool = False
    rowid_alias: str | None = None  # the INTEGER PRIMARY KEY column
    rowid_name: str | None = (
        None  # first of rowid, _rowid_, oid that no column shadows; None: all three are, or WITHOUT ROWID
    )
    autoincrement: bool = False
    sequence: int | None = None  # seq of sqlite_sequence, even for an empty table
    primary_key: tuple[str, ...] = ()
    indexes: tuple[SourceIndex, ...] = ()
    foreign_keys: tuple[SourceForeignKey, ...] = ()
    checks: tuple[SourceCheck, ...] = ()
    module: str | None = None  # of a virtual table, lower case
    module_args: tuple[str, ...] = ()
    primary_key_name: str | None = None  # CONSTRAINT name, if written
    unparsed: str | None = None  # why its CREATE text could not be read; the PRAGMAs' facts stand, CHECKs are unknown
    unreadable: str | None = None  # why no row of it can be read (module or collation missing, malformed), else None

    def column(self, name: str) -> SourceColumn:
        """The column of that name, compared as SQLite does (ASCII case folded)."""
        folded = name.lower()
        for column in self.columns:
            if column.name.lower() == folded:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """One view; `columns` is empty when SQLite itself can't prepare it."""

    name: str
    sql: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTrigger:
    """One trigger."""

    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSchema:
    """Everything the catalog says."""

    encoding: str  # UTF-8, UTF-16le, UTF-16be
    page_size: int
    page_count: int
    journal_mode: str
    schema_version: int
    user_version: int
    application_id: int
    tables: tuple[SourceTable, ...]
    views: tuple[SourceView, ...] = ()
    triggers: tuple[SourceTrigger, ...] = ()

    def table(self, name: str) -> SourceTable:
        """The table of that name, compared as SQLite does (ASCII case folded)."""
        folded = name.lower()
        for table in self.tables:
            if table.name.lower() == folded:
                return table
        raise KeyError(name)

    @property
    def utf16(self) -> bool:
        """Whether text is stored as UTF-16 (lone surrogates are possible then)."""
        return self.encoding.upper() != "UTF-8"
