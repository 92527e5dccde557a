"""A process that forks one child per line of its input, to be killed while it carries out a recipe.

`python -m tests.faults.recipe_engine`; a line is JSON: `folder` and `words` make the recipe, `before` is what stood there,
`actions` are done one after another, `point` is `NAME:N` (a failpoint) or null, `log` gets the names of those passed.
`unguarded` starts commands without waiting until their process is written down.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from stepflow_tui.engine import failpoints
from stepflow_tui.engine.application.commands import COMMAND_VARIABLE
from stepflow_tui.engine.application.recipes import command, process
from tests.recipe_kit import recipe


async def _carry_out(job: dict[str, Any]) -> None:
    made = recipe(Path(job["folder"]), **job["words"])
    for action in job["actions"]:
        await getattr(made, action)(job["before"])


def _child(job: dict[str, Any]) -> None:
    failpoints._passed.clear()
    if job["point"]:
        os.environ["STEPFLOW_FAILPOINT"] = f"{job['point']}:kill"
    if job["log"]:
        os.environ["STEPFLOW_FAILPOINT_LOG"] = job["log"]
    if job["unguarded"]:
        process.WAITING_SHELL = f'eval "${COMMAND_VARIABLE}" </dev/null'
    command.SETTLE_SECONDS = 0.05
    try:
        asyncio.run(_carry_out(job))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Serve lines until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
