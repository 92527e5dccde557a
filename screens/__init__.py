"""The wizard's screens: one file per screen with its stylesheet beside it; panels, modals and widgets in their folders.

Screens show what the journal says and hand on what the operator wants. They know no database and no engine process.
"""
