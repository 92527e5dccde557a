"""The command palette: every action of the screen below, by name, with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from stepflow_tui.actions import ACTIONS, Action
from stepflow_tui.engine.texts.language import _


class ActionCommands(Provider):
    """Searches the actions that the screen has."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in self._here():
            yield DiscoveryHit(_name(action), partial(self._run, action), help=_(action.help))

    async def search(self, query: str) -> Hits:
        """Those whose name or sentence matches."""
        matcher = self.matcher(query)
        for action in self._here():
            name = _name(action)
            score = max(matcher.match(name), matcher.match(_(action.help)))
            if score > 0:
                yield Hit(score, Content(name), partial(self._run, action), help=_(action.help))

    def _here(self) -> Iterator[Action]:
        active = {b.binding.id for b in self.screen.active_bindings.values() if b.enabled}
        return (action for action in ACTIONS if action.id in active)

    async def _run(self, action: Action) -> None:
        await self.screen.run_action(action.method)


def _name(action: Action) -> str:
    return f"{_(action.label)} ({action.keys[0]})"
