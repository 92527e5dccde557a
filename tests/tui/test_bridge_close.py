"""Letting go of a run while its journal is being read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event
from typing import Any

from stepflow_tui.bridge import Bridge
from stepflow_tui.facade import facade
from tests.tui.kit import options
from tests.tui.run_rows import make_run, note, state_of


async def test_closing_waits_for_a_look_and_no_look_opens_the_journal_again(tmp_path: Path) -> None:
    run = await make_run(tmp_path, lambda journal: note(journal, "one"))
    bridge = Bridge(facade(), run, options(state_of(tmp_path)))
    reader, inside, go_on, seen = bridge.reader, Event(), Event(), list[str]()
    events = reader.events

    def slowly(*given: Any, **more: Any) -> Any:
        inside.set()
        go_on.wait(10)
        seen.append("read")
        return events(*given, **more)

    reader.events = slowly  # type: ignore[method-assign]
    look = asyncio.create_task(asyncio.to_thread(bridge.look))
    await asyncio.to_thread(inside.wait, 10)
    close = asyncio.create_task(asyncio.to_thread(lambda: (bridge.close(), seen.append("closed"))))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(look, close)
    assert seen[-1] == "closed"
    assert seen.count("closed") == 1
    assert look.result().events[0]["text"] == "one"
    assert bridge.look().events == ()
    assert not list((run.path / "observers").iterdir())
