"""A text that is drawn again only when it changes; its height follows it. Values are data: never markup."""

from __future__ import annotations

from rich.text import Text

from screens.widgets.folded import Folded


class Said(Folded):
    """One text."""

    def __init__(
        self,
        text: str | Text = "",
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name
        classes: str | None = None,
    ) -> None:
        super().__init__(text, markup=False, id=id, classes=classes)
        self._said: str | Text = text

    def show(self, text: str | Text) -> None:
        """Show this text."""
        before = self._said
        if text == before and (isinstance(text, str) or (isinstance(before, Text) and text.spans == before.spans)):
            return
        self._said = text
        self.update(text)
