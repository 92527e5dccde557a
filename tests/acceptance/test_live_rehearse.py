"""A rehearsal of the cutover is answered or refused at once, wherever the run is; and figures are told with whose they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.harness import Ran, Stand
from tests.acceptance.live_kit import Live, make_shop

pytestmark = [pytest.mark.timeout(240)]


def moving(stand: Stand, **changes: Any) -> Live:
    """A shop that is about to move."""
    make_shop(stand.source)
    live = Live(stand)
    live.config(**changes)
    return live


def rehearsed(live: Live) -> Ran:
    """`cutover --rehearse`: it ends well within the harness's patience, and its own."""
    return live.stand.cli("cutover", live.stand.name, "--rehearse", "--json")


def refused(live: Live) -> str:
    """The code it is refused with; nothing was done for it."""
    seen = live.seq
    ran = rehearsed(live)
    assert ran.code == 4, ran.out + ran.err
    assert live.seq == seen, "no engine was started, and nothing asked of one"
    return str(ran.object["error"]["code"])


def test_before_reads_have_moved_and_without_an_engine(stand: Stand) -> None:
    live = moving(stand)
    assert live.run("--until", "switch_reads").code == 0, live.trouble()
    found = rehearsed(live)
    missing = {g["code"] for g in found.object["guards"] if not g["ok"]}
    assert (found.code, found.object["ready"], missing) == (4, False, {"reads", "switched"}), found.out
    live.kill()
    assert refused(live) == "no_engine"
    status = live.status()
    assert status["lag"] is None
    assert status["wal"]["pinned_by"] is None
    assert all(status[name]["as_of"] for name in ("wal", "live"))
    assert "capture_unattended" in [a["code"] for a in status["alerts"]]
    assert "no engine works on the run:" in stand.cli("status", stand.name).out


def test_after_a_cutover_that_failed(stand: Stand) -> None:
    """The gate that a failed attempt left behind, the failure itself, and the run that was given up after it."""
    live = moving(stand)
    live.hold()
    assert stand.cli("switch", "back", stand.name, "--yes").code == 0
    shown = stand.cli("switch", "show", stand.name, "--json").object["switch"]
    assert shown["percentage"] == 0, "who was told of the move sees it"
    failed = stand.cli("cutover", stand.name, "--yes")
    assert failed.code == 4, failed.out
    assert "reads: reads from the new side: 0 %" in failed.out
    assert refused(live) == "no_engine"
    live.hold()
    found = rehearsed(live)
    assert [g["code"] for g in found.object["guards"] if not g["ok"]] == ["reads"], found.out + live.trouble()
    assert stand.cli("pause", stand.name).code == 0
    live.event("intent", live.seq - 1)
    assert rehearsed(live).object["error"]["code"] == "no_rehearsal_now"
    assert stand.cli("resume", stand.name).code == 0
    assert stand.cli("cutover", stand.name, "--yes").code == 4
    stand.cli("abort", stand.name, "--yes", "--confirm", stand.name)
    assert live.status()["state"] == "aborted"
    assert refused(live) == "no_rehearsal_now"
    assert [e["code"] for e in stand.report()["errors"]] == ["cutover_guards"], "why it was given up stays"


def test_going_back_to_the_gate_says_that_nobody_works(stand: Stand) -> None:
    live = moving(stand)
    live.over()
    late = rehearsed(live)
    assert (late.code, late.object["error"]["code"]) == (4, "no_rehearsal_now")
    ran = live.stand.rollback("--to", "cutover")
    assert ran.code == 0, ran.out + ran.err
    assert "no engine carries them over" in ran.err
    assert "`stepflow run`" in ran.err
    assert refused(live) == "no_engine"


def test_while_the_last_step_is_held(stand: Stand) -> None:
    """Everything holds but the time: the rehearsal and the cutover's refusal both say how much is left."""
    live = moving(stand, switch={"steps": [100], "soak": "10m"})
    assert live.run("--until", "switch_reads").code == 0
    ran = stand.start("run", str(stand.config_path), "--yes", "--json")
    live.event("switch")
    found = rehearsed(live)
    (missing,) = [g for g in found.object["guards"] if not g["ok"]]
    assert (found.code, missing["code"]) == (4, "reads_held"), found.out
    no_gate = stand.cli("cutover", stand.name, "--yes", "--json").object["error"]
    assert no_gate["code"] == "no_gate"
    assert "held for" in no_gate["detail"]
    ran.terminate()
    stand.ended(ran)
