"""The loop: order of intent and effect, resume, gates, pause, stop, abort, rollback, endings, exit codes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.control import EngineControl, Wish
from stepflow_tui.engine.errors import (
    Different,
    NeedsConfirmation,
    Refused,
    StepFailed,
    Stopping,
    TargetConnectionError,
)
from stepflow_tui.engine.journal.commands import send
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.finding import blocking, warning
from stepflow_tui.engine.model.state import Danger, RunState
from stepflow_tui.engine.playbooks.spec import Playbook
from stepflow_tui.engine.steps.context import Answers, Evidence, RunContext
from stepflow_tui.engine.testing import FakeStep
from tests.run_kit import Bench, bench, book


def three() -> tuple[FakeStep, FakeStep, FakeStep, Playbook]:
    a, b, c = FakeStep(name="a"), FakeStep(name="b", loses="what b made"), FakeStep(name="c")
    return a, b, c, book(("prepare", (a,)), ("backfill", (b,)), ("validate", (c,)))


async def ending(b: Bench) -> tuple[str, str, int]:
    row = await b.journal.run_row()
    assert row is not None
    return row["state"], row["result"], row["exit_code"]


def raising(error: Exception) -> FakeStep:
    async def act(ctx: RunContext) -> Evidence:
        raise error

    return FakeStep(name="b", act=act)


async def state_is(b: Bench, state: RunState) -> None:
    async with asyncio.timeout(10):
        while await b.journal.state() is not state:
            await asyncio.sleep(0)


async def test_forward_to_the_end(tmp_path: Path) -> None:
    a, b_, c, playbook = three()
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
        assert await ending(b) == ("completed", "completed", 0)
        assert [s.calls for s in (a, b_, c)] == [["apply"]] * 3
        steps = await b.events("step")
        assert [(s["step"], s["state"]) for s in steps] == [(n, s) for n in "abc" for s in ("running", "done")]
        assert [(p["phase"], p["state"]) for p in await b.events("phase")][-1] == ("validate", "done")
        assert b.reports == [b.ctx.run_dir]
        assert (await b.events("run_finished"))[0]["result"] == "completed"


async def test_resume_does_nothing_twice(tmp_path: Path) -> None:
    a, b_, c, playbook = three()
    async with bench(tmp_path, playbook, Answers(yes=True, until="validate")) as b:
        assert await b.runner.run() == 0
        assert await ending(b) == ("waiting", "stopped", 0)
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
    assert a.calls == b_.calls == c.calls == ["apply"]


async def test_an_intent_without_done_is_decided_by_probe(tmp_path: Path) -> None:
    a, _b, _c, playbook = three()
    async with bench(tmp_path, playbook) as b:
        await b.journal.step_intent("prepare.a")
        a.done = True  # the effect happened, the engine died before it could say so
        assert await b.runner.run() == 0
        assert a.calls == ["probe"]
        assert (await b.journal.step_row("prepare.a"))["evidence"] == '{"fake":"a"}'


@pytest.mark.parametrize(
    ("error", "state", "result", "code"),
    [
        (StepFailed("x"), "failed", "failed", 1),
        (TargetConnectionError("x"), "failed", "failed", 3),
        (Refused("x"), "failed", "refused", 4),
        (Different("x"), "failed", "failed", 5),
        (NeedsConfirmation("x"), "failed", "waiting", 6),
        (ZeroDivisionError("boom"), "failed", "failed", 1),
    ],
)
async def test_errors_become_endings_and_can_be_resumed(
    tmp_path: Path, error: Exception, state: str, result: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    step = raising(error)
    playbook = book(("prepare", (step,)))
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == code
        assert await ending(b) == (state, result, code)
        (told,) = await b.events("error")
        assert told["hint"]
        assert told["code"] == ("internal" if isinstance(error, ZeroDivisionError) else error.code)  # type: ignore[attr-defined]
        assert ("Traceback" in capsys.readouterr().err) is isinstance(error, ZeroDivisionError)
        assert b.reports
    step.act = None
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0


async def test_a_blocking_finding_refuses_before_anything_changes(tmp_path: Path) -> None:
    bad = True

    async def check(ctx: RunContext) -> Evidence:
        await ctx.journal.set_findings("preflight", [blocking("no_room")] if bad else [])
        return {}

    a, later = FakeStep(name="check", act=check), FakeStep(name="b")
    playbook = book(("prepare", (a,)), ("backfill", (later,)))
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 4
        assert await ending(b) == ("failed", "refused", 4)
        row = await b.journal.run_row()
        assert row is not None
        assert row["changed_ms"] is None
        assert "no_room" in (await b.events("error"))[0]["detail"]
    bad = False
    a.done = True  # even if it looked done: a refused check is asked again
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
        assert later.calls == ["apply"]


def asking(*, typed: bool = False) -> tuple[Playbook, FakeStep]:
    async def check(ctx: RunContext) -> Evidence:
        await ctx.journal.set_findings("preflight", [warning("odd", "t")])
        return {}

    later = FakeStep(name="b", danger=Danger.TYPED if typed else Danger.NONE)
    items = (
        ItemSpec(id="told", kind=ItemKind.MANUAL, before="backfill"),
        ItemSpec(id="after", kind=ItemKind.MANUAL, before=""),
    )
    return book(("prepare", (FakeStep(name="a", act=check),)), ("backfill", (later,)), items=items), later


async def test_a_gate_without_anybody_ends_waiting(tmp_path: Path) -> None:
    playbook, later = asking()
    async with bench(tmp_path, playbook, Answers()) as b:
        assert await b.runner.run() == 6
        assert await ending(b) == ("waiting", "waiting", 6)
        (gate,) = await b.events("gate")
        assert [(q["kind"], q["id"]) for q in gate["questions"]] == [("warning", "odd|t"), ("item", "told")]
        assert later.calls == []


async def test_yes_accepts_and_never_says_a_person_did(tmp_path: Path) -> None:
    playbook, _ = asking()
    async with bench(tmp_path, playbook, Answers(yes=True)) as b:
        assert await b.runner.run() == 0
        item = next(i for i in await b.journal.items() if i["id"] == "told")
        assert (item["state"], item["by"]) == ("accepted", "--yes")
        acts = [r["act"] for r in await b.journal.fetch("SELECT act FROM audit")]
        assert "accepted by --yes" in acts
        assert [i["state"] for i in await b.journal.items() if i["id"] == "after"] == ["open"]


@pytest.mark.parametrize(
    ("environment", "confirm", "code"),
    [
        ("staging", None, 0),
        ("staging", "shop", 0),
        ("staging", "other", 6),
        ("production", None, 6),
        ("production", "other", 6),
        ("production", "shop", 0),
    ],
)
async def test_typed_confirmation(tmp_path: Path, environment: str, confirm: str | None, code: int) -> None:
    playbook, later = asking(typed=True)
    async with bench(tmp_path, playbook, Answers(yes=True, confirm=confirm), environment=environment) as b:
        assert await b.runner.run() == code
        assert (later.calls == ["apply"]) is (code == 0)


async def test_a_gate_is_answered_by_continue_after_ticks(tmp_path: Path) -> None:
    playbook, later = asking()
    async with bench(tmp_path, playbook, Answers(interactive=True)) as b:
        work = asyncio.create_task(b.runner.run())
        await state_is(b, RunState.WAITING)
        too_early = send(b.ctx.run_dir, "continue", who="ann")
        send(b.ctx.run_dir, "tick", {"item": "told", "note": "called them"}, who="bob")
        send(b.ctx.run_dir, "continue", {"phase": "backfill"}, who="ann")
        await b.desk.take()
        assert await work == 0
        rows = await b.journal.fetch("SELECT id,state,answer FROM command ORDER BY id")
        assert [r["state"] for r in rows] == ["refused", "done", "done"]
        assert '"items_open"' in next(r["answer"] for r in rows if r["id"] == too_early)
        assert later.calls == ["apply"]
        assert [g["state"] for g in await b.events("gate")][-1] == "passed"


async def test_an_answered_question_is_not_asked_again(tmp_path: Path) -> None:
    playbook, _ = asking()
    async with bench(tmp_path, playbook, Answers(yes=True, until="backfill")) as b:
        assert await b.runner.run() == 0
    async with bench(tmp_path, playbook, Answers(yes=True)) as b:
        b.ctx.answers.yes = False
        await b.journal.accept_item("told", by="--yes")
        send(b.ctx.run_dir, "continue", who="ann")
        await b.desk.take()
        assert await b.runner.run() == 0


def chunked(name: str, chunks: int) -> tuple[FakeStep, list[int]]:
    seen: list[int] = []

    async def act(ctx: RunContext) -> Evidence:
        while len(seen) < chunks:
            await ctx.control.checkpoint()
            seen.append(len(seen))
            await asyncio.sleep(0)
        return {"chunks": len(seen)}

    return FakeStep(name=name, act=act), seen


async def test_pause_and_resume_lose_and_repeat_nothing(tmp_path: Path) -> None:
    step, seen = chunked("copy", 10_000)
    async with bench(tmp_path, book(("prepare", ()), ("backfill", (step,)))) as b:
        work = asyncio.create_task(b.runner.run())
        await state_is(b, RunState.RUNNING)
        while len(seen) < 10:
            await asyncio.sleep(0)
        send(b.ctx.run_dir, "pause", who="ann")
        await b.desk.take()
        await state_is(b, RunState.PAUSED)
        at = len(seen)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(seen) == at < 10_000
        send(b.ctx.run_dir, "resume", who="ann")
        await b.desk.take()
        assert await work == 0
        assert seen == list(range(10_000))
        moves = [(s["from"], s["to"]) for s in await b.events("state")]
        assert ("running", "pausing") in moves
        assert ("pausing", "paused") in moves
        assert ("paused", "running") in moves


async def test_stop_leaves_a_resumable_run(tmp_path: Path) -> None:
    step, seen = chunked("copy", 10_000)
    playbook = book(("backfill", (step,)))
    async with bench(tmp_path, playbook) as b:
        work = asyncio.create_task(b.runner.run())
        while len(seen) < 10:
            await asyncio.sleep(0)
        b.control.end(Wish.STOP)
        assert await work == 143
        assert await ending(b) == ("pending", "stopped", 143)
        assert (await b.journal.step_row("backfill.copy"))["state"] == "pending"
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
    assert seen == list(range(10_000))


async def test_stop_of_a_paused_run_stays_paused(tmp_path: Path) -> None:
    step, seen = chunked("copy", 10_000)
    playbook = book(("backfill", (step,)))
    async with bench(tmp_path, playbook) as b:
        work = asyncio.create_task(b.runner.run())
        while len(seen) < 10:
            await asyncio.sleep(0)
        await b.control.pause()
        await state_is(b, RunState.PAUSED)
        b.control.end(Wish.STOP)
        assert await work == 143
        assert await ending(b) == ("paused", "stopped", 143)
    async with bench(tmp_path, playbook) as b:
        send(b.ctx.run_dir, "resume", who="ann")
        await b.desk.take()
        assert b.desk.goes_on
        assert await b.runner.run() == 0


def stuck() -> tuple[FakeStep, list[str]]:
    seen: list[str] = []

    async def act(ctx: RunContext) -> Evidence:
        seen.append("begun")
        try:
            await asyncio.Event().wait()  # a statement that takes for ever
        finally:
            seen.append("cleaned up")
        return {}

    return FakeStep(name="b", act=act), seen


async def test_abort_cancels_the_running_statement_and_undoes_nothing(tmp_path: Path) -> None:
    step, seen = stuck()
    a = FakeStep(name="a")
    async with bench(tmp_path, book(("prepare", (a,)), ("backfill", (step,)))) as b:
        work = asyncio.create_task(b.runner.run())
        while not seen:
            await asyncio.sleep(0)
        refused = send(b.ctx.run_dir, "abort", {"confirm": "other"}, who="ann")
        await b.desk.take()
        accepted = send(b.ctx.run_dir, "abort", {"confirm": "shop"}, who="ann")
        await b.desk.take()
        assert await work == 130
        await b.desk.settle()
        assert seen == ["begun", "cleaned up"]
        assert await ending(b) == ("aborted", "aborted", 130)
        assert "undo" not in a.calls
        rows = {r["id"]: r["state"] for r in await b.journal.fetch("SELECT id,state FROM command")}
        assert rows == {refused: "refused", accepted: "done"}


async def test_rollback_undoes_backwards_what_was_begun(tmp_path: Path) -> None:
    order: list[str] = []
    step, seen = stuck()
    a, later = FakeStep(name="a"), FakeStep(name="c")
    for s in (a, step, later):
        s.calls = order
    async with bench(tmp_path, book(("prepare", (a,)), ("backfill", (step,)), ("validate", (later,)))) as b:
        work = asyncio.create_task(b.runner.run())
        while not seen:
            await asyncio.sleep(0)
        order.clear()
        send(b.ctx.run_dir, "rollback", {"reason": "wrong file"}, who="ann")
        await b.desk.take()
        assert await work == 0
        assert order == ["undo", "undo"]
        assert await ending(b) == ("rolled_back", "rolled_back", 0)
        assert b.ctx.reason == "wrong file"
        states = {r["id"]: r["state"] for r in await b.journal.step_rows()}
        assert states == {"prepare.a": "undone", "backfill.b": "undone", "validate.c": "pending"}


async def test_rollback_to_a_phase_makes_it_the_next_one(tmp_path: Path) -> None:
    a, b_, c, playbook = three()
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
    async with bench(tmp_path, playbook) as b:
        send(b.ctx.run_dir, "rollback", {"to": "backfill"}, who="ann")
        await b.desk.take()
        assert await b.runner.run() == 0
        assert await ending(b) == ("waiting", "stopped", 0)
        assert [s.calls for s in (a, b_, c)] == [["apply"], ["apply", "undo"], ["apply", "undo"]]
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
        assert await ending(b) == ("completed", "completed", 0)
        assert b_.calls == ["apply", "undo", "probe", "apply"]


async def test_a_failed_undo_can_be_repeated(tmp_path: Path) -> None:
    a, _b, c, playbook = three()
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0

    class Refusing(FakeStep):
        async def undo(self, ctx: RunContext) -> Evidence:
            ctx.need_typed("Rows changed since.")
            return await FakeStep.undo(self, ctx)

    refusing = Refusing(name="b")
    again = book(("prepare", (a,)), ("backfill", (refusing,)), ("validate", (c,)))
    async with bench(tmp_path, again, Answers()) as b:
        send(b.ctx.run_dir, "rollback", {}, who="ann")
        await b.desk.take()
        assert await b.runner.run() == 6
        assert await ending(b) == ("rolling_back", "waiting", 6)
    async with bench(tmp_path, again, Answers()) as b:
        send(b.ctx.run_dir, "rollback", {"confirm": "shop"}, who="ann")
        await b.desk.take()
        assert await b.runner.run() == 0
        assert c.calls.count("undo") == 1


async def test_a_failing_report_costs_the_zero(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", (FakeStep(name="a"),)))) as b:

        async def broken(path: Path) -> None:
            raise OSError("no room")

        b.runner._write_report = broken
        assert await b.runner.run() == 1
        assert (await b.events("run_finished"))[0]["exit_code"] == 1
        assert (await b.events("error"))[0]["detail"] == "no room"


async def test_control_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        send(b.ctx.run_dir, "hold", who="ann")
        send(b.ctx.run_dir, "yes", who="bob")
        send(b.ctx.run_dir, "yes", {"take": True}, who="bob")
        send(b.ctx.run_dir, "until", {"phase": "nowhere"}, who="bob")
        send(b.ctx.run_dir, "cutover", who="bob")
        await b.desk.take()
        rows = await b.journal.fetch("SELECT state,answer FROM command ORDER BY id")
        assert [r["state"] for r in rows] == ["done", "refused", "done", "refused", "refused"]
        assert '"exit_code":7' in rows[1]["answer"]
        assert await b.journal.control_holder() == "bob"
        acts = [(r["who"], r["act"]) for r in await b.journal.fetch("SELECT who,act FROM audit ORDER BY n")]
        assert acts == [("ann", "hold"), ("bob", "yes"), ("bob", "yes"), ("bob", "until"), ("bob", "cutover")]


async def test_an_intent_for_an_earlier_engine_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()))) as b:
        await b.desk.take()
        send(b.ctx.run_dir, "yes", who="ann", epoch=b.ctx.epoch - 1)
        send(b.ctx.run_dir, "yes", who="ann", epoch=b.ctx.epoch)
        await b.desk.take()
        rows = await b.journal.fetch("SELECT state,answer FROM command ORDER BY id")
        assert [r["state"] for r in rows] == ["refused", "done"]
        assert '"stale"' in rows[0]["answer"]


async def test_open_is_called_once_in_both_directions(tmp_path: Path) -> None:
    opened: list[str] = []

    async def open_(ctx: RunContext) -> None:
        opened.append(ctx.reason)

    from dataclasses import replace

    playbook = replace(book(("prepare", (FakeStep(name="a"),))), open=open_)
    async with bench(tmp_path, playbook) as b:
        assert await b.runner.run() == 0
    async with bench(tmp_path, playbook) as b:
        send(b.ctx.run_dir, "rollback", {"reason": "x"}, who="ann")
        await b.desk.take()
        assert await b.runner.run() == 0
    assert opened == ["", "x"]


async def test_a_broken_background_task_ends_the_run(tmp_path: Path) -> None:
    step, seen = stuck()
    async with bench(tmp_path, book(("backfill", (step,)))) as b:
        work = asyncio.create_task(b.runner.run())
        while not seen:
            await asyncio.sleep(0)
        b.control.end(Wish.FAIL, StepFailed("heartbeat", code="journal_failed"))
        assert await work == 1
        assert (await b.events("error"))[0]["code"] == "journal_failed"


async def test_control_gives_way_to_the_stronger_wish() -> None:
    control = EngineControl(None)  # type: ignore[arg-type]
    await control.checkpoint()
    control.end(Wish.STOP)
    with pytest.raises(Stopping) as stop:
        await control.checkpoint()
    control.end(Wish.ABORT)
    control.end(Wish.STOP)
    with pytest.raises(Stopping) as abort:
        await control.checkpoint()
    assert (stop.value.abort, abort.value.abort) == (False, True)
    assert control.halted


def facts(**kw: Any) -> Any:
    from stepflow_tui.engine.model.discrepancy import Verified
    from stepflow_tui.engine.model.outcome import TableFact

    given: dict[str, Any] = {"verified": Verified.EQUAL, "source_rows": 2, "target_rows": 2} | kw
    return TableFact(**given)


def test_a_run_is_complete_only_if_nothing_is_missing() -> None:
    from stepflow_tui.engine.model.discrepancy import Verified
    from stepflow_tui.engine.model.outcome import COMPLETED, INCOMPLETE, first_code, verdict

    clean: dict[str, Any] = {"source_changed": False, "discrepancies": 0, "rejects": 0}
    assert verdict([], **clean) == COMPLETED
    assert verdict([facts()], **clean) == COMPLETED
    for wrong in (
        {"verified": Verified.DIFFERENT},
        {"verified": Verified.NOT_VERIFIED},
        {"rejected_rows": 1},
        {"target_rows": 1},
    ):
        assert verdict([facts(), facts(**wrong)], **clean) == INCOMPLETE
    for name in clean:
        assert verdict([facts()], **(clean | {name: 1})) == INCOMPLETE
    assert [first_code(c) for c in ((0, 5), (5, 1), (1, 6), (6, 4), (4, 3), (3, 7), (7, 2), (143, 1), ())] == [
        5,
        1,
        6,
        4,
        3,
        7,
        2,
        143,
        0,
    ]
