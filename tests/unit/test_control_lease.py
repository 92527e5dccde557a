"""Control of a run: held by one front end at a time, asked for, handed over, taken, let go; renewals leave no trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.journal import control_rows
from stepflow_tui.engine.journal.commands import send
from stepflow_tui.engine.journal.reader import RunReader
from tests.run_kit import Bench, bench, book

ANN, BOB = "ann at pts/1", "ann at pts/2"


async def ask(b: Bench, verb: str, who: str, **args: Any) -> dict[str, Any]:
    """Send an intent and have it answered."""
    number = send(b.ctx.run_dir, verb, args, who=who)
    await b.desk.take()
    rows = await b.journal.fetch("SELECT state,answer FROM command WHERE id=?", (number,))
    return {"state": rows[0]["state"], **json.loads(rows[0]["answer"])}


def control(b: Bench) -> dict[str, Any]:
    """What front ends see."""
    with RunReader(b.ctx.run_dir) as reader:
        shown: dict[str, Any] = reader.status()["control"]
        return shown


async def test_control_is_free_at_first_and_held_for_a_minute(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        assert control(b) == {"holder": None, "seconds_left": None, "asked_by": None}
        await ask(b, "hold", ANN)
        seen = control(b)
        assert seen["holder"] == ANN
        assert 55 <= seen["seconds_left"] <= 60


async def test_a_wish_for_control_is_shown_and_fulfilled_by_giving(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "note", ANN, text="mine")
        assert (await ask(b, "ask", BOB))["state"] == "done"
        assert control(b)["holder"] == ANN
        assert control(b)["asked_by"] == BOB
        assert (await ask(b, "give", ANN, to=BOB))["holder"] == BOB
        assert control(b)["holder"] == BOB
        assert control(b)["asked_by"] is None
        intents = [(e["verb"], e["who"]) for e in await b.events("intent")]
        assert intents == [("note", ANN), ("ask", BOB), ("give", ANN)]
        acts = [(r["who"], r["act"]) for r in await b.journal.fetch("SELECT who,act FROM audit ORDER BY n")]
        assert acts == [("note", ANN)[::-1], (BOB, "ask"), (ANN, "give")]


async def test_asking_for_free_control_is_getting_it(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        assert (await ask(b, "ask", BOB))["holder"] == BOB
        assert control(b)["holder"] == BOB
        assert control(b)["asked_by"] is None


async def test_a_wish_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_rows, "ASKED_SECONDS", 0)
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "hold", ANN)
        await ask(b, "ask", BOB)
        assert control(b)["asked_by"] is None


async def test_release_frees_control(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "hold", ANN)
        assert (await ask(b, "release", ANN))["state"] == "done"
        assert control(b)["holder"] is None
        assert (await ask(b, "note", BOB, text="free"))["state"] == "done"


@pytest.mark.parametrize(
    ("verb", "args"), [("give", {"to": BOB}), ("release", {}), ("hold", {}), ("note", {"text": "x"})]
)
async def test_what_is_the_holders_is_refused_to_others(tmp_path: Path, verb: str, args: dict[str, Any]) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "hold", ANN)
        answer = await ask(b, verb, BOB, **args)
        assert answer["state"] == "refused"
        assert answer["exit_code"] == 7
        assert control(b)["holder"] == ANN


@pytest.mark.parametrize(("verb", "args", "code"), [
    ("give", {"to": BOB}, "not_in_control"), ("give", {}, "nobody_named"), ("release", {}, "not_in_control"),
])  # fmt: skip
async def test_nobody_gives_what_they_do_not_hold(tmp_path: Path, verb: str, args: dict[str, Any], code: str) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        answer = await ask(b, verb, ANN, **args)
        assert (answer["state"], answer["code"]) == ("refused", code)
        assert control(b)["holder"] is None


async def test_taking_control_is_told_and_renewing_it_is_not(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "hold", ANN)
        await ask(b, "hold", BOB, take=True)
        told = len(await b.events("intent"))
        audited = len(await b.journal.fetch("SELECT 1 FROM audit"))
        assert (told, audited) == (2, 2)
        for _ in range(5):
            assert (await ask(b, "hold", BOB))["state"] == "done"
        assert len(await b.events("intent")) == told
        assert len(await b.journal.fetch("SELECT 1 FROM audit")) == audited
        rows = await b.journal.fetch("SELECT id FROM command WHERE verb='hold'")
        assert len(rows) == 3  # two that are told of, and the newest renewal
        assert control(b)["holder"] == BOB


async def test_a_renewal_makes_the_lease_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_rows, "CONTROL_SECONDS", 30)
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "hold", ANN)
        assert control(b)["seconds_left"] <= 30
        monkeypatch.setattr(control_rows, "CONTROL_SECONDS", 60)
        await ask(b, "hold", ANN)
        assert control(b)["seconds_left"] > 50


async def test_control_that_ran_out_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_rows, "CONTROL_SECONDS", 0)
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await ask(b, "hold", ANN)
        assert control(b)["holder"] is None
        assert (await ask(b, "note", BOB, text="x"))["state"] == "done"


async def test_a_wish_does_not_make_an_engine_work(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        for verb in ("hold", "ask", "release"):
            await ask(b, verb, ANN)
        assert not b.desk.goes_on
