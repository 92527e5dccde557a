"""Command lines fit to be shown."""

from __future__ import annotations

import re

from stepflow_tui.engine.model.redact import MASK
from stepflow_tui.engine.model.secret_words import sounds_secret

_GIVEN = re.compile(
    r"""(?x) (?<![\w-])
    ( -{0,2} ( [\w.-]+ ) = | -- ( [\w-]+ ) \s+ (?!-) )
    ( "[^"]*" | '[^']*' | [^\s;&|"']+ )"""
)


def without_values(text: str) -> str:
    """Command lines without what is given to names that sound secret: `DB_PASSWORD=…`, `--api-token …`."""
    return _GIVEN.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}" if sounds_secret(found[2] or found[3]) else found[0]
