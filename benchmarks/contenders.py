"""What people would use instead: one function per contender, each loading the same file into a fresh database."""

from __future__ import annotations

import csv
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

from benchmarks.measure import Measured, measure

KEYS = """alter table events add primary key (id); alter table narrow add primary key (a, b); alter table docs add primary key (slug);
create index events_user on events(user_id, created_at);"""

TABLES = """create table events (id bigint not null, user_id bigint not null, name text not null, amount numeric(12,2), score float8,
  active boolean not null, created_at timestamp not null, note text);
create table narrow (a bigint not null, b bigint not null);
create table docs (slug text collate "C" not null, title text not null, body text not null, meta json, thumb bytea);"""

DUCK = """
import sys, duckdb, duckdb_ext, pathlib
source, dsn, keys, tables = sys.argv[1:5]
con = duckdb.connect()
for file in pathlib.Path(next(iter(duckdb_ext.__path__))).rglob("*_scanner.duckdb_extension"):
    con.execute(f"load '{file}'")
con.execute(f"attach '{source}' as lite (type sqlite)"); con.execute(f"attach '{dsn}' as pg (type postgres)")
con.execute("call postgres_execute('pg', ?)", [tables])
con.execute("insert into pg.events select id, user_id, name, amount, score, active::boolean, created_at, note from lite.events")
con.execute("insert into pg.narrow select * from lite.narrow")
con.execute("insert into pg.docs select * from lite.docs")
con.execute("call postgres_execute('pg', ?)", [keys])
"""


def psql(bin_dir: Path, dsn: str, *commands: str) -> list[str]:
    """A psql call that runs the commands one after another."""
    return [
        str(bin_dir / "psql"),
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        dsn,
        *(part for c in commands for part in ("-c", c)),
    ]


def csv_files(source: Path, folder: Path) -> list[Path]:
    """The three tables as ready-made CSV, made once, outside every measurement."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for table in ("events", "narrow", "docs"):
        path = folder / f"{table}.csv"
        files.append(path)
        if path.exists() and path.stat().st_mtime >= source.stat().st_mtime:
            continue
        connection = sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)
        with path.open("w", newline="") as out:
            writer = csv.writer(out)
            for row in connection.execute(f"select * from {table}"):
                writer.writerow([f"\\x{v.hex()}" if isinstance(v, bytes) else v for v in row])
        connection.close()
    return files


def ready_csv(bin_dir: Path, dsn: str, files: list[Path], *, keys: bool) -> Measured:
    """psql \\copy of ready-made CSV, one table after another, with the same keys and index afterwards."""
    subprocess.run(psql(bin_dir, dsn, TABLES), check=True)
    copies = [f"\\copy {f.stem} from '{f}' with (format csv)" for f in files]
    return measure(
        "psql \\copy of ready CSV" + (" + keys" if keys else ", no keys"),
        psql(bin_dir, dsn, *copies, *([KEYS] if keys else [])),
    )


def piped(bin_dir: Path, dsn: str, source: Path) -> Measured | None:
    """`sqlite3 -csv | psql \\copy`, with keys (NULL and '' get confused: the classic trap)."""
    if not shutil.which("sqlite3"):
        return None
    subprocess.run(psql(bin_dir, dsn, TABLES), check=True)
    psql_bin = bin_dir / "psql"
    columns = {"docs": "slug, title, body, meta, '\\x'||hex(thumb)"}
    lines = [
        f"""sqlite3 -csv '{source}' "select {columns.get(t, "*")} from {t}" | '{psql_bin}' -X -q '{dsn}' -c "\\copy {t} from stdin with (format csv)" """
        for t in ("events", "narrow", "docs")
    ]
    script = " && ".join(lines) + f""" && '{psql_bin}' -X -q '{dsn}' -c "{KEYS}" """
    return measure("sqlite3 -csv | psql \\copy + keys", ["sh", "-c", script])


def pgloader(dsn: str, source: Path, folder: Path) -> Measured | None:
    """pgloader with its default SQLite rules and indexes, tables in parallel."""
    if not shutil.which("pgloader"):
        return None
    parts = urlsplit(dsn)
    socket = dict(p.split("=", 1) for p in parts.query.split("&"))["host"].replace("%2F", "/")
    script = folder / "pgloader.load"
    script.write_text(
        f"load database from sqlite://{source} into postgresql://{parts.username}:{parts.password}@unix:{socket}:5432{parts.path}\n"
        "with include drop, create tables, create indexes, reset sequences, workers = 4, concurrency = 2;\n"
    )
    return measure("pgloader (load only)", ["pgloader", str(script)])


def duckdb(dsn: str, source: Path, venv: Path) -> Measured | None:
    """DuckDB into typed tables made by hand, plus keys; nothing verified. In a virtual environment of its own."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    packages = ["duckdb==1.4.4", "duckdb-ext-sqlite", "duckdb-ext-postgres"]
    if subprocess.run(
        [str(python), "-m", "pip", "install", "-q", *packages], capture_output=True, check=False
    ).returncode:
        return None
    return measure("DuckDB typed + keys (nothing verified)", [str(python), "-c", DUCK, str(source), dsn, KEYS, TABLES])
