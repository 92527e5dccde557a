"""The headless front end: one file per command group. It holds no database logic; everything is asked of the engine's facade.

Nothing heavy is imported before a command runs, so that `stepflow --help` answers at once.
"""
