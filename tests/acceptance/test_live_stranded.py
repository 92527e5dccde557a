"""Going back before the cutover while PostgreSQL is down: the source never depended on it, and becomes what it was at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import standing
from tests.acceptance.live_kit import Live, catalog_of, make_shop, opened, rows_of, writing
from tests.fleet.nemesis import Server, serving

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[tuple[Live, Server]]:
    """A shop that is about to move to a PostgreSQL of its own, which may go down."""
    with serving() as server, standing(tmp_path, server.dsn) as stand:
        make_shop(stand.source)
        live = Live(stand)
        live.config()
        yield live, server


def left_in_target(live: Live) -> list[str]:
    """What is in the target besides PostgreSQL's own."""
    return [
        name
        for (name,) in live.stand.sql(
            "select format('%s.%s', schemaname, tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
    ]


@pytest.mark.parametrize("engine", ["alive", "killed"])
def test_before_the_cutover(crashing: tuple[Live, Server], engine: str) -> None:
    live, server = crashing
    before = catalog_of(live.stand.source)
    with writing(live.stand.source) as writer:
        live.hold()
        writer.more()
        if engine == "killed":
            live.kill()
        server.stop()
        ran = live.stand.rollback()
        assert ran.code == 3, ran.out + ran.err
        assert catalog_of(live.stand.source) == before
        writer.more()
        assert writer.stop()["refused"] == {}
    rows = rows_of(live.stand.source)
    told = live.events("error")[-1]
    assert told["code"] == "target_left_behind"
    assert all(name in told["detail"] for name in ("customer", "orders", "kv", "_stepflow")), told
    assert "stepflow rollback" in told["hint"]
    assert "stepflow rollback" in ran.out + ran.err
    assert live.status()["state"] == "rolling_back", "there is something left to do"
    assert live.stand.rollback().code == 3, "still down: said again, and nothing else happens"
    with opened(live.stand.source) as connection:
        connection.execute("insert into spare values (2, 'later')")

    server.start()
    ran = live.stand.rollback()
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    assert live.status()["state"] == "rolled_back"
    assert left_in_target(live) == []
    assert catalog_of(live.stand.source) == before
    assert rows_of(live.stand.source) == rows | {"spare": rows_of(live.stand.source)["spare"]}


def test_a_part_of_the_way_back_leaves_capture_where_it_is(crashing: tuple[Live, Server]) -> None:
    live, server = crashing
    live.hold()
    server.stop()
    assert live.stand.rollback("--to", "switch_reads").code == 3
    assert any(name.startswith("_sf_") for _, name, _, _ in catalog_of(live.stand.source))


def test_before_the_target_was_touched(crashing: tuple[Live, Server]) -> None:
    """Nothing is left there, so nothing has to be asked."""
    live, server = crashing
    before = catalog_of(live.stand.source)
    assert live.run("--until", "backfill").code == 0
    server.stop()
    ran = live.stand.rollback()
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    assert live.status()["state"] == "rolled_back"
    assert catalog_of(live.stand.source) == before


def test_after_the_cutover_nothing_is_lifted(crashing: tuple[Live, Server]) -> None:
    live, server = crashing
    live.over()
    server.stop()
    fenced = catalog_of(live.stand.source)
    ran = live.stand.rollback()
    assert (ran.code, live.errors()[-1]) != (3, "target_left_behind")
    assert ran.code == 3
    assert catalog_of(live.stand.source) == fenced


def test_after_writes_were_taken_back(crashing: tuple[Live, Server]) -> None:
    """The engine dies when the file takes writes again, and then PostgreSQL: SQLite owns writes, and the file says so."""
    live, server = crashing
    before = catalog_of(live.stand.source)
    live.over()
    live.kill()
    assert live.stand.rollback(env={"STEPFLOW_FAILPOINT": "back_lifted:1:kill"}).code != 0
    live.stand.idle()
    server.stop()
    ran = live.stand.rollback()
    assert (ran.code, live.errors()[-1]) == (3, "target_left_behind"), ran.out + ran.err + live.trouble()
    assert catalog_of(live.stand.source) == before
    with opened(live.stand.source) as connection:
        connection.execute("insert into spare values (2, 'later')")

    server.start()
    ran = live.stand.rollback()
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    assert (live.status()["state"], left_in_target(live)) == ("rolled_back", [])
    assert catalog_of(live.stand.source) == before
    assert "(2, 'later')" in rows_of(live.stand.source)["spare"]
