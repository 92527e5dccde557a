"""The command palette: every action of the screen below, by name, with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.binding import ActiveBinding
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
        active = self._active()
        return (action for action in ACTIONS if action.id in active)

    def _active(self) -> dict[str, ActiveBinding]:
        """What can be done now, by id; an action is carried out where its key would be: on a widget, the screen, the app."""
        return {b.binding.id: b for b in self.screen.active_bindings.values() if b.enabled and b.binding.id}

    async def _run(self, action: Action) -> None:
        found = self._active().get(action.id)
        if found is not None:
            await self.screen.app.run_action(found.binding.action, found.node)


def _name(action: Action) -> str:
    return f"{_(action.label)} ({action.keys[0]})"
