"""Snippets in Go: the drivers github.com/mattn/go-sqlite3 and modernc.org/sqlite."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.pragmas import Pragma

_MATTN_KEYS = ("busy_timeout", "synchronous", "cache_size", "foreign_keys")
"""What mattn's driver takes in its address; the rest goes through its hook."""


def setting(pragmas: Sequence[Pragma]) -> str:
    """Addresses for both drivers, and the hook that mattn's needs besides."""
    inside = [p for p in pragmas if p.name in _MATTN_KEYS]
    hook = [p for p in pragmas if p.name not in _MATTN_KEYS]
    mattn = "&".join(f"_{p.name}={p.value}" for p in inside)
    modernc = "&".join(f"_pragma={p.name}({p.value})" for p in pragmas)
    lines = "".join(f'\t"{p.statement}",\n' for p in hook)
    return f"""\
package database

import (
\t"database/sql"
\t"net/url"

\t"github.com/mattn/go-sqlite3" // or, for Modernc: _ "modernc.org/sqlite"
)

// These belong to a connection, not to the file: the pool opens many, and each gets them from its address or its hook.

// Modernc is the address for sql.Open("sqlite", Modernc(path)).
func Modernc(path string) string {{
\treturn file(path) + "?{modernc}"
}}

// Mattn is the address for sql.Open("sqlite3_tuned", Mattn(path)).
func Mattn(path string) string {{
\treturn file(path) + "?{mattn}"
}}

func file(path string) string {{
\treturn "file:" + (&url.URL{{Path: path}}).EscapedPath()
}}

// Settings that mattn's address does not know.
var pragmas = []string{{
{lines}}}

func init() {{
\tsql.Register("sqlite3_tuned", &sqlite3.SQLiteDriver{{
\t\tConnectHook: func(connection *sqlite3.SQLiteConn) error {{
\t\t\tfor _, pragma := range pragmas {{
\t\t\t\tif _, err := connection.Exec(pragma, nil); err != nil {{
\t\t\t\t\treturn err
\t\t\t\t}}
\t\t\t}}
\t\t\treturn nil
\t\t}},
\t}})
}}
"""


def probe(names: Sequence[str]) -> str:
    """`Probe(db)` for either driver."""
    listed = ", ".join(f'"{n}"' for n in names)
    return f"""\
package database

import (
\t"database/sql"
\t"encoding/json"
\t"os"
)

// Probe reads the settings of one connection of the application's pool and changes nothing.
func Probe(db *sql.DB) error {{
\ttold := map[string]any{{}}
\task := func(key, query string) error {{
\t\tvar value any
\t\tif err := db.QueryRow(query).Scan(&value); err != nil && err != sql.ErrNoRows {{
\t\t\treturn err
\t\t}}
\t\tif text, ok := value.([]byte); ok {{
\t\t\tvalue = string(text)
\t\t}}
\t\ttold[key] = value
\t\treturn nil
\t}}
\tfor _, name := range []string{{{listed}}} {{
\t\tif err := ask(name, "PRAGMA "+name); err != nil {{
\t\t\treturn err
\t\t}}
\t}}
\tif err := ask("sqlite_version", "select sqlite_version()"); err != nil {{
\t\treturn err
\t}}
\treturn json.NewEncoder(os.Stdout).Encode(told)
}}
"""
