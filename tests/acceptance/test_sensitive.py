"""Sensitive columns: their values stand nowhere but in the databases, the backup and the before-images of a repair."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.harness import ROOT, Ran, Stand

CANARY = "kanari"
NUMBER = "9876543"
"""How every sensitive text and number begins, and nothing else."""

FINGERPRINT = re.compile(r"#fp:[0-9a-f]{10}")
MAY_HOLD = re.compile(r"before-images\.ndjson|(^|/)backups?/")


def make(path: Path, rows: int = 60) -> None:
    """Sensitive columns by name, by config, by a foreign key, in keys, in generated columns; refused and odd values."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            "create table users(id integer primary key, email text not null unique, password text, phone integer, nick text,"
            " resetToken text, mail_hint text generated always as (substr(email, 1, 9)) stored, salary integer, remark text);"
            "create table accounts(email text primary key, balance integer, remark text) without rowid;"
            "create table logins(n integer primary key, who text references users(email), at text);"
            "create table letters(email text, body text);"
        )
        users = [
            (
                n,
                f"{CANARY}{n}@example.org",
                f"{CANARY}-pw{n}" + ("\0" if n == 7 else ""),
                int(f"{NUMBER}{n:03}"),
                f"nick{n}",
                f"{CANARY}-token{n}" if n in (5, 6) else f"00000000-0000-0000-0000-{n:012}",
                int(f"{NUMBER}{n:04}"),
                "bad\0remark" if n == 8 else "fine",
            )
            for n in range(1, rows + 1)
        ]
        sql = "insert into users(id, email, password, phone, nick, resetToken, salary, remark) values(?,?,?,?,?,?,?,?)"
        db.executemany(sql, users)
        mine = [(f"{CANARY}-a{n:03}", n, "bad\0remark" if n == 9 else "fine") for n in range(rows)]
        db.executemany("insert into accounts values(?,?,?)", mine)
        db.executemany(
            "insert into logins values(?,?,?)", [(n, f"{CANARY}{n}@example.org", "2024") for n in range(rows)]
        )
        db.executemany("insert into letters values(?,?)", [(f"{CANARY}{n}@example.org", f"body {n}") for n in range(9)])
        db.commit()


CHANGES = (
    f"update users set email = '{CANARY}-changed@example.org' where id = 11",
    f"update users set password = (select password from users where id = 13), phone = {NUMBER}999 where id = 12",
    "update users set nick = 'another' where id = 14",
    "delete from users where id = 15",
    f"insert into users(id, email, phone) values (900, '{CANARY}-extra@example.org', {NUMBER}000)",
    f"delete from accounts where email = '{CANARY}-a003'",
    f"update accounts set balance = -1 where email = '{CANARY}-a004'",
    f"update letters set email = '{CANARY}-other' where body = 'body 3'",
    "select 1",
)


def configure(stand: Stand) -> None:
    """`salary` is sensitive by config; `resetToken` gets a type that the server itself refuses values of."""
    stand.config(
        sensitive={"users": ["salary"]},
        types={"by_column": {"users": {"resetToken": "uuid"}}},
    )


def through(stand: Stand) -> list[Ran]:
    """Plan, copy, differences, a run that names them, every way to look at it, a repair."""
    make(stand.source)
    configure(stand)
    config = str(stand.config_path)
    planned = [stand.cli("plan", config, *flags) for flags in ((), ("--json",), ("--sql",))]
    stopped = stand.run("--until", "validate")
    assert stopped.code == 0, stopped.out
    stand.sql("set session_replication_role = replica", *CHANGES)
    found = stand.run()
    assert found.code == 5, found.out + found.err
    export = stand.folder / "differences.json"
    looks = [
        stand.cli("verify", config, "--repair", "plan", "--level", level, "--export", str(export))
        for level in ("basic", "standard", "detailed", "comprehensive")
    ]
    looks += [stand.cli("verify", config, "--json", *more) for more in (("--repair", "plan"), ("--level", "standard"))]
    looks += [stand.cli("report", stand.name)]
    looks += [stand.cli("report", stand.name, flag) for flag in ("--html", "--json")]
    looks += [
        stand.cli("status", stand.name),
        stand.cli("attach", stand.name, "--no-follow"),
        stand.cli("check", config),
    ]
    repaired = stand.cli("verify", config, "--repair", "apply", "--yes", "--json")
    assert repaired.code == 5, "rejects stay"
    stand.idle()
    return [*planned, stopped, found, *looks, repaired]


