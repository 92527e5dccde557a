"""The change log's budget is kept from the moment on from which there is a log: while tables are copied, and while the
target is down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing
from tests.acceptance.live_kit import Live, Writer, catalog_of, make_shop, rows_of, writing
from tests.fleet.nemesis import Server, serving

pytestmark = [pytest.mark.timeout(300)]


def shop_on(stand: Stand) -> Live:
    """A shop that is about to move, with room for few changes."""
    make_shop(stand.source)
    live = Live(stand)
    live.config(capture={"budget": 20_000})
    return live


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[tuple[Live, Server]]:
    """A shop that moves to a PostgreSQL of its own, which may go down."""
    with serving() as server, standing(tmp_path, server.dsn) as stand:
        yield shop_on(stand), server


def ended_loudly(live: Live, writer: Writer, before: list[tuple[str, ...]]) -> None:
    """The engine ended, said why, and nothing of capture is in the application's way."""
    live.failed("log_full")
    assert catalog_of(live.stand.source) == before
    assert [a["severity"] for a in live.status()["alerts"] if a["code"] == "log_full"] == ["critical"]
    writer.more()
    assert writer.stop()["refused"] == {}, "the application noticed nothing"


def test_full_before_anything_is_applied(stand: Stand) -> None:
    """No tail runs while the tables are copied: the log only grows. A run that goes on then says that it can't."""
    live = shop_on(stand)
    before = catalog_of(live.stand.source)
    with writing(live.stand.source) as writer:
        live.run("--until", "backfill")
        ended_loudly(live, writer, before)
    seen = live.seq
    again = live.run()
    assert (again.code, live.errors(seen)) == (4, ["capture_log_missing"]), again.out + again.err
    assert live.status()["phase"] == "backfill", "nothing was copied in vain"
    rows = rows_of(live.stand.source)
    assert live.stand.rollback().code == 0, live.trouble()
    assert (catalog_of(live.stand.source), rows_of(live.stand.source)) == (before, rows)


def test_full_while_the_target_is_down(crashing: tuple[Live, Server]) -> None:
    """Nothing can be applied and nothing pruned: the log grows until the target is back, or is full."""
    live, server = crashing
    before = catalog_of(live.stand.source)
    live.hold()
    server.stop()
    with writing(live.stand.source) as writer:
        ended_loudly(live, writer, before)
    server.start()
    assert live.stand.rollback().code == 0, live.trouble()
    assert catalog_of(live.stand.source) == before
