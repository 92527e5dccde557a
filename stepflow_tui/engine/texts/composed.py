"""Sentences that are put together from parts where they arise, whole: so that they are found and read as one."""

from __future__ import annotations

from stepflow_tui.engine.texts.language import N_

COMPOSED = (
    # why a column gets its type
    N_("declared {0}"),
    N_("declared {0}, and every value is 0 or 1"),
    N_("declared {0}, and every value has the form {1}"),
    N_("declared {0}, and every value is exact with {1} decimals"),
    N_("nothing declared, and every value has the form {0}"),
    N_("{0} asks for {1}"),
    N_("{0} asks for {1}, stored as {2}"),
    N_("{0} integers"),
    N_("{0} reals"),
    N_("{0} texts"),
    N_("{0} blobs"),
    # why an object is not carried as it was
    N_("its values are carried as a plain column: {0}"),
    # what is wrong in a config
    N_("{0} problems"),
    # what waits at a gate
    N_("1 question"),
    N_("{0} questions"),
)
