"""A live run's life: held before the cutover, over, back, over again, closed; given up; lost and found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from stepflow_tui.engine.postgres.fingerprint import catalog_fingerprint
from tests.acceptance.harness import Ran, Stand
from tests.acceptance.live_kit import Live, Writer, catalog_of, make_shop, opened, rows_of, target_rows, writing
from tests.run_kit import until

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture
def live(stand: Stand) -> Live:
    """A shop that is about to move."""
    make_shop(stand.source)
    made = Live(stand)
    made.config()
    return made


@pytest.fixture
def writer(live: Live) -> Iterator[Writer]:
    """Its application, which writes all the time, to SQLite."""
    with writing(live.stand.source) as made:
        yield made


def call(live: Live, *args: str) -> Ran:
    """A command on the run, answered as JSON."""
    return live.stand.cli(args[0], live.stand.name, *args[1:], "--json")


def back(live: Live, *args: str) -> None:
    """Roll back to before the cutover; the engine stays nowhere."""
    ran = live.stand.rollback("--to", "cutover", *args)
    assert ran.code == 0, ran.out + ran.err + live.trouble()


def write_new(live: Live, number: int) -> None:
    """Rows in PostgreSQL as an application writes them: cascades and triggers included."""
    live.stand.sql(
        f"insert into customer(email, name) values ('new{number}@x.org', 'new')",
        f"insert into orders(customer_id, total) select id, {number} from customer where email = 'new{number}@x.org'",
        f"update orders set total = total + {number} where id <= 10",
        f"delete from customer where id = {30 + number}",
        f"insert into note(body, n) values ('written in PostgreSQL', {number})",
        f"update kv set v = '\\x{number:02x}' where k = 'k1'",
        "select 1",
    )


def write_old(live: Live, number: int) -> None:
    """Rows in SQLite, beside whoever else writes there."""
    with opened(live.stand.source) as connection:
        connection.execute("insert into customer(email, name) values (?, 'old')", (f"old{number}@x.org",))
        connection.execute("update orders set total = total + ? where id > 90", (number,))
        connection.execute("delete from customer where id = ?", (20 + number,))
        connection.execute("insert into note values ('written in SQLite', ?)", (number,))


def ours_in_source(live: Live) -> list[str]:
    """What of StepFlow is in the source."""
    return [name for _, name, _, _ in catalog_of(live.stand.source) if name.startswith("_sf_")]


def refused_in_source(live: Live) -> str:
    """What SQLite says when the application writes."""
    with pytest.raises(sqlite3.IntegrityError) as refused, opened(live.stand.source) as connection:
        connection.execute("update kv set v = x'01' where k = 'k2'")
    return str(refused.value)


@pytest.mark.parametrize("command", ["continue", "cutover", "run"])
def test_a_held_run_stays_equal_and_goes_on(live: Live, writer: Writer, command: str) -> None:
    """`run --until cutover` returns, its engine keeps both sides equal, and each way of going on goes on."""
    live.hold()
    writer.more()
    told = writer.stop()
    assert not told["refused"]
    live.equal()
    ran = {
        "continue": lambda: call(live, "continue", "--yes", "--confirm", live.stand.name),
        "cutover": lambda: call(live, "cutover", "--yes", "--confirm", live.stand.name),
        "run": live.run,
    }[command]()
    assert ran.code == 0, ran.out + ran.err
    until(lambda: live.status()["state"] == "observing", 60)
    assert "moved to PostgreSQL" in refused_in_source(live)
    write_new(live, 1)
    live.equal()


def test_abort_takes_everything_out_of_the_source_and_drops_no_row(live: Live, writer: Writer) -> None:
    before = catalog_of(live.stand.source)
    live.hold()
    writer.more()
    rows = sum(map(len, target_rows(live.stand).values()))
    ran = call(live, "abort", "--yes", "--confirm", live.stand.name)
    assert ran.code == 0, ran.out + ran.err
    live.stand.idle()
    assert live.status()["state"] == "aborted"
    assert catalog_of(live.stand.source) == before
    writer.more()
    assert not writer.stop()["refused"]
    assert sum(map(len, target_rows(live.stand).values())) >= rows - 60, "the tables stay as they were then"
    live.stand.sql("insert into note(_sf_rowid, body) values (9999999, 'not refused')", "select 1")


def test_over_and_back_and_over_again(live: Live, writer: Writer) -> None:
    """Twice in each direction, with rows written on each side in between: nothing extra, nothing missing."""
    live.hold()
    writer.more()
    for turn in (1, 2):
        live.over()
        writer.refused("moved to PostgreSQL")
        write_new(live, turn)
        live.equal()
        back(live, "--reason", f"turn {turn}")
        writer.more()
        write_old(live, turn)
        rows = rows_of(live.stand.source)
        assert any("written in PostgreSQL" in row for row in rows["note"])
        assert len({row for row in rows["customer"] if "new@" in row or "'new'" in row}) >= 1
    live.over()
    writer.stop()
    write_new(live, 3)
    live.equal()
    kinds = [json_reason(entry) for entry in live.stand.journal("select data from audit where act='writes taken back'")]
    assert kinds == ["turn 1", "turn 2"]


def json_reason(row: tuple[Any, ...]) -> str:
    """The reason in an audit entry."""
    import json

    return str(json.loads(row[0])["reason"])


def test_cleanup_leaves_nothing_and_closes_the_way_back(live: Live, writer: Writer) -> None:
    """Both catalogs are compared with what they should be; the report says completed; there is no way back."""
    source = catalog_of(live.stand.source)
    with opened(live.stand.source) as connection:
        connection.execute("create view dropped_later as select count(*) from orders")
    live.hold()
    writer.more()
    live.over()
    writer.stop()
    write_new(live, 1)
    live.equal()
    with opened(live.stand.source) as connection:
        connection.execute("drop view dropped_later")  # the owner's business, and nothing that clean-up would miss
    ran = call(live, "cleanup", "--yes", "--confirm", live.stand.name)
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    live.stand.idle()
    assert live.status()["state"] == "completed"
    assert catalog_of(live.stand.source) == source
    assert (
        live.stand.sql(
            "select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname like '%stepflow%' or c.relname like '%stepflow%' or c.relname like '\\_sf\\_%'"
            " union all select 'trigger', tgname::text from pg_trigger where tgname like '%stepflow%' or tgname like '%\\_sf\\_%'"
            " union all select 'column', attname::text from pg_attribute where attname like '\\_sf\\_%' and not attisdropped"
            " union all select 'function', proname::text from pg_proc where proname like '%stepflow%'"
        )
        == []
    )
    live.stand.sql("insert into note values ('row numbers are gone', 1)", "select 1")
    report = live.stand.report()
    assert (report["result"], report["audit"]["verified"]) == ("completed", True), report["result"]
    refused = live.stand.rollback()
    assert refused.code != 0
    assert "way_back_closed" in refused.out + refused.err


def test_a_freeze_that_would_take_too_long_is_not_begun(live: Live, writer: Writer) -> None:
    """The rehearsal measures it; no write is refused."""
    live.config(cutover={"max_freeze": "1ms"})
    ran = live.run()
    assert ran.code == 4, ran.out
    assert [(e["code"], e["detail"]) for e in ran.errors] == [("cutover_guards", "freeze")]
    writer.more()
    assert not writer.stop()["refused"]


def test_a_freeze_that_takes_too_long_is_taken_back(live: Live, writer: Writer) -> None:
    """Everything is as before, the application writes on; the next try goes over."""
    live.config(cutover={"max_freeze": "5s", "retries": 0})
    live.hold()
    live.kill()
    live.unguarded("slow_return")
    ran = live.run()
    assert ran.code == 1, ran.out
    assert [e["code"] for e in ran.errors] == ["freeze_too_long"]
    writer.more()
    assert live.events("cutover_fenced")
    assert live.events("cutover_taken_back")
    with opened(live.stand.source) as connection:
        assert connection.execute("select fenced, owner from _sf_ctl").fetchone() == (0, "sqlite")
    assert live.stand.sql("select owner from _stepflow.gate") == [("sqlite",)]
    assert live.stand.sql("select count(*) from pg_constraint where contype = 'f'") == [(0,)], "catching up goes on"
    del live.stand.env["PYTHONPATH"]
    live.over()
    told = writer.stop()
    assert all(words.startswith("stepflow: writes moved to PostgreSQL") for words in told["refused"]), (
        "by the fence only"
    )
    live.equal()


def test_the_engine_is_killed_while_it_observes(live: Live, writer: Writer) -> None:
    """What PostgreSQL got meanwhile arrives in SQLite as soon as there is an engine again."""
    live.hold()
    writer.stop()
    live.over()
    live.kill()
    write_new(live, 1)
    assert "written in PostgreSQL" not in str(rows_of(live.stand.source))
    live.over()
    live.equal()


def test_the_observation_ends_by_itself(live: Live, writer: Writer) -> None:
    """`observe.then: cleanup`: the window's end closes the run."""
    live.config(observe={"window": "1s", "then": "cleanup"})
    ran = live.run()
    writer.stop()
    assert ran.code == 0, ran.out + live.trouble()
    live.stand.idle()
    assert live.status()["state"] == "completed"
    assert ours_in_source(live) == []


