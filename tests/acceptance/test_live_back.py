"""Going back from PostgreSQL: a schema with audit triggers, `updated_at` triggers and cascades goes over, is written there, and back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.compare import differing
from tests.acceptance.harness import Ran, Stand, standing
from tests.acceptance.live_kit import Live, catalog_of, opened
from tests.fleet.nemesis import Server, serving
from tests.run_kit import until

pytestmark = [pytest.mark.timeout(600)]

_SHOP = """
create table customer(
  id integer primary key autoincrement, email text not null unique, name text, updated_at text
);
create table orders(
  id integer primary key autoincrement, customer_id integer not null references customer(id) on delete cascade on update cascade,
  total integer, updated_at text
);
create table item(
  order_id integer not null references orders(id) on delete cascade, line integer not null, article text not null, weight real,
  primary key (order_id, line)
) without rowid;
create table note(body text, n integer);
create table audit(id integer primary key autoincrement, what text not null);
create trigger customer_touched after update of name on customer begin
  update customer set updated_at = datetime('now') where id = new.id;
end;
create trigger order_made after insert on orders begin insert into audit(what) values ('made ' || new.id); end;
create trigger order_gone after delete on orders begin insert into audit(what) values ('gone ' || old.id); end;
create trigger order_touched after update of total on orders begin
  update orders set updated_at = datetime('now') where id = new.id;
end;
"""
PLACES = {1: ["back_gate_closed"], 2: ["back_owner_moved"]}
"""Where engines are killed before the way back is gone to its end, by turn."""
TRIGGERS = {"customer_touched", "order_made", "order_gone", "order_touched"}


def make_shop(path: Path) -> None:
    """Customers, their orders, the orders' items, and an audit that triggers write."""
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("pragma journal_mode=wal")
        made.executescript(_SHOP)
        made.executemany(
            "insert into customer values (?, ?, ?, null)", [(i, f"{i}@x.org", f"name {i}") for i in range(1, 31)]
        )
        made.executemany(
            "insert into orders(customer_id, total) values (?, ?)", [(i % 30 + 1, i) for i in range(1, 91)]
        )
        made.executemany("insert into item values (?, ?, 'a', 0.5)", [(o, n) for o in range(1, 91) for n in (1, 2)])
        made.executemany("insert into note values (?, ?)", [(f"note {n}", n) for n in range(40)])
        made.commit()


@pytest.fixture
def live(stand: Stand) -> Live:
    """A shop that is about to move."""
    return shop_on(stand)


def shop_on(stand: Stand) -> Live:
    """The shop, and its config."""
    make_shop(stand.source)
    made = Live(stand)
    made.config()
    return made


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[tuple[Live, Server]]:
    """A shop that moves to a PostgreSQL of its own, which may crash."""
    with serving() as server, standing(tmp_path, server.dsn) as stand:
        yield shop_on(stand), server


def write_new(live: Live, turn: int) -> None:
    """The application in PostgreSQL: cascades delete orders and items, triggers write the audit, keys move."""
    live.stand.sql(
        f"insert into customer(email, name) values ('new{turn}@x.org', 'new')",
        f"insert into orders(customer_id, total) select id, {turn} from customer where email = 'new{turn}@x.org'",
        "insert into item select max(id), 1, 'n', 1.25 from orders",
        f"update orders set total = total + 1 where id between {40 + turn} and {44 + turn}",
        f"update customer set name = 'changed {turn}' where id = {turn}",
        f"delete from customer where id = {20 + turn}",
        f"update customer set id = {1000 * turn} where id = {10 + turn}",
        "insert into customer(email, name) values ('short@x.org', 'gone at once')",
        "delete from customer where email = 'short@x.org'",
        "delete from note where n = 5",
        f"insert into note(body, n) values ('written in PostgreSQL', {turn})",
        "select 1",
    )


def write_old(live: Live, turn: int) -> None:
    """The application in SQLite, whose triggers and cascades do the same."""
    with opened(live.stand.source) as connection:
        connection.execute("insert into customer(email, name) values (?, 'old')", (f"old{turn}@x.org",))
        connection.execute("insert into orders(customer_id, total) values (last_insert_rowid(), ?)", (turn,))
        connection.execute("update orders set total = total + 1 where id > 60")
        connection.execute("update customer set name = 'again' where id = ?", (turn,))
        connection.execute("delete from customer where id = ?", (25 + turn,))
        connection.execute("insert into note values ('written in SQLite', ?)", (turn,))


def back(live: Live, *args: str, env: dict[str, str] | None = None) -> Ran:
    """Roll back to before the cutover."""
    ran = live.stand.rollback("--to", "cutover", *args, env=env)
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    return ran


def application_schema(path: Path) -> list[tuple[str, ...]]:
    """The catalog of the application's part of a file, byte by byte."""
    return [row for row in catalog_of(path) if not row[1].startswith(("_sf_", "sqlite_autoindex__sf_"))]


def foreign_keys(live: Live) -> int:
    """How many the target has."""
    return int(live.stand.sql("select count(*) from pg_constraint where contype = 'f'")[0][0])


def highest(live: Live) -> dict[str, int]:
    """The largest key that either side has or gave out, by table."""
    with opened(live.stand.source) as connection:
        given = dict(
            connection.execute("select name, seq from sqlite_sequence where name not like '\\_sf\\_%' escape '\\'")
        )
    for name, here in given.items():
        [(last,)] = live.stand.sql(
            f"select coalesce(pg_sequence_last_value(pg_get_serial_sequence('{name}', 'id')::regclass), 0)"
        )
        given[name] = max(here, last)
    return given


