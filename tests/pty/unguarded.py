"""`stepflow` with its guard against typing ahead taken out: what the guard is for becomes visible."""

from screens.typeahead import Guarded
from stepflow_tui.__main__ import main

Guarded.ARMED = False
main()
