"""The checks of a conversion in place in their declared order, as the registry wants them."""

from __future__ import annotations

from stepflow_tui.engine.checks import (
    app_interpreter,
    requirements_machine,
    system_advice,
    wal_attach,
    wal_captured,
    wal_containers,
    wal_copied,
    wal_folder,
    wal_holders,
    wal_layout,
    wal_libraries,
    wal_mode,
    wal_place,
    wal_pragmas,
)
from stepflow_tui.engine.checks.context import IN_PLACE, Check, Needs

WAL_CHECKS: tuple[Check, ...] = (
    Check(name="wal_mode", run=wal_mode.run, needs=Needs.SOURCE, kinds=IN_PLACE),
    Check(name="wal_place", run=wal_place.run, needs=Needs.SOURCE, kinds=IN_PLACE),
    Check(name="wal_folder", run=wal_folder.run, needs=Needs.SOURCE, kinds=IN_PLACE),
    # one that locks the file exclusively keeps us out too: then nothing else could tell who it is
    Check(name="wal_holders", run=wal_holders.run, kinds=IN_PLACE),
    Check(name="wal_containers", run=wal_containers.run, kinds=IN_PLACE),
    Check(name="wal_attach", run=wal_attach.run, needs=Needs.SOURCE, kinds=IN_PLACE),
    Check(name="wal_captured", run=wal_captured.run, needs=Needs.SOURCE, kinds=IN_PLACE),
    Check(name="wal_layout", run=wal_layout.run, needs=Needs.SCHEMA, kinds=IN_PLACE),
    Check(name="wal_copied", run=wal_copied.run, needs=Needs.SOURCE, kinds=IN_PLACE),
    Check(name="wal_libraries", run=wal_libraries.run, kinds=IN_PLACE),
    Check(name="wal_pragmas", run=wal_pragmas.run, kinds=IN_PLACE),
)
"""What a conversion can't do, or should not, with this file."""

REQUIREMENT_CHECKS: tuple[Check, ...] = (
    Check(name="requirements_machine", run=requirements_machine.run, kinds=IN_PLACE),
    Check(name="system_advice", run=system_advice.run, kinds=IN_PLACE),
)
"""What the machine must have, and what would suit it better."""

APP_CHECKS: tuple[Check, ...] = (Check(name="app_interpreter", run=app_interpreter.run, kinds=IN_PLACE),)
"""What runs the application."""