def leaks(stand: Stand, said: list[Ran]) -> set[str]:
    """Where a sensitive value stands that may not stand there: commands by their number, files by their path."""
    places = {f"output {n}: {line[:300]}" for n, ran in enumerate(said) for line in f"{ran.out}\n{ran.err}".splitlines()
              if _shows(line.encode())}  # fmt: skip
    files = [*_files(stand.state), *stand.folder.glob("*.json")]
    return places | {str(f.relative_to(stand.folder)) for f in files if _shows(f.read_bytes())}


def _shows(data: bytes) -> bool:
    signs = (CANARY.encode(), NUMBER.encode(), CANARY.encode().hex().encode(), CANARY.encode("utf-16-le"))
    return any(sign in data for sign in signs)


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and not MAY_HOLD.search(file.relative_to(folder).as_posix()):
            yield file


def _named(said: list[Ran]) -> None:
    """Differences are told apart by fingerprints."""
    found = [d for d in said[4].of("discrepancy") if d["table"] == "users" and d["key"]]
    swapped = {(d["key"]["id"], d["column"]): d for d in found}
    email = swapped[11, "email"]
    assert FINGERPRINT.fullmatch(email["source"])
    assert FINGERPRINT.fullmatch(email["target"])
    assert email["source"] != email["target"]
    assert f"=#{email['source'].removeprefix('#')} where" in email["repair_sql"], (
        "a bare fingerprint: nobody can run it by mistake"
    )
    assert swapped[14, "nick"]["source"] == "nick14"
    missing = swapped[15, None]["source"]
    assert "nick=nick15" in missing
    assert len(FINGERPRINT.findall(missing)) == 6
    accounts = {d["class"]: d["key"]["email"] for d in said[4].of("discrepancy") if d["table"] == "accounts"}
    assert all(map(FINGERPRINT.fullmatch, accounts.values()))


def test_no_value_of_a_sensitive_column_stands_anywhere(stand: Stand) -> None:
    said = through(stand)
    assert leaks(stand, said) == set()
    report = stand.report()
    named = {f["code"]: f["what"] for f in report["findings"] if f["code"].startswith("sensitive_columns")}
    assert "users.email, users.password, users.phone, users.resetToken, users.mail_hint" in named["sensitive_columns"]
    assert "users.salary" in named["sensitive_columns_configured"]
    assert "logins.who" in named["sensitive_columns_tied"]
    assert stand.plan()["sensitive"]["users"]["salary"] == "configured"
    refused = {r["column"]: r for r in report["rejects"] if r["table"] == "users"}
    assert refused.keys() == {"password", "resetToken", "remark"}
    assert "left out" in refused["resetToken"]["reason"]
    (account,) = [r for r in report["rejects"] if r["table"] == "accounts"]
    assert FINGERPRINT.fullmatch(account["key"]["email"])
    kept = [json.loads(line) for line in Path(account["file"]).read_text().splitlines()]
    assert kept[0]["key"] == account["key"]
    _named(said)
    repaired = said[-1].object
    assert [d for d in repaired["discrepancies"] if d["table"] != "logins"] == []
    assert stand.sql("select email from users where id = 11") == [(f"{CANARY}11@example.org",)]
    assert stand.sql("select count(*) from accounts") == [(59,)]
    images = stand.run_dir / "before-images.ndjson"
    assert CANARY in images.read_text(), "without true values a repair can't be undone"
    assert stat.S_IMODE(images.stat().st_mode) == 0o600