def killed_on_the_way_back(live: Live, place: str) -> None:
    """Kill the engine there, once the one that observes is gone."""
    live.kill()
    args = ("rollback", live.stand.name, "--to", "cutover", "--yes", "--json", "--reason", "a test")
    live.stand.start(*args, env={"STEPFLOW_FAILPOINT": f"{place}:1:kill"}).wait(120)
    live.stand.idle()
    assert live.status()["state"] == "rolling_back", place


def refused_in_source(live: Live) -> str:
    """What SQLite says when the application writes."""
    with pytest.raises(sqlite3.IntegrityError) as refused, opened(live.stand.source) as connection:
        connection.execute("update customer set name = 'no' where id = 9")
    return str(refused.value)


def own_triggers(live: Live) -> set[str]:
    """The application's triggers in the target."""
    return {
        name
        for (name,) in live.stand.sql(
            "select tgname::text from pg_trigger where not tgisinternal and tgname not like '%stepflow%'"
        )
    }


def test_there_and_back_twice_with_triggers_and_cascades(live: Live) -> None:
    """0 rows extra and 0 missing each time; schema, keys and numbering are whole on the side that owns writes."""
    schema = application_schema(live.stand.source)
    for turn in (1, 2):
        live.over()
        assert (foreign_keys(live), own_triggers(live)) == (2, TRIGGERS)
        before = highest(live)
        write_new(live, turn)
        live.equal()
        [(gone,)] = live.stand.sql("select count(*) from audit where what like 'gone %'")
        assert gone >= turn, "the cascade fired the application's trigger in PostgreSQL"
        [(made,)] = live.stand.sql(f"select min(id) from customer where email = 'new{turn}@x.org'")
        assert made > before["customer"]
        before = highest(live)
        for place in PLACES[turn]:
            killed_on_the_way_back(live, place)
        back(live)
        assert differing(live.stand) == []
        assert application_schema(live.stand.source) == schema
        write_old(live, turn)
        with opened(live.stand.source) as connection:
            [(made,)] = connection.execute("select id from customer where email = ?", (f"old{turn}@x.org",))
            assert made > before["customer"], "what PostgreSQL gave out is never given out again"
            assert connection.execute("pragma foreign_key_check").fetchall() == []
    told = live.events("writes_taken_back")
    assert [t["whole"] for t in told] == [[]], "the second way back was finished by an engine that found it nearly done"
    assert told[0]["keys"] >= 20


def test_the_server_is_down_or_crashes(crashing: tuple[Live, Server]) -> None:
    """A crash is waited out. While PostgreSQL is down nothing is lifted; once it is up again, the same command goes back."""
    live, server = crashing
    live.over()
    write_new(live, 1)
    server.crash()
    write_new(live, 2)
    live.equal()
    server.stop()
    ran = live.stand.rollback("--to", "cutover")
    assert ran.code == 3, ran.out + ran.err
    assert "moved to PostgreSQL" in refused_in_source(live)
    server.start()
    write_new(live, 3)
    back(live)
    assert differing(live.stand) == []
    write_old(live, 1)


def disturb(live: Live, *statements: str) -> None:
    """Statements in the target, in one transaction."""
    live.stand.target(lambda conn: conn.execute(f"begin; {'; '.join(statements)}; commit"))


def test_what_disturbs_the_way_back_is_mended_or_named(live: Live) -> None:
    live.over()
    before = live.seq
    disturb(
        live,
        "alter table item disable trigger zzz_stepflow_log",
        "delete from item where order_id = 7",
        "alter table item enable always trigger zzz_stepflow_log",
    )
    assert live.event("return_mended", before)["code"] == "changelog_trigger"
    live.equal()

    before = live.seq
    with opened(live.stand.source) as connection:
        connection.execute("vacuum")
    assert live.event("return_mended", before)["code"] == "capture_schema_changed"

    before = live.seq
    with opened(live.stand.source) as connection:
        connection.execute("drop trigger _sf_fence_update_customer")
        connection.execute("update customer set name = 'past the fence' where id = 9")
    assert live.event("return_mended", before)["code"].startswith("capture_")
    assert "moved to PostgreSQL" in refused_in_source(live)
    live.equal()

    before = live.seq
    disturb(live, "alter table note add column extra text")
    assert live.event("return_blocked", before)["code"] == "target_schema_changed"
    until(lambda: back_of(live)["code"] == "blocked" and back_of(live)["params"]["reason"], 60)
    until(lambda: "way_back_broken" in {a["code"] for a in live.status()["alerts"]}, 60)
    write_new(live, 1)
    assert live.status()["state"] == "observing"
    ran = live.stand.rollback("--to", "cutover")
    assert ran.code == 4, ran.out + ran.err
    assert live.status()["state"] == "observing", "nothing was undone"
    write_new(live, 2)
    disturb(live, "alter table note drop column extra")

    live.over()
    live.equal()
    live.stand.sql("insert into item values (60, 7, 'n', 'NaN')", "select 1")
    until(lambda: "way_back_blocked" in {a["code"] for a in live.status()["alerts"]}, 60)
    live.stand.sql(
        "update item set weight = 1 where line = 7", "insert into item values (61, 8, 'n', 'NaN')", "select 1"
    )
    back(live)
    assert live.events("writes_taken_back")[-1]["blocked"] == 1
    assert differing(live.stand) == [], "what was given up is gone on both sides"
    assert [line for (line,) in live.stand.sql("select line from item where line > 6")] == [7]


def back_of(live: Live) -> dict[str, Any]:
    """What the run says about going back."""
    found: dict[str, Any] = live.status()["live"]["back"]
    return found
