"""An intent whose engine can't be started, for want of the config's variable, is not left for a later engine to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.facade import facade
from tests.run_kit import bench, book


async def test_nothing_is_sent_where_the_config_can_t_be_read(tmp_path: Path) -> None:
    async with bench(tmp_path, book(("prepare", ()), ("backfill", ()))) as b:
        await b.journal.set_state(RunState.RUNNING)
        row = (await b.journal.fetch("SELECT config_path FROM run"))[0]
        config = Path(row["config_path"])
        config.write_text(config.read_text() + "\nhooks: {nothing: '${UNSET_VARIABLE}'}\n")
        run = facade().resolve_run(tmp_path / "state", None)
        with pytest.raises(ConfigError, match="problem"):
            await facade().send(run, "rollback", {"confirm": "shop"}, state=tmp_path / "state", env={})
        assert await b.journal.fetch("SELECT * FROM command") == []
