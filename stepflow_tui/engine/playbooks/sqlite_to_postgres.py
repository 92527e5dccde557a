"""`sqlite-to-postgres`, `mode: copy`: one exact copy of a file that nobody writes to meanwhile."""

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
from stepflow_tui.engine.steps.copy import Copy
from stepflow_tui.engine.steps.grants import Grants
from stepflow_tui.engine.steps.lifting import LiftKeys, RestoreKeys
from stepflow_tui.engine.steps.make_plan import MakePlan
from stepflow_tui.engine.steps.opening import open_run
from stepflow_tui.engine.steps.preflight import Preflight
from stepflow_tui.engine.steps.release import ReleaseTarget
from stepflow_tui.engine.steps.settle import Settle
from stepflow_tui.engine.steps.statements import RunStatements
from stepflow_tui.engine.steps.tables import CreateTables, consent
from stepflow_tui.engine.steps.verify import Verify


def copy_playbook(config: Config) -> Playbook:
    """Phases and steps of the exact copy."""
    existing = config.target.tables is TablesMode.EXISTING
    return Playbook(
        kind=config.kind.value,
        mode=config.mode.value,
        phases=(
            PhaseSpec(
                name=PhaseName.PREPARE,
                steps=(Preflight(), MakeBackup(), *archived(config), Census(), MakePlan()),
                changes=False,
            ),
            PhaseSpec(
                name=PhaseName.BACKFILL,
                steps=(
                    ClaimTarget(),
                    # before the tables' step, so that a rollback empties them before the keys are back
                    *((LiftKeys(),) if existing else ()),
                    CreateTables(),
                    Copy(),
                    RunStatements("build-keys", Stage.KEY, Stage.SEQUENCE, Stage.CHECK),
                    *((RestoreKeys(),) if existing else ()),
                    RunStatements("foreign-keys", Stage.FOREIGN_KEY, Stage.VALIDATE),
                    RunStatements("views-and-triggers", Stage.VIEW, Stage.TRIGGER),
                    Grants(),
                    Analyze(),
                ),
            ),
            PhaseSpec(name=PhaseName.VALIDATE, steps=(Verify(),)),
            PhaseSpec(name=PhaseName.COMPLETE, steps=(ReleaseTarget(), Settle())),
        ),
        items=items_of(config),
        open=open_run,
        consent=consent,
    )
