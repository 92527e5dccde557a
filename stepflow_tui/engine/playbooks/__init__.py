"""One file per kind of migration: its phases and steps, as data. A new kind is a new file here, never a second runner."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.config import Config, MigrationKind, Mode
from stepflow_tui.engine.playbooks.spec import Playbook


def playbook_for(config: Config) -> Playbook:
    """The playbook a config asks for, its hooks among the steps.

    Raises:
        ConfigError: there is none in this version.
    """
    from stepflow_tui.engine.playbooks.hooks import with_hooks

    playbook = _playbook(config)
    hooked = replace(playbook, phases=with_hooks(playbook.phases, config))
    if config.application.availability is None and not config.application.health:
        return hooked
    from stepflow_tui.engine.playbooks.application import watched

    return replace(hooked, open=watched(hooked.open))


def _playbook(config: Config) -> Playbook:
    if config.kind is MigrationKind.SQLITE_TO_POSTGRES and config.mode is Mode.COPY:
        from stepflow_tui.engine.playbooks.sqlite_to_postgres import copy_playbook

        return copy_playbook(config)
    if config.kind is MigrationKind.SQLITE_TO_POSTGRES and config.mode is Mode.LIVE:
        from stepflow_tui.engine.playbooks.live import live_playbook  # a copy need not load what only live runs use

        return live_playbook(config)
    if config.kind is MigrationKind.SQLITE_TO_POSTGRES and config.mode is Mode.OFFLINE:
        from stepflow_tui.engine.playbooks.offline import offline_playbook

        return offline_playbook(config)
    if config.kind is MigrationKind.SQLITE_WAL:
        from stepflow_tui.engine.playbooks.sqlite_wal import wal_playbook

        return wal_playbook(config)
    raise ConfigError(
        f"There is no playbook for {config.kind.value} in mode {config.mode.value}.",
        hint="This version has sqlite-to-postgres in the modes copy, live and offline, and sqlite-wal.",
        code="no_playbook",
    )
