"""What a run blots out of everything that it shows of an application."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.steps.application.findings import redact_of
from stepflow_tui.engine.steps.context import RunContext


def test_an_address_keeps_its_port_though_the_recipe_sets_it() -> None:
    config = Config.model_validate(
        {
            "name": "shop", "kind": "sqlite-to-postgres", "source": {"path": "/x/shop.db"},
            "application": {"recipe": {"kind": "command", "command": "./run", "pid_file": "/x/pid",
                                       "env": {"PORT": "8977", "PIN": "4711", "NAME": "canary-words"}}},
        }
    )  # fmt: skip
    ctx = cast(
        "RunContext", SimpleNamespace(config=config, has_target=False, journal=SimpleNamespace(clean=lambda text: text))
    )
    assert redact_of(ctx)("http://127.0.0.1:8977/health 4711 canary-words") == "http://127.0.0.1:8977/health *** ***"
