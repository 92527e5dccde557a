"""A config whose variable nobody has set: the wizard asks for it, keeps it in memory, and does again what was wanted."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input

from screens.modals.missing import AskVariable, ask_missing, missing_variables
from stepflow_tui.engine.errors import ConfigError, UsageError
from tests.tui.kit import drawn
from tests.tui.plans import recording, shown

UNSET = "/x/shop.yaml:6: target.dsn: the variable DATABASE_URL isn't set (export DATABASE_URL=…, or write ${…})"
EMPTY = "/x/shop.yaml:9: alerts.channels: the variable HOOK is empty (export HOOK=…, or write ${…})"
OTHER = "/x/shop.yaml:2: kind: unknown (one of …)"


def error(*lines: str) -> ConfigError:
    return ConfigError("The config file has problems.", detail="\n".join(lines))


def test_only_missing_values_can_be_typed() -> None:
    assert missing_variables(error(UNSET)) == ("DATABASE_URL",)
    assert missing_variables(error(UNSET, EMPTY, UNSET)) == ("DATABASE_URL", "HOOK")
    assert missing_variables(error(UNSET, OTHER)) == ()
    assert missing_variables(error()) == ()
    assert missing_variables(UsageError("no", detail=UNSET)) == ()


async def test_the_value_is_hidden_kept_and_used(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    again: list[str] = []
    env: dict[str, str] = {}
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert ask_missing(app, error(UNSET), env, lambda: again.append(env["DATABASE_URL"]))
        await pilot.pause()
        drawn(app)
        assert isinstance(app.screen, AskVariable)
        await pilot.press("enter")
        assert again == [], "nothing typed, nothing done"
        app.screen.query_one(Input).value = "postgresql://u:canary@h/d"
        await pilot.pause()
        assert "DATABASE_URL" in shown(app)
        assert "canary" not in shown(app)
        await pilot.press("enter")
        await pilot.pause()
        assert again == ["postgresql://u:canary@h/d"]
        assert not isinstance(app.screen, AskVariable)


async def test_escape_does_nothing(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    env: dict[str, str] = {}
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        ask_missing(app, error(UNSET), env, lambda: env.update(done="yes"))
        await pilot.pause()
        drawn(app)
        await pilot.press(*"x", "escape")
        assert env == {}
        assert not ask_missing(app, error(OTHER), env, lambda: None)
