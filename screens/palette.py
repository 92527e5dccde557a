"""The command palette: every action of the screen below, by name, with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.binding import ActiveBinding
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from screens.key_words import help_of, is_senseless, label_of
from stepflow_tui.actions import ACTIONS, Action
from stepflow_tui.engine.texts.language import _
from stepflow_tui.keymap import key_label


class Palette(CommandPalette):
    """Textual's, which says in the language in use what to type."""

    def __init__(self) -> None:
        super().__init__(placeholder=_("Search for an action…"), id="--command-palette")


class ActionCommands(Provider):
    """Searches the actions that the screen has."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action, key in self._here():
            yield DiscoveryHit(self._name(action, key), partial(self._run, action), help=self._help(action))

    async def search(self, query: str) -> Hits:
        """Those whose name or sentence matches."""
        matcher = self.matcher(query)
        for action, key in self._here():
            name, sentence = self._name(action, key), self._help(action)
            score = max(matcher.match(name), matcher.match(sentence))
            if score > 0:
                yield Hit(score, Content(name), partial(self._run, action), help=sentence)

    def _here(self) -> Iterator[tuple[Action, str]]:
        """What can be done, in the table's order, with the key it has now: a config may have changed it."""
        active = self._active()
        return (
            (action, active[action.id].binding.key)
            for action in ACTIONS
            if action.id in active and not is_senseless(self.screen, action.id)
        )

    def _active(self) -> dict[str, ActiveBinding]:
        """What can be done now, by id; an action is carried out where its key would be: on a widget, the screen, the app."""
        found: dict[str, ActiveBinding] = {}
        for active in self.screen.active_bindings.values():
            if active.enabled and active.binding.id:
                found.setdefault(active.binding.id, active)
        return found

    async def _run(self, action: Action) -> None:
        found = self._active().get(action.id)
        if found is not None:
            await self.screen.app.run_action(found.binding.action, found.node)

    def _name(self, action: Action, key: str) -> str:
        return f"{label_of(self.screen, action)} ({key_label(key)})"

    def _help(self, action: Action) -> str:
        return help_of(self.screen, action)
