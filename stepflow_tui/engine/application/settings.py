"""Settings of the application that are changed at the switch. All switches of a config are one group.

`plan_edits` reads and proves, `changed_lines` shows, `apply_group` changes all files or none, `undo_group` puts them back.
"""

from __future__ import annotations

from stepflow_tui.engine.application.settings_group import apply_group, check_undo, forget_group, standing, undo_group
from stepflow_tui.engine.application.settings_plan import DUMMY_VALUES, DiffLine, Edit, changed_lines, plan_edits

__all__ = [
    "DUMMY_VALUES",
    "DiffLine",
    "Edit",
    "apply_group",
    "changed_lines",
    "check_undo",
    "forget_group",
    "plan_edits",
    "standing",
    "undo_group",
]
