"""Snippets in JavaScript: better-sqlite3, node:sqlite and Prisma. ES modules."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stepflow_tui.engine.model.pragmas import Pragma


def _statements(pragmas: Sequence[Pragma]) -> str:
    lines = "".join(f'  "{p.statement}",\n' for p in pragmas)
    return f"const PRAGMAS = [\n{lines}];\n"


def setting(pragmas: Sequence[Pragma]) -> str:
    """`tune(db)` for better-sqlite3 and node:sqlite."""
    return f"""\
// better-sqlite3 and node:sqlite. These belong to a connection, not to the file: call tune() on each one right after it
// is opened, such as tune(new Database("app.db")) or tune(new DatabaseSync("app.db")).
{_statements(pragmas)}
export function tune(db) {{
  for (const pragma of PRAGMAS) db.exec(pragma);
  return db;
}}
"""


def prisma(pragmas: Sequence[Pragma]) -> str:
    """`await tune(prisma)` for Prisma."""
    return f"""\
// Prisma. These belong to a connection, not to the file: await tune(prisma) before the first query, and again after a
// $disconnect(). A client with the adapter for better-sqlite3 has one connection. Prisma's own engine has a pool, whose other
// connections would not be set: add ?connection_limit=1 to the file: address in DATABASE_URL.
{_statements(pragmas)}
export async function tune(prisma) {{
  // $queryRawUnsafe, because $executeRawUnsafe refuses statements that answer with a row
  for (const pragma of PRAGMAS) await prisma.$queryRawUnsafe(pragma);
  return prisma;
}}
"""


def _plain() -> str:
    return """\
function plain(row) {
  const value = row === undefined ? null : Object.values(row)[0];
  return typeof value === "bigint" ? Number(value) : value;
}
"""


def probe(names: Sequence[str]) -> str:
    """`probe(db)` for better-sqlite3 and node:sqlite."""
    return f"""\
// better-sqlite3 and node:sqlite. Give it a connection the application works with; it reads settings and changes nothing.
const NAMES = {json.dumps(list(names))};

{_plain()}
export function probe(db) {{
  const told = {{}};
  for (const name of NAMES) told[name] = plain(db.prepare("PRAGMA " + name).get());
  told.sqlite_version = plain(db.prepare("select sqlite_version()").get());
  console.log(JSON.stringify(told));
}}
"""


def probe_prisma(names: Sequence[str]) -> str:
    """`await probe(prisma)` for Prisma."""
    return f"""\
// Prisma. Give it the application's client, tuned as the application does it; it reads settings and changes nothing.
const NAMES = {json.dumps(list(names))};

{_plain()}
export async function probe(prisma) {{
  const told = {{}};
  for (const name of NAMES) told[name] = plain((await prisma.$queryRawUnsafe("PRAGMA " + name))[0]);
  told.sqlite_version = plain((await prisma.$queryRawUnsafe("select sqlite_version()"))[0]);
  console.log(JSON.stringify(told));
}}
"""