def test_the_way_back_needs_no_values_in_the_journal(stand: Stand) -> None:
    """Bounds of compared ranges are keys: hidden in the journal, found again in the target."""
    with contextlib.closing(sqlite3.connect(stand.source)) as db:
        db.execute("create table tokens(token text primary key, n integer) without rowid")
        rows = ((f"{CANARY}-{n:06}" + "x" * 2000, n) for n in range(12_000))
        db.executemany("insert into tokens values(?,?)", rows)
        db.commit()
    before = stand.target_hash()
    assert stand.run().code == 0
    (ranges,) = stand.journal("select ranges from tbl")
    assert len(FINGERPRINT.findall(ranges[0])) > 2, "more than one range, or this shows nothing"
    assert leaks(stand, []) == set()
    back = stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out
    assert stand.target_hash() == before


def test_the_search_finds_what_is_not_hidden(stand: Stand) -> None:
    """A negative control: without the mask, every kind of place shows values."""
    stand.env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).with_name("unmasked")), str(ROOT)])
    found = leaks(stand, through(stand))
    named = "\n".join(sorted(found))
    for place in ("journal.db", "report.json", "report.md", "report.html", "rejects/users", "differences.json"):
        assert place in named
    outputs = {int(line.split()[1].rstrip(":")) for line in found if line.startswith("output")}
    assert {1, 4, 7, 8, 9, 11, 12, 13} <= outputs


def revealed(stand: Stand, *args: str, key: object) -> Ran:
    """`stepflow reveal … --json`."""
    return stand.cli("reveal", stand.name, *args, "--key", json.dumps(key), "--json")


def test_a_value_is_shown_to_whoever_types_the_name_and_the_audit_keeps_it(stand: Stand) -> None:
    make(stand.source)
    configure(stand)
    assert stand.run().code == 5
    stand.sql("set session_replication_role = replica", *CHANGES)
    name = ("--yes", "--confirm", stand.name)
    asked = revealed(stand, "users", "email", "--yes", key={"id": 11})
    assert (asked.code, CANARY in asked.out + asked.err) == (6, False), "--yes alone is not enough, in no environment"
    assert revealed(stand, "users", "email", "--yes", "--confirm", "other", key={"id": 11}).code == 6
    shown = revealed(stand, "users", "email", *name, key={"id": 11}).object
    assert (shown["source"], shown["target"]) == (f"{CANARY}11@example.org", f"{CANARY}-changed@example.org")
    only = revealed(stand, "users", "PHONE", *name, key={"id": 900}).object
    assert (only["source"], only["target"]) == (None, f"{NUMBER}000")
    assert revealed(stand, "users", "salary", *name, key={"id": 900}).object["target"] == "NULL"
    refused = [r for r in stand.report()["rejects"] if r["table"] == "accounts"]
    hidden = revealed(stand, "accounts", "email", *name, key=refused[0]["key"]).object
    assert (hidden["source"], hidden["target"]) == (f"{CANARY}-a009", None), "found by looking through the rows"
    # a true value in the key must not get into the journal
    assert revealed(stand, "accounts", "balance", *name, key={"EMAIL": f"{CANARY}-a004"}).object["target"] == "-1"
    assert revealed(stand, "letters", "email", *name, key={"rowid": 4}).object["source"] == f"{CANARY}3@example.org"
    kept = [e for e in stand.cli("audit", "show", stand.name, "--json").object["entries"] if e["act"] == "reveal"]
    assert [json.loads(e["data"])["args"]["column"] for e in kept] == [
        "email",
        "phone",
        "salary",
        "email",
        "balance",
        "email",
    ]
    assert leaks(stand, []) == set()
    assert revealed(stand, "users", "mail", *name, key={"id": 1}).code == 2
    assert revealed(stand, "users", "email", *name, key={"nothing": 1}).code == 2
    assert revealed(stand, "users", "email", *name, key=[1]).code == 2
    assert stand.cli("audit", "verify", stand.name).code == 0
