"""An engine process with a playbook of its own: `engine_script.py RUN_FOLDER`.

The world its steps change is a folder of files made with O_EXCL: doing a step twice is an error, not a no-op.
Steps named `slow*` go on until a file `go` lies in the run folder.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.playbooks.spec import PhaseSpec, Playbook
from stepflow_tui.engine.process import engine_main
from stepflow_tui.engine.session import Wiring
from stepflow_tui.engine.steps.context import Evidence, RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFile:
    """A step that makes one file, exactly once."""

    name: str
    danger: Danger = Danger.NONE
    loses: str = ""

    def _path(self, ctx: RunContext) -> Path:
        folder = ctx.run_dir / "world"
        folder.mkdir(exist_ok=True)
        return folder / self.name

    async def probe(self, ctx: RunContext) -> Evidence | None:
        return {"made": self.name} if self._path(ctx).exists() else None

    async def apply(self, ctx: RunContext) -> Evidence:
        if self.name == "warn":
            await ctx.journal.set_findings("preflight", [warning("odd")])
        done = 0
        while self.name.startswith("slow") and not (ctx.run_dir / "go").exists():
            await ctx.control.checkpoint()
            done += 1
            ctx.report(Progress(step=self.name, done=done))
            await ctx.clock.sleep(0.005)
        os.close(os.open(self._path(ctx), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        failpoint("inside_step")
        return {"made": self.name}

    async def undo(self, ctx: RunContext) -> Evidence:
        self._path(ctx).unlink(missing_ok=True)
        return {}


def playbook_for(config: Config) -> Playbook:
    """Steps by the config's name: `shop-slow` has one that goes on until it is told."""
    first = MakeFile(name="warn" if "warn" in config.name else "one")
    middle = MakeFile(name="slow" if "slow" in config.name else "two")
    phases = (
        PhaseSpec(name="prepare", steps=(first,), changes=False),
        PhaseSpec(name="backfill", steps=(middle, MakeFile(name="three"))),
        PhaseSpec(name="validate", steps=(MakeFile(name="four"),)),
    )
    return Playbook(kind="sqlite-to-postgres", mode="copy", phases=phases)


async def write_report(run_dir: Path) -> None:
    """A report of one line."""
    with RunReader(run_dir) as reader:
        status = reader.status()
    (run_dir / "report.json").write_text(json.dumps(status))


if __name__ == "__main__":
    engine_main(
        Path(sys.argv[1]), Wiring(load_config=load_config, playbook_for=playbook_for, write_report=write_report)
    )
