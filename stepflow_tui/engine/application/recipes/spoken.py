"""Command lines fit to be shown."""

from __future__ import annotations

import re

from stepflow_tui.engine.model.redact import MASK

_GIVEN = re.compile(
    r"""(?ix) (?<![\w-])
    ( -{0,2} [\w.-]* (?: pass(?:word|wd|phrase)? | pwd | secret | token | api[_-]?key ) [\w-]* =
    | -- [\w-]* (?: password | passwd | passphrase | secret | token | api-?key ) \s+ (?!-) )
    ( "[^"]*" | '[^']*' | [^\s;&|"']+ )"""
)


def without_values(text: str) -> str:
    """Command lines without what is given to names that sound secret: `DB_PASSWORD=…`, `--api-token …`."""
    return _GIVEN.sub(rf"\g<1>{MASK}", text)
