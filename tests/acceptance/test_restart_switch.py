"""A live run whose application knows nothing of StepFlow: its `.env` is switched, it is restarted, and it can go back."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand
from tests.acceptance.live_kit import Json, Live
from tests.changeover_kit import SECRET, application, end_app, start_app
from tests.run_kit import until
from tests.sample_app import call, free_port, make_app, wait_health


class Customers:
    """Orders all the time, over HTTP; remembers every one that was acknowledged."""

    def __init__(self, port: int) -> None:
        self._port, self._stop = port, threading.Event()
        self.acknowledged: list[str] = []
        self._thread = threading.Thread(target=self._order, daemon=True)
        self._thread.start()

    def _order(self) -> None:
        for number in range(1_000_000):
            note = f"order {number}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if call(self._port, "/orders", "POST", {"note": note})[0] == 201:
                    self.acknowledged.append(note)
            if self._stop.wait(0.02):
                return

    def more(self, count: int = 5) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted, 60)

    def stop(self) -> list[str]:
        """No more. Returns what was acknowledged."""
        self._stop.set()
        self._thread.join(30)
        return self.acknowledged


class Shop(Live):
    """A live run whose application is the sample."""

    def __init__(self, stand: Stand) -> None:
        super().__init__(stand)
        self.port = free_port()
        self.app = make_app(stand.folder / "app", SECRET_KEY=SECRET)
        stand.source = self.app / "shop.db"
        start_app(self.app, self.port)
        self.settings = (self.app / ".env").read_bytes()
        self.customers = Customers(self.port)

    def configured(self, shadow_reads: int = 0) -> None:
        """Reads and writes move with the restart; without shadow reads nothing is waited for before."""
        keys = application(self.app, self.port)
        keys["switches"] = [{"file": str(self.app / ".env"), "set": {"DATABASE_URL": "{target_dsn}"}}]
        keys["health"][0] |= {"json": {"database.kind": "postgresql"}, "retries": 10}
        keys["availability"] = {"http": f"http://127.0.0.1:{self.port}/health", "every": "200ms"}
        self.config(application=keys, switch={"shadow_reads": shadow_reads}, verify={"level": "detailed"})

    @property
    def kind(self) -> str:
        """The database that the application uses now."""
        return str(wait_health(self.port)["database"]["kind"])

    def answered(self) -> set[str]:
        """What the application shows of the customers' orders."""
        return {order["note"] for order in call(self.port, "/orders")[1]}

    def traces(self) -> list[Path]:
        """Files of StepFlow's that hold a secret of the application's."""
        return [p for p in self.stand.state.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


@pytest.fixture
def shop(stand: Stand) -> Iterator[Shop]:
    made = Shop(stand)
    try:
        made.configured()
        yield made
    finally:
        made.customers.stop()
        end_app(made.app)


def test_over_and_back(shop: Shop) -> None:
    shop.configured(shadow_reads=200)
    shop.customers.more()
    shop.over()
    shop.customers.more()
    status = shop.status()
    assert (shop.kind, status["live"]["owner"], status["application"]["state"]) == ("postgresql", "postgresql", "new")
    assert b"postgresql://" in (shop.app / ".env").read_bytes()
    items = {i["id"]: i["state"] for i in status["checklist"]}
    assert (items["application-switched"], items["application-routed"]) == ("ticked", "ticked")
    before = time.monotonic()
    back = shop.stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out + shop.trouble()
    assert time.monotonic() - before < 60
    assert (shop.kind, (shop.app / ".env").read_bytes()) == ("sqlite", shop.settings)
    shop.customers.more()
    acknowledged = shop.customers.stop()
    assert set(acknowledged) - shop.answered() == set()
    measured = shop.stand.report()["availability"]
    assert {"cutover", "rollback"} <= set(measured)
    assert shop.traces() == []


def test_a_start_that_fails_leaves_the_old_one_running(shop: Shop) -> None:
    (shop.app / "leak-and-exit").write_text("postgresql")
    shop.customers.more()
    ran = shop.run()
    assert (ran.code, ran.last["result"]) == (1, "failed"), ran.out
    assert [e["code"] for e in ran.errors] == ["application_start_failed"]
    (finding,) = [f for f in ran.of("finding") if f["code"] == "application_start_failed"]
    assert "could not connect to postgresql://" in finding["params"]["log"]
    assert "healthy" in finding["params"]["outcome"]
    assert (shop.kind, (shop.app / ".env").read_bytes()) == ("sqlite", shop.settings)
    shop.customers.more()
    assert set(shop.customers.acknowledged) - shop.answered() == set()
    assert shop.traces() == []
    (shop.app / "leak-and-exit").unlink()
    shop.over()
    shop.customers.more()
    acknowledged = shop.customers.stop()
    assert (shop.kind, set(acknowledged) - shop.answered()) == ("postgresql", set())


def test_an_abort_before_the_cutover_leaves_the_application_alone(shop: Shop) -> None:
    pid = wait_health(shop.port)["pid"]
    shop.hold()
    aborted = shop.stand.cli("abort", shop.stand.name, "--yes", "--confirm", shop.stand.name)
    assert aborted.code == 0, aborted.out + aborted.err
    shop.stand.idle()
    assert (wait_health(shop.port)["pid"], (shop.app / ".env").read_bytes()) == (pid, shop.settings)
    shop.customers.more()
    assert set(shop.customers.stop()) - shop.answered() == set()


def test_an_abort_after_the_point_of_no_return_brings_the_application_over(shop: Shop) -> None:
    """Its engine was killed before it stopped anything: the old one runs, and SQLite refuses what it writes."""
    shop.customers.more()
    ran = shop.run(env={"STEPFLOW_FAILPOINT": "freeze_decided:1:kill"})
    assert ran.errors[-1]["code"] == "engine_lost"
    aborted = shop.stand.cli("abort", shop.stand.name, "--yes", "--confirm", shop.stand.name)
    assert aborted.code == 0, aborted.out + aborted.err
    shop.stand.idle()
    assert (shop.status()["state"], shop.kind) == ("aborted", "postgresql")
    shop.customers.more()
    assert set(shop.customers.stop()) - shop.answered() == set()


def test_killed_in_the_middle_of_the_restart(shop: Shop) -> None:
    """The next engine finds PostgreSQL owning writes and the application stopped, and finishes that."""
    shop.customers.more()
    ran = shop.run(env={"STEPFLOW_FAILPOINT": "application_halted:1:kill"})
    assert ran.errors[-1]["code"] == "engine_lost"
    with pytest.raises(OSError):
        call(shop.port, "/health")
    shop.over()
    shop.customers.more()
    assert shop.kind == "postgresql"
    killed = shop.stand.rollback(env={"STEPFLOW_FAILPOINT": "application_settings_back:1:kill"})
    shop.stand.idle()
    done: Json = shop.status() if killed.code == 0 else {}
    if done.get("state") != "rolled_back":
        assert shop.stand.rollback().code == 0
    acknowledged = shop.customers.stop()
    assert (shop.kind, set(acknowledged) - shop.answered()) == ("sqlite", set())


@pytest.mark.parametrize("place", ["back_gate_closed", "back_lifted", "application_settings_back"])
def test_killed_while_a_failed_restart_is_taken_back(shop: Shop, place: str) -> None:
    """Whoever owns writes then says where the application belongs; the next engine brings it there."""
    (shop.app / "fail-at-start").write_text("postgresql")
    shop.customers.more()
    ran = shop.run(env={"STEPFLOW_FAILPOINT": f"{place}:1:kill"})
    assert ran.errors[-1]["code"] == "engine_lost", ran.out
    again = shop.run()
    assert [e["code"] for e in again.errors] == ["application_start_failed"], again.out + shop.trouble()
    assert (shop.kind, (shop.app / ".env").read_bytes()) == ("sqlite", shop.settings)
    shop.customers.more()
    (shop.app / "fail-at-start").unlink()
    shop.over()
    shop.customers.more()
    acknowledged = shop.customers.stop()
    assert (shop.kind, set(acknowledged) - shop.answered()) == ("postgresql", set())
