"""`sqlite-to-postgres`, `mode: live`: the application keeps writing, and can go back."""

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
from stepflow_tui.engine.steps.lifting import LiftKeys
from stepflow_tui.engine.steps.live.abandon import abandon
from stepflow_tui.engine.steps.live.capture import InstallCapture
from stepflow_tui.engine.steps.live.catch_up import CatchUp
from stepflow_tui.engine.steps.live.classes import NoteClasses
from stepflow_tui.engine.steps.live.clean_up import CleanUp
from stepflow_tui.engine.steps.live.cut_over import CutOver
from stepflow_tui.engine.steps.live.observe import Observe
from stepflow_tui.engine.steps.live.opening import consent_live, open_live
from stepflow_tui.engine.steps.live.prove import Prove
from stepflow_tui.engine.steps.live.rehearse import Rehearse
from stepflow_tui.engine.steps.live.settle_keys import SettleKeys
from stepflow_tui.engine.steps.live.snapshot import DropSnapshot, TakeSnapshot
from stepflow_tui.engine.steps.live.stranded import release_source
from stepflow_tui.engine.steps.live.switch_reads import SwitchReads
from stepflow_tui.engine.steps.make_plan import MakePlan
from stepflow_tui.engine.steps.preflight import Preflight
from stepflow_tui.engine.steps.release import ReleaseTarget
from stepflow_tui.engine.steps.settle import Settle
from stepflow_tui.engine.steps.statements import RunStatements
from stepflow_tui.engine.steps.tables import CreateTables


def live_playbook(config: Config) -> Playbook:
    """Phases and steps of the live migration: all of them."""
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
            PhaseSpec(name=PhaseName.CAPTURE, steps=(InstallCapture(),)),
            PhaseSpec(
                name=PhaseName.BACKFILL,
                steps=(
                    ClaimTarget(),
                    *((LiftKeys(),) if existing else ()),
                    CreateTables(loses=""),  # nobody else writes to them while going back is possible
                    TakeSnapshot(),
                    Copy(),
                    NoteClasses(),
                    # no foreign keys and no triggers before the drain: catching up deletes and inserts
                    RunStatements("build-keys", Stage.KEY, Stage.SEQUENCE, Stage.CHECK),
                    RunStatements("views", Stage.VIEW),
                    Grants(),
                    Analyze(),
                ),
            ),
            PhaseSpec(name=PhaseName.VALIDATE, steps=(CatchUp(), Prove(), DropSnapshot())),
            PhaseSpec(name=PhaseName.SWITCH_READS, steps=(SwitchReads(),)),
            PhaseSpec(name=PhaseName.CUTOVER, steps=(Rehearse(), CutOver(), SettleKeys())),
            PhaseSpec(name=PhaseName.OBSERVE, steps=(Observe(),)),
            PhaseSpec(name=PhaseName.CLEANUP, steps=(CleanUp(),)),
            PhaseSpec(name=PhaseName.COMPLETE, steps=(ReleaseTarget(), Settle())),
        ),
        items=items_of(config),
        open=open_live,
        consent=consent_live,
        stranded=release_source,
        abandon=abandon,
    )
