"""`sqlite-to-postgres`, `mode: offline`: a maintenance window from stopping the application to starting it on the new side."""

from __future__ import annotations

from stepflow_tui.engine.model.config import Config, TablesMode
from stepflow_tui.engine.model.plan import Stage
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.playbooks.checklist import items_of
from stepflow_tui.engine.playbooks.spec import PhaseSpec, Playbook
from stepflow_tui.engine.steps.analyze import Analyze
from stepflow_tui.engine.steps.application.service_backup import archived
from stepflow_tui.engine.steps.backup import MakeBackup
from stepflow_tui.engine.steps.census import Census
from stepflow_tui.engine.steps.claim import ClaimTarget
from stepflow_tui.engine.steps.context import Step
from stepflow_tui.engine.steps.copy import Copy
from stepflow_tui.engine.steps.grants import Grants
from stepflow_tui.engine.steps.lifting import LiftKeys, RestoreKeys
from stepflow_tui.engine.steps.live.classes import NoteClasses
from stepflow_tui.engine.steps.live.clean_up import CleanUp
from stepflow_tui.engine.steps.live.observe import Observe
from stepflow_tui.engine.steps.live.opening import consent_live
from stepflow_tui.engine.steps.make_plan import MakePlan
from stepflow_tui.engine.steps.offline.close import CloseTarget
from stepflow_tui.engine.steps.offline.cut_over import CutOver
from stepflow_tui.engine.steps.offline.hand_over import HandOver
from stepflow_tui.engine.steps.offline.lock import TakeLock
from stepflow_tui.engine.steps.offline.opening import open_offline
from stepflow_tui.engine.steps.offline.predict import PredictWindow
from stepflow_tui.engine.steps.offline.retreat import abandon_offline, retreat
from stepflow_tui.engine.steps.offline.sequences import SetSequences
from stepflow_tui.engine.steps.offline.snapshot import LockedSnapshot
from stepflow_tui.engine.steps.offline.stop import StopApplication
from stepflow_tui.engine.steps.offline.verify import VerifyLocked
from stepflow_tui.engine.steps.preflight import Preflight
from stepflow_tui.engine.steps.release import ReleaseTarget
from stepflow_tui.engine.steps.settle import Settle
from stepflow_tui.engine.steps.statements import RunStatements
from stepflow_tui.engine.steps.tables import CreateTables


def offline_playbook(config: Config) -> Playbook:
    """Phases and steps of the maintenance window: all but the read switch."""
    copied = _copied(existing=config.target.tables is TablesMode.EXISTING)
    preparing = (Preflight(), MakeBackup(), *archived(config), Census(), MakePlan(), PredictWindow())
    return Playbook(
        kind=config.kind.value,
        mode=config.mode.value,
        phases=(
            PhaseSpec(name=PhaseName.PREPARE, steps=preparing, changes=False),
            PhaseSpec(name=PhaseName.CAPTURE, steps=(StopApplication(), TakeLock())),
            PhaseSpec(name=PhaseName.BACKFILL, steps=(ClaimTarget(), LockedSnapshot(copied), *copied)),
            PhaseSpec(name=PhaseName.VALIDATE, steps=(VerifyLocked(),)),
            PhaseSpec(name=PhaseName.CUTOVER, steps=(HandOver(), NoteClasses(), CutOver())),
            PhaseSpec(name=PhaseName.OBSERVE, steps=(Observe(),)),
            PhaseSpec(name=PhaseName.CLEANUP, steps=(CleanUp(),)),
            PhaseSpec(name=PhaseName.COMPLETE, steps=(ReleaseTarget(), Settle())),
        ),
        items=items_of(config),
        open=open_offline,
        consent=consent_live,
        abandon=abandon_offline,
        retreat=retreat,
    )


def _copied(*, existing: bool) -> tuple[Step, ...]:
    """What is made of a snapshot, and taken back when the source has changed since. The target is closed from the start."""
    return (
        *((LiftKeys(),) if existing else ()),
        CreateTables(loses=""),  # nobody else writes to them while going back is possible
        CloseTarget(),
        Copy(),
        RunStatements("build-keys", Stage.KEY, Stage.SEQUENCE, Stage.CHECK),
        SetSequences(),
        *((RestoreKeys(),) if existing else ()),
        RunStatements("foreign-keys", Stage.FOREIGN_KEY, Stage.VALIDATE),
        RunStatements("views-and-triggers", Stage.VIEW, Stage.TRIGGER),
        Grants(),
        Analyze(),
    )