def test_a_rollback_asks_for_its_reason(live: Live, writer: Writer) -> None:
    live.hold()
    live.over()
    refused = call(live, "rollback", "--yes", "--to", "cutover")
    assert refused.code == 6, refused.out
    assert live.status()["state"] == "observing"
    writer.stop()
    back(live, "--reason", "the new side is slow")
    assert "the new side is slow" in live.stand.cli("audit", "show", live.stand.name, "--json").out


def test_rolled_back_as_a_whole_after_the_cutover(live: Live, writer: Writer) -> None:
    """Writes come back with what was written in PostgreSQL; both databases are what they were before the run."""
    source = catalog_of(live.stand.source)
    target = live.stand.target(lambda conn: catalog_fingerprint(conn, data=False))
    live.hold()
    live.over()
    writer.stop()
    write_new(live, 1)
    ran = live.stand.rollback("--reason", "all of it")
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    assert live.status()["state"] == "rolled_back"
    assert any("written in PostgreSQL" in row for row in rows_of(live.stand.source)["note"])
    assert catalog_of(live.stand.source) == source
    assert live.stand.target(lambda conn: catalog_fingerprint(conn, data=False)) == target


def test_a_row_that_the_target_can_not_hold_stops_the_cutover_until_it_is_corrected(live: Live, writer: Writer) -> None:
    """NUL in a text arrives live: set aside by key and cause, no cutover; corrected, the run goes on."""
    live.hold()
    writer.stop()  # it replaces rows, and customer 40 may be gone just now
    with opened(live.stand.source) as connection:
        connection.execute("insert or replace into customer values (40, 'bad@x.org', 'bad' || char(0) || 'text')")
    before = live.seq
    refused = live.run()
    assert refused.code in (4, 5), refused.out + live.trouble()
    assert live.errors(before), refused.out
    assert live.stand.sql("select tb, k from _stepflow.poison") == [("customer", ["40"])]
    [named] = live.stand.report()["rejects"]
    assert (named["table"], named["key"], named["column"]) == ("customer", {"id": 40}, "name")
    assert named["reason"] == "text contains a NUL character"
    assert live.status()["state"] != "observing"
    with opened(live.stand.source) as connection:
        assert connection.execute("select fenced from _sf_ctl").fetchone() == (0,)
        connection.execute("update customer set name = 'good' where id = 40")
    live.over()
    live.equal()


