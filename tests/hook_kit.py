"""What tests of hooks share: a run whose only work besides hooks is one remembered step, and an engine process for it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.playbooks.hooks import with_hooks
from stepflow_tui.engine.playbooks.spec import Playbook
from stepflow_tui.engine.testing import FakeStep
from tests.run_kit import Bench, bench, book, write_config

Hooks = dict[str, dict[str, list[dict[str, Any]]]]


def hooked(folder: Path, hooks: Hooks) -> Playbook:
    """`prepare` without a step, `backfill` with the step `work`, and these hooks."""
    plain = book(("prepare", ()), ("backfill", (FakeStep(name="work"),)))
    config = load_config(write_config(folder, hooks=json.dumps(hooks)), {}).config
    phases = with_hooks(plain.phases, config)
    return Playbook(kind=plain.kind, mode=plain.mode, phases=phases)


@asynccontextmanager
async def hook_bench(folder: Path, hooks: Hooks) -> AsyncIterator[Bench]:
    """An engine in this process."""
    async with bench(folder, hooked(folder, hooks), hooks=json.dumps(hooks)) as made:
        yield made


async def _engine(folder: Path) -> None:
    async with hook_bench(folder, json.loads((folder / "hooks.json").read_text())) as made:
        await made.runner.run()


if __name__ == "__main__":
    asyncio.run(_engine(Path(sys.argv[1])))
