"""`sqlite-wal`: a SQLite database goes from a rollback journal to WAL where it is, tried on a copy first."""

from __future__ import annotations

from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.playbooks.checklist import items_of
from stepflow_tui.engine.playbooks.spec import PhaseSpec, Playbook
from stepflow_tui.engine.steps.application.service_backup import archived
from stepflow_tui.engine.steps.backup import MakeBackup
from stepflow_tui.engine.steps.context import Step
from stepflow_tui.engine.steps.settle import Settle
from stepflow_tui.engine.steps.wal.change import ChangeApplication, changes_it
from stepflow_tui.engine.steps.wal.convert import Convert
from stepflow_tui.engine.steps.wal.layout import Layout
from stepflow_tui.engine.steps.wal.make_plan import PlanInPlace
from stepflow_tui.engine.steps.wal.measure import Measure
from stepflow_tui.engine.steps.wal.opening import abandon_in_place, consent_in_place, open_in_place, retreat_in_place
from stepflow_tui.engine.steps.wal.preflight import PreflightInPlace
from stepflow_tui.engine.steps.wal.prove import Prove
from stepflow_tui.engine.steps.wal.record import RecordState, RestoreTest
from stepflow_tui.engine.steps.wal.rehearse import Rehearse
from stepflow_tui.engine.steps.wal.stop import StopApplication
from stepflow_tui.engine.steps.wal.tune import Tune
from stepflow_tui.engine.steps.wal.watch import Watch


def wal_playbook(config: Config) -> Playbook:
    """Phases and steps of the conversion. The application goes on, or is stopped for it (`mode: offline`)."""
    preparing = (PreflightInPlace(), MakeBackup(), *archived(config), RestoreTest(), RecordState(), PlanInPlace())
    return Playbook(
        kind=config.kind.value,
        mode=config.mode.value,
        phases=(
            PhaseSpec(name=PhaseName.PREPARE, steps=preparing, changes=False),
            PhaseSpec(name=PhaseName.VALIDATE, steps=(Rehearse(), Measure()), changes=False),
            PhaseSpec(name=PhaseName.CUTOVER, steps=_converting(config)),
            PhaseSpec(name=PhaseName.OBSERVE, steps=(Prove(), Watch())),
            PhaseSpec(name=PhaseName.COMPLETE, steps=(Settle(),)),
        ),
        items=items_of(config),
        open=open_in_place,
        consent=consent_in_place,
        abandon=abandon_in_place,
        retreat=retreat_in_place,
    )


def _converting(config: Config) -> tuple[Step, ...]:
    wal = config.wal
    return (
        *((StopApplication(),) if config.mode is Mode.OFFLINE else ()),
        *((Layout(),) if wal.page_size is not None or wal.auto_vacuum is not None else ()),
        Convert(),
        Tune(),
        *((ChangeApplication(),) if changes_it(config) else ()),
    )
