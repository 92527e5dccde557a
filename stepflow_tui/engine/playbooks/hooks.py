"""Puts the config's hooks into a playbook's phases. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.config_application import Hook, PhaseHooks
from stepflow_tui.engine.playbooks.spec import PhaseSpec
from stepflow_tui.engine.steps.hooks import HookStep, When


def with_hooks(phases: Sequence[PhaseSpec], config: Config) -> tuple[PhaseSpec, ...]:
    """The phases with `before` hooks as their first steps and `after` hooks as their last ones.

    Hooks of a phase that is not among them are left out; the check `config_unused` names them.
    """
    named = {phase.value: both for phase, both in config.hooks.items()}
    return tuple(_hooked(phase, named.get(phase.name, PhaseHooks())) for phase in phases)


def _hooked(phase: PhaseSpec, hooks: PhaseHooks) -> PhaseSpec:
    before, after = _steps(phase.name, When.BEFORE, hooks.before), _steps(phase.name, When.AFTER, hooks.after)
    return replace(phase, steps=(*before, *phase.steps, *after))


def _steps(phase: str, when: When, hooks: Iterable[Hook]) -> tuple[HookStep, ...]:
    return tuple(HookStep(phase=phase, when=when, number=n, hook=hook) for n, hook in enumerate(hooks, 1))