def test_what_the_copy_refused_and_the_application_corrected_is_no_reject_any_more(live: Live) -> None:
    """A row that can't be copied stops the proof; corrected, the tail brings it, and nothing is listed any more."""
    with opened(live.stand.source) as connection:
        connection.execute("update customer set name = 'bad' || char(0) || 'text' where id = 7")
    stopped = live.run()
    assert stopped.code in (4, 5), stopped.out
    assert [r["table"] for r in live.stand.report()["rejects"]] == ["customer"]
    with opened(live.stand.source) as connection:
        connection.execute("update customer set name = 'good' where id = 7")
    live.over()
    live.equal()
    assert live.stand.journal("select count(*) from reject") == [(0,)]
    assert live.stand.sql("select count(*) from _stepflow.reject") == [(0,)]
    ran = call(live, "cleanup", "--yes", "--confirm", live.stand.name)
    assert ran.code == 0, ran.out + ran.err
    live.stand.idle()
    report = live.stand.report()
    assert (report["result"], report["rejects"]) == ("completed", [])


_FED = """
create table fed(
  id integer primary key, a text not null default 'd', g text generated always as (a || '!') virtual, v integer,
  unique (g)
);
insert into fed(id, a, v) values (1, 'd', 1), (2, 'b', 2);
"""


def test_a_log_that_may_miss_rows_is_refused_or_compared_as_a_whole(live: Live) -> None:
    """A unique key over a generated column that a default feeds: `refuse` blocks, `reconcile` compares it in the freeze."""
    with opened(live.stand.source) as connection:
        connection.executescript(_FED)
    refused = live.run()
    assert refused.code == 4, refused.out
    assert "live_partly_captured" in refused.out
    assert ours_in_source(live) == []
    live.config(capture={"uncapturable": "reconcile"})
    ran = live.run("--new", "--until", "cutover")
    assert ran.code == 0, ran.out
    assert "live_reconciled" in ran.out
    with opened(live.stand.source) as connection:  # removes row 1, which no trigger sees
        connection.execute("insert or replace into fed(id, a, v) values (3, null, 3)")
        assert connection.execute("select id from fed order by id").fetchall() == [(2,), (3,)]
    live.over()
    live.equal()
