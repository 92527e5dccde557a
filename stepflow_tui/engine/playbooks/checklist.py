"""The checklist of a run: the defaults that apply, and the config's own items."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.checks.checklist import ITEMS
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.state import PhaseName

HOLDS = {"before": PhaseName.BACKFILL.value, "during": PhaseName.COMPLETE.value}
"""The phase that an item of that time must be settled before; later ones hold nothing up, they are reported."""


def items_of(config: Config) -> tuple[ItemSpec, ...]:
    """Default items first, then the config's, in order. An item of the config with a default's id replaces it."""
    own = _own(config)
    names = {i.id for i in own}
    live = config.mode is Mode.LIVE
    defaults = (_held(i.spec) for i in ITEMS if i.id not in names and (live or not i.live))
    return tuple(_earlier(spec) if live else spec for spec in (*defaults, *own))


def _earlier(spec: ItemSpec) -> ItemSpec:
    """A live run changes the source before it copies: what must be settled before the copy is due before capture."""
    return replace(spec, before=PhaseName.CAPTURE.value) if spec.before == PhaseName.BACKFILL.value else spec


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
