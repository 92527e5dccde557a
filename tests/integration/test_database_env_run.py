"""A whole run whose sides come from a file of variables: its password stands nowhere that StepFlow writes or says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stepflow_tui.engine.postgres.connect import Target
from tests.acceptance.harness import Stand, standing

SECRET = "canary/geheim@2026"


def values(target: Target, password: str) -> dict[str, str]:
    host, port = target.hosts[0]
    return {"SHOP_SQLITE_PATH": "data/source.db", "SHOP_DATABASE_TYPE": "postgresql", "SHOP_DATABASE_HOST": host,
            "SHOP_DATABASE_PORT": str(port), "SHOP_DATABASE_NAME": target.database, "SHOP_DATABASE_USER": target.user,
            "SHOP_DATABASE_PASSWORD": password, "SHOP_SQLITE_BUSY_TIMEOUT": "7500"}  # fmt: skip


def written(stand: Stand) -> dict[str, bytes]:
    """Every file of the run and the state directory, the archive's own copy of the file of variables left out."""
    return {str(p): p.read_bytes() for p in stand.state.rglob("*") if p.is_file() and not p.name.endswith(".tar.gz")}


def test_the_password_stands_nowhere(tmp_path: Path, pg_target: Target) -> None:
    with standing(tmp_path, "unused") as stand:
        (tmp_path / "data").mkdir()
        conn = sqlite3.connect(tmp_path / "data" / "source.db")
        conn.execute("create table t(id integer primary key, x text)")
        conn.execute("insert into t values(1,'a')")
        conn.commit()
        conn.close()
        stand.config(source=None, target=None, database_env={"file": ".env", "prefix": "SHOP_"},
                     application={"backup": ["./data"], "pool": {"size": 2}})  # fmt: skip
        lines = values(pg_target, pg_target.password or "")
        (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
        ran = stand.run()
        assert ran.code == 0, ran.out + ran.err
        said = [
            ran.out,
            ran.err,
            *(stand.cli(*a).out for a in (("status", "--json"), ("report",), ("check", str(stand.config_path)))),
        ]
        assert "7500 ms" in said[-1]
        secret = (pg_target.password or "").encode()
        assert secret
        assert not [t for t in said if secret.decode() in t]
        assert [name for name, data in written(stand).items() if secret in data] == []
        assert stand.run().code == 0  # found again, finished


def test_neither_in_errors(tmp_path: Path, pg_target: Target) -> None:
    with standing(tmp_path, "unused") as stand:
        sqlite3.connect(tmp_path / "source.db").close()
        stand.config(source=None, target=None, database_env={"prefix": "SHOP_"})
        lines = {**values(pg_target, f'"{SECRET}"'), "SHOP_SQLITE_PATH": "source.db"}
        (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
        away = stand.run(env={"SHOP_DATABASE_HOST": "127.0.0.1", "SHOP_DATABASE_PORT": "1"})
        assert away.code == 3
        url = f"postgresql://u:{SECRET}@h/d"
        wrong = stand.cli("check", str(stand.config_path), env={"SHOP_DATABASE_URL": url})
        assert wrong.code == 2
        assert "SHOP_DATABASE_URL" in wrong.out + wrong.err
        for text in (away.out, away.err, wrong.out, wrong.err):
            assert SECRET not in text
            assert "geheim" not in text
        assert [name for name, data in written(stand).items() if b"geheim" in data] == []
