"""The config is edited between a run and its way back: nothing is undone in databases that the run never knew."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.postgres.fingerprint import catalog_fingerprint
from tests.acceptance.harness import Ran, Stand
from tests.acceptance.live_kit import Live, catalog_of, make_shop

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture
def live(stand: Stand) -> Live:
    """A shop that is about to move."""
    make_shop(stand.source)
    made = Live(stand)
    made.config()
    return made


def abort(live: Live) -> Ran:
    return live.stand.cli("abort", live.stand.name, "--yes", "--confirm", live.stand.name, "--json")


def test_a_rollback_or_abort_by_another_config_is_refused_by_name(live: Live) -> None:
    """And says so; with the old values back both databases are what they were."""
    stand = live.stand
    source, target = catalog_of(stand.source), stand.target(lambda conn: catalog_fingerprint(conn, data=False))
    ran = live.run("--until", "backfill")
    assert ran.code == 0, ran.out
    live.kill()  # an engine that works knows the config it was started with
    during, there = catalog_of(stand.source), stand.target(lambda conn: catalog_fingerprint(conn, data=False))
    assert during != source
    other = stand.source.with_name("other.db")
    make_shop(other)
    for edit in ({"source": {"path": str(other)}}, {"target": {"dsn": "${TARGET_DSN}", "schema": "other"}}):
        live.config(**edit)
        for ended in (stand.rollback(), abort(live)):
            assert ended.code == 4, ended.out + ended.err
            error = live.events("error")[-1]
            assert error["code"] == "config_changed"
            assert f"{next(iter(edit))}." in error["detail"]
        assert catalog_of(stand.source) == during
        assert stand.target(lambda conn: catalog_fingerprint(conn, data=False)) == there
    live.config()
    back = stand.rollback()
    assert back.code == 0, back.out + back.err + live.trouble()
    assert live.status()["state"] == "rolled_back"
    assert catalog_of(stand.source) == source
    assert stand.target(lambda conn: catalog_fingerprint(conn, data=False)) == target
