"""The application of `stepflow demo`: a small shop that writes and reads all the time while its database is migrated.

It uses `stepflow_tui.client` as any application would, and nothing of the engine.
"""
