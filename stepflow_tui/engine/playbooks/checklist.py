"""The checklist of a run: the defaults that apply, and the config's own items."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.checks.checklist import ITEMS, ChecklistItem
from stepflow_tui.engine.checks.checklist_in_place import IN_PLACE_ITEMS
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.steps.application.bookkeeping import restarts_application
from stepflow_tui.engine.steps.live.reads_by_restart import moves_by_restart
from stepflow_tui.engine.steps.wal.change import changes_it

HOLDS = {"before": PhaseName.BACKFILL.value, "during": PhaseName.COMPLETE.value}
"""The phase that an item of that time must be settled before; later ones hold nothing up, they are reported."""

CODE_DEPLOYED = "code-deployed"
WRITERS_STOPPED = "writers-stopped"
"""The application is stopped: a person's item where no recipe does it."""


def items_of(config: Config) -> tuple[ItemSpec, ...]:
    """Default items first, then the config's, in order. An item of the config with a default's id replaces it."""
    own = _own(config)
    names = {i.id for i in own}
    listed = IN_PLACE_ITEMS if config.in_place else ITEMS
    wanted = (
        i for i in listed if i.id not in names and _belongs(i, config.mode) and (not i.added or _decidable(i, config))
    )
    defaults = (_held(_restarted(_stopped(_decided(i, config), config), config)) for i in wanted)
    return tuple(spec if config.mode is Mode.COPY else _due(spec, config) for spec in (*defaults, *own))


def _belongs(item: ChecklistItem, mode: Mode) -> bool:
    if not item.live and not item.offline:
        return True
    return (item.live and mode is Mode.LIVE) or (item.offline and mode is Mode.OFFLINE)


def _stopped(spec: ItemSpec, config: Config) -> ItemSpec:
    """What a recipe stops needs no person before the window: it is ticked when it was stopped."""
    return replace(spec, before="") if spec.id == WRITERS_STOPPED and config.application.recipe else spec


def _restarted(spec: ItemSpec, config: Config) -> ItemSpec:
    """What StepFlow switches itself, and what nobody has to build in where reads move with the restart, is no person's."""
    own = {
        "application-switched": restarts_application(config.application),
        "application-routed": moves_by_restart(config),
    }
    return replace(spec, kind=ItemKind.AUTO) if own.get(spec.id) else spec


def _decidable(item: ChecklistItem, config: Config) -> bool:
    """Whether the config holds what a check needs to decide the item."""
    if item.id == CODE_DEPLOYED:
        return changes_it(config)  # a recipe may be there for the way back alone
    section, _, key = item.configured.partition(".")
    if key == "probes" and config.mode is Mode.COPY:
        return False  # the application works on the source still: what a probe writes there would change it
    return bool(item.configured) and bool(getattr(getattr(config, section), key))


def _decided(item: ChecklistItem, config: Config) -> ItemSpec:
    """The item as the config makes it: a check decides what is configured, and holds up what comes after preparing."""
    if not _decidable(item, config):
        return item.spec
    before = HOLDS["before"] if item.when == "before" else item.holds
    return replace(item.spec, kind=ItemKind.AUTO, before=before)


def _due(spec: ItemSpec, config: Config) -> ItemSpec:
    """The source is changed, or the application stopped, before the copy: what must be settled before that is due earlier.
    Where nothing is copied, it is due before the conversion."""
    first = PhaseName.CUTOVER if config.in_place else PhaseName.CAPTURE
    return (
        replace(spec, before=first.value)
        if spec.before in (PhaseName.BACKFILL.value, PhaseName.CAPTURE.value)
        else spec
    )


def _held(spec: ItemSpec) -> ItemSpec:
    """A person's item holds up the gate of its time; what a check decides says so itself."""
    return (
        replace(spec, before=spec.before or HOLDS.get(str(spec.params["when"]), ""))
        if spec.kind is ItemKind.MANUAL
        else spec
    )


def _own(config: Config) -> list[ItemSpec]:
    """The config's items. One with a `check` command is decided by it, the others by a person."""
    found = []
    for when in type(config.checklist).model_fields:
        for item in getattr(config.checklist, when):
            params: dict[str, str | int | float | None] = {
                "when": when,
                "title": item.title,
                "owner": item.owner,
                "due": item.due,
            }
            kind = ItemKind.MANUAL if item.check is None else ItemKind.AUTO
            found.append(ItemSpec(id=item.id, kind=kind, before=HOLDS.get(when, ""), params=params))
    return found
