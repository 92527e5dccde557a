"""Page: options of a conversion in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from textual.widget import Widget

from screens.setup.own_options import OwnOptionsPage
from screens.setup.page import Field, explained, text_field
from screens.setup.state import SetupState
from screens.widgets.cycle import Cycle
from stepflow_tui.engine.model.config_wal import PAGE_SIZES
from stepflow_tui.engine.texts.language import N_, _

AS_IT_IS = ""


class WalOptionsPage(OwnOptionsPage):
    """Name, environment, mode (with its window), waiting time, page size, observation, backup folder."""

    ABOUT: ClassVar[Mapping[str, str]] = {
        "in-place": N_("The application goes on. The conversion waits for a moment in which nobody reads or writes."),
        "offline": N_(
            "The application is stopped, the database converted, then it starts again. For one that never pauses."
        ),
    }

    def between(self, state: SetupState) -> Iterable[Widget]:
        """How long to wait for the moment, what the file is to look like, how long to watch."""
        yield text_field(_("Longest wait"), state.max_wait, "wait", hint="60s")
        yield explained(_("For that moment; then it gives up, names who is in the way, and the old mode stays."))
        yield Field(_("Page size"), Cycle(self._sizes(state), state.page_size, id="page-size"))
        yield explained(
            _("Another one rewrites the whole file (VACUUM) before the conversion; afterwards it can't change.")
        )
        yield text_field(_("Watch for"), state.observe, "observe", hint=_("a minute while somebody uses it"))
        yield explained(_("How long the new mode is watched before the run ends; you can go back all that time."))

    def _sizes(self, state: SetupState) -> list[tuple[str, str]]:
        now = (state.facts or {}).get("page_size")
        kept = _("as it is ({bytes})").format(bytes=now) if now else _("as it is")
        return [(AS_IT_IS, kept), *((str(size), str(size)) for size in PAGE_SIZES if size != now)]

    def gathered(self) -> SetupState:
        """All options; empty ones mean the default."""
        return replace(
            super().gathered(),
            max_wait=self.typed("wait") or "60s",
            page_size=self.chosen("page-size"),
            observe=self.typed("observe"),
        )
